// A pool whose messages to its template take long.
#include "life.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MILLISECOND ((uint64_t)1000000)
enum { ROUNDS = 3, SUBMISSIONS = 60 };

/// The longest time that a submission takes while workers die and are added, in nanoseconds.
static uint64_t longest_submission(life *self, uint32_t count) {
  wp_task_options options;
  memset(&options, 0, sizeof options);
  options.retries = 5;
  uint64_t longest = 0;
  int32_t worker = 0;
  // What it is called with is known before anybody can wait.
  size_t live = wp_process_pool_worker_pids(self->pool, &worker, 1);
  life_resize(self, count);
  if (live == 1) kill(worker, SIGKILL);
  for (int i = 0; i < SUBMISSIONS; i++) {
    uint64_t start = wp_monotonic_now();
    life_submit_limited(self, DO_SUM, options, WP_TASK_REPLIED);
    uint64_t took = wp_monotonic_now() - start;
    if (took > longest) longest = took;
    usleep(20000);  // for a second in all, in which what is delayed begins
  }
  return longest;
}

void life_delayed(life *self) {
  wp_process_pool_config config = life_config(self, 2);
  if (!life_open(self, &config)) return;
  life_phase(SEAM_WORK);
  uint64_t best = UINT64_MAX;
  // Several times: a machine with other work lets anybody wait for a moment.
  for (uint32_t i = 0; i < ROUNDS; i++) {
    wp_atomic_store(&seam_here->delay_ns, 1000 * MILLISECOND, wp_relaxed);
    uint64_t longest = longest_submission(self, 4 + 2 * i);
    wp_atomic_store(&seam_here->delay_ns, (uint64_t)0, wp_relaxed);
    if (longest < best) best = longest;
    life_settle(self);
  }
  life_takes("a submission took at most %llu us", (unsigned long long)best / 1000);
  if (best > 10 * MILLISECOND) life_fails("a submission took %llu us", (unsigned long long)best / 1000);
  life_phase(SEAM_END);
  life_close(self);
}
