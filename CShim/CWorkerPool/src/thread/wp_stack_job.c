#include "wp_stack_job.h"

#include "wp_help.h"
#include "wp_look.h"

void wp_stack_job_run(wp_worker *self, wp_stack_job *job) {
  if (job->range != NULL) {
    job->range->perform(self, job->range, job->begin, job->end);
  } else {
    job->call(job->work.first, job->work.second, 0, 0);
  }
}

void wp_stack_job_run_stolen(void *argument) {
  wp_stack_job *job = (wp_stack_job *)argument;
  wp_worker *self = wp_worker_current();
  job->thief_position = wp_deque_position(&self->deque);
  wp_atomic_store(&job->thief, (uintptr_t)self, wp_release);  // edge THIEF
  wp_stack_job_run(self, job);
  wp_latch_set(&job->latch);
}

void wp_stack_job_give_back(void *argument) { wp_latch_give_back(&((wp_stack_job *)argument)->latch); }

bool wp_stack_job_find_piece(wp_worker *self, void *awaited, bool is_last, wp_job *found) {
  (void)is_last;
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

/// Returns whether the job was given back.
static bool wait_for_thief(wp_worker *self, wp_stack_job *job) {
  wp_help_until_set(self, &job->latch, wp_stack_job_find_piece, job);
  return wp_latch_is_given_back(&job->latch);
}

static bool get_back(wp_worker *self, wp_stack_job *job, const wp_job *first) {
  if (first == NULL) return wait_for_thief(self, job);
  // Work that the other half submitted and did not wait for stands above the job. It is not ours to run on this stack.
  wp_job found = *first;
  do {
    if (!wp_look_set_aside(self, found)) {
      // Without memory it stays on top of ours, and a thief, in need a spare, gets at both from the other end.
      wp_deque_push_one(&self->deque, found);  // into the cell that it came from
      return wait_for_thief(self, job);
    }
    if (!wp_deque_take(&self->deque, &found)) return wait_for_thief(self, job);
  } while (!wp_stack_job_is_in(found, job));
  return true;
}

bool wp_stack_job_get_back(wp_worker *self, wp_stack_job *job, const wp_job *found) {
  bool is_ours = get_back(self, job, found);
  // Not before: what the thread tells others on the way may be code that ends it.
  self->forks--;
  return is_ours;
}
