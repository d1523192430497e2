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

static bool add(wp_process_pool *pool, int pidfd, uint32_t index) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = index}};
  return epoll_ctl(pool->forker.ends, EPOLL_CTL_ADD, pidfd, &event) == 0;
}

bool wp_witness_begin_template(wp_process_pool *pool) { return add(pool, pool->forker.pidfd, WP_NO_WORKER); }

void wp_witness_begin(wp_process_pool *pool, uint32_t index) {
  pool->workers[index].report_by = 0;
  if (pool->workers[index].pidfd >= 0) add(pool, pool->workers[index].pidfd, index);  // else there is one witness only
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

bool wp_witness_look(wp_process_pool *pool) {
  struct epoll_event events[16];
  int count = epoll_wait(pool->forker.ends, events, 16, 0);
  bool template_ended = false;
  pthread_mutex_lock(&pool->lock);
  for (int i = 0; i < count; i++) {
    uint32_t index = events[i].data.u32;
    template_ended = template_ended || index == WP_NO_WORKER;
    if (index == WP_NO_WORKER) continue;
    wp_witness_end(pool, index);
    wp_witness_expect(pool, index);
  }
  pthread_mutex_unlock(&pool->lock);
  if (!template_ended) wp_witness_continue_template(pool);
  return template_ended;
}

void wp_witness_continue_template(const wp_process_pool *pool) {
  if (pool->forker.pidfd >= 0) wp_pidfd_kill(pool->forker.pidfd, SIGCONT);
}
