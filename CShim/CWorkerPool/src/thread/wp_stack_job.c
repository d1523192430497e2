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

/// What a thief's queue cell calls.
static void run_stolen(void *argument) {
  wp_stack_job *job = (wp_stack_job *)argument;
  wp_worker *self = wp_worker_current();
  job->thief_position = wp_deque_position(&self->deque);
  wp_atomic_store(&job->thief, (uintptr_t)self, wp_release);  // edge THIEF
  wp_stack_job_run(self, job);
  wp_latch_set(&job->latch);
}

static void give_back(void *argument) { wp_latch_give_back(&((wp_stack_job *)argument)->latch); }

static wp_job cell_of(wp_stack_job *job) {
  wp_job cell;
  cell.code = (uintptr_t)run_stolen | WP_JOB_FORK;
  cell.argument = job;
  return cell;
}

wp_job wp_stack_job_offer(wp_stack_job *job) {
  job->head.refuse = give_back;
  wp_atomic_init(&job->thief, (uintptr_t)0);
  wp_latch_init(&job->latch);
  return cell_of(job);
}

bool wp_stack_job_fork(wp_worker *self, wp_stack_job *job) {
  if (!wp_deque_push_one(&self->deque, wp_stack_job_offer(job))) return false;
  wp_event_count_notify_one(self->event_count);
  return true;
}

static bool is_cell_of(wp_stack_job *job, wp_job found) {
  wp_job cell = cell_of(job);
  return found.argument == cell.argument && found.code == cell.code;
}

/// Returns whether the job was given back.
__attribute__((noinline)) static bool wait_for_thief(wp_worker *self, wp_stack_job *job) {
  wp_help_until_set(self, &job->latch, wp_help_find_piece, job);
  // The cell is still there, for whoever asks what this thread has forked (wp_worker_abandon).
  wp_deque_forget_last(&self->deque);
  return wp_latch_is_given_back(&job->latch);
}

/// The rest of taking a job back, above which `found` stood, and perhaps more: work that the other half submitted and did
/// not wait for. It is not ours to run on this stack.
__attribute__((noinline)) static bool clear_the_way(wp_worker *self, wp_stack_job *job, wp_job found) {
  do {
    if (!wp_look_set_aside(self, found)) {
      // Without memory it stays on top of ours, and a thief, in need a spare, gets at both from the other end.
      wp_deque_push_one(&self->deque, found);  // into the cell that it came from
      return wait_for_thief(self, job);
    }
    if (!wp_deque_take(&self->deque, &found)) return wait_for_thief(self, job);
  } while (!is_cell_of(job, found));
  return true;
}

bool wp_stack_job_take_back(wp_worker *self, wp_stack_job *job) {
  wp_job found;
  if (!wp_deque_take(&self->deque, &found)) return wait_for_thief(self, job);
  return is_cell_of(job, found) || clear_the_way(self, job, found);
}
