#include "wp_host_witness.h"

#include "../../platform/wp_clock.h"
#include "../../platform/wp_process.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

/// How long a template may take for a report before it counts as stopped.
#define WP_REPORT_TIMEOUT_NS ((uint64_t)2 * 1000000000u)

bool wp_witness_open(wp_process_pool *pool) {
  int ends = epoll_create1(EPOLL_CLOEXEC);
  pool->forker.ends = ends < 0 ? -1 : wp_above_stdio(ends);
  return pool->forker.ends >= 0;
}

void wp_witness_close(wp_process_pool *pool) {
  if (pool->forker.ends >= 0) close(pool->forker.ends);
  pool->forker.ends = -1;
}

void wp_witness_begin(wp_process_pool *pool, uint32_t index) {
  pool->workers[index].report_by = 0;
  struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = index}};
  epoll_ctl(pool->forker.ends, EPOLL_CTL_ADD, pool->workers[index].pidfd, &event);  // else the template is the one witness
}

void wp_witness_end(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  worker->report_by = 0;
  // Not by closing it: a child of a fork may hold it open.
  if (worker->pidfd >= 0) epoll_ctl(pool->forker.ends, EPOLL_CTL_DEL, worker->pidfd, NULL);
}

void wp_witness_expect(wp_process_pool *pool, uint32_t index) {
  pool->workers[index].report_by = wp_clock_now() + WP_REPORT_TIMEOUT_NS;
}

void wp_witness_look(wp_process_pool *pool) {
  struct epoll_event events[16];
  int count = epoll_wait(pool->forker.ends, events, 16, 0);
  if (count <= 0) return;
  pthread_mutex_lock(&pool->lock);
  for (int i = 0; i < count; i++) {
    wp_witness_end(pool, events[i].data.u32);
    wp_witness_expect(pool, events[i].data.u32);
  }
  pthread_mutex_unlock(&pool->lock);
  wp_witness_continue_template(pool);
}

void wp_witness_continue_template(const wp_process_pool *pool) {
  if (pool->forker.pidfd >= 0) wp_pidfd_kill(pool->forker.pidfd, SIGCONT);
}
