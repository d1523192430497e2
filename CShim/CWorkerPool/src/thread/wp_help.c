#include "wp_help.h"

#include "wp_blocked.h"
#include "wp_stack_job.h"
#include "wp_worker.h"

#include "../platform/wp_clock.h"

#define LOOKS_PER_CLOCK 16

static void wait_asleep(wp_worker *self, wp_latch *latch) {
  if (wp_latch_wait_until(latch, wp_clock_now() + WP_HELP_SPARE_AFTER_NS)) return;
  wp_blocking_state blocking;
  wp_blocked_begin_structured(self, &blocking);
  wp_latch_wait(latch);
  wp_blocked_end(&blocking);
}

void wp_help_until_set(wp_worker *self, wp_latch *latch, wp_find_help find, void *awaited) {
  wp_job found;
  uint64_t deadline = 0;
  while (!wp_latch_is_set(latch)) {
    if (find(self, awaited, &found)) {
      self->helping++;
      wp_worker_run(self, found);
      self->helping--;
      deadline = 0;
      continue;
    }
    for (int i = 0; i < LOOKS_PER_CLOCK && !wp_latch_is_set(latch); i++) wp_cpu_relax();
    uint64_t now = wp_clock_now();
    if (deadline == 0) deadline = now + self->pool->spin_ns;
    if (now >= deadline && !wp_latch_is_set(latch)) wait_asleep(self, latch);
  }
}

bool wp_help_find_piece(wp_worker *self, void *awaited, wp_job *found) {
  static const wp_job_filter forks = {WP_JOB_FOREIGN | WP_JOB_FORK, WP_JOB_FORK, NULL};
  wp_stack_job *job = (wp_stack_job *)awaited;
  wp_worker *thief = (wp_worker *)wp_atomic_load(&job->thief, wp_acquire);  // edge THIEF
  if (thief == NULL) return false;
  wp_steal steal;
  do {
    steal = wp_deque_steal_if(&thief->deque, &forks, job->thief_position, found);
  } while (steal == WP_STEAL_LOST);
  if (steal != WP_STEAL_TAKEN) return false;
  wp_count(&self->steals[thief->node]);
  // While the thief runs the job all that it forks are pieces of it. If it has just ended, this may be none.
  if (!wp_latch_is_set(&job->latch)) return true;
  ((wp_engine_job *)found->argument)->refuse(found->argument);
  return false;
}
