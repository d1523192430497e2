#include "wp_host_kill.h"

#include "../../platform/wp_process.h"
#include "wp_host_bell.h"
#include "wp_host_failure.h"
#include "wp_host_slots.h"

#include <errno.h>
#include <signal.h>

/// How long to wait for the end of what others may kill, or ends by itself.
#define WP_UNKILLABLE_MS 2000

void wp_kill_failed(wp_process_pool *pool, int number) {
  wp_failure_start(pool, WP_SYSTEM_CALL_FAILED, number, "pidfd_send_signal", NULL);
  wp_failure_break(pool, number == EPERM ? "a worker cannot be killed: neither the program nor the pool's template process "
                                           "has the right to"
                                         : "a worker cannot be killed");
}

void wp_kill_worker(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  worker->condemned = true;
  wp_slots_unlist(pool, index);
  int number = wp_pidfd_kill(worker->pidfd, SIGKILL);
  if (number == 0 || number == ESRCH) return;
  if (pool->forker.socket < 0) {
    wp_kill_failed(pool, number);
    return;
  }
  worker->kill_due = pool->forker.orders = true;
  wp_bell_collector(pool);  // this may be a leader, which asks nobody
}

bool wp_kill_and_wait(int pidfd) {
  int number = wp_pidfd_kill(pidfd, SIGKILL);
  return wp_pidfd_wait(pidfd, number == 0 || number == ESRCH ? -1 : WP_UNKILLABLE_MS);
}
