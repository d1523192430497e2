// Stack jobs: forks, which live on the stack of the thread that waits for them.
//
//   fork:  push the job to the own deque        (a thief may take it from the top)
//   run the other half
//   join:  take from the own deque ── it is ours ──▶ run it here: nobody saw it, nothing was shared
//                                  └─ it is gone ──▶ a thief runs it: help until its latch is set (wp_help.h),
//                                                    or was asked to give it back: run it here
//
// Edge THIEF: the thief releases `thief` when it begins, the owner acquires it. Edge DONE of the latch is the way back.
//
// Sources: D. Lea, "A Java fork/join framework" (2000); rayon's `join` (J. Stone and N. Matsakis); N. Arora, R. Blumofe,
// C. Plaxton, "Thread scheduling for multiprogrammed multiprocessors" (SPAA 1998).
#ifndef WP_STACK_JOB_H
#define WP_STACK_JOB_H

#include "wp_fork_join.h"
#include "wp_thread_state.h"

#include "../park/wp_latch.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a range begins with: how to run a part of it (wp_ranges.c).
typedef struct wp_range {
  void (*perform)(wp_worker *self, struct wp_range *range, size_t begin, size_t end);
} wp_range;

typedef struct wp_stack_job {
  wp_engine_job head;
  /// The range that the job is a part of; NULL for a join's other half.
  wp_range *range;
  union {
    /// Of a join.
    struct {
      wp_borrowed_call call;
      wp_borrowed work;
    };
    /// Of a range: [begin, end).
    struct {
      size_t begin;
      size_t end;
    };
  };
  wp_worker *owner;
  /// Written by the thief, for the owner: first the position of the thief's next push, then the thief. Edge THIEF.
  int64_t thief_position;
  wp_atomic_uptr thief;
  wp_latch latch;
} wp_stack_job;

WP_STATIC_ASSERT(sizeof(wp_stack_job) <= sizeof(wp_fork), "there is room for one");

void wp_stack_job_run(wp_worker *self, wp_stack_job *job);

// What a cell calls, and what gives a job back.
void wp_stack_job_run_stolen(void *job);
void wp_stack_job_give_back(void *job);

/// What stands in a queue for a job.
static inline wp_job wp_stack_job_cell(wp_stack_job *job) {
  wp_job cell;
  cell.code = (uintptr_t)wp_stack_job_run_stolen | WP_JOB_FORK;
  cell.argument = job;
  return cell;
}

static inline bool wp_stack_job_is_in(wp_job cell, wp_stack_job *job) {
  return cell.argument == (void *)job && cell.code == ((uintptr_t)wp_stack_job_run_stolen | WP_JOB_FORK);
}

/// Prepares a job that is to be run by others.
static inline void wp_stack_job_prepare(wp_stack_job *job) {
  job->head.refuse = wp_stack_job_give_back;
  wp_atomic_init(&job->thief, (uintptr_t)0);
  wp_latch_init(&job->latch);
}

/// Pushes a job to the own deque. False when that is full. Inlined, as is taking it back: a join costs little else.
static inline bool wp_stack_job_fork(wp_worker *self, wp_stack_job *job) {
  wp_stack_job_prepare(job);
  if (!wp_deque_push_one(&self->deque, wp_stack_job_cell(job))) return false;
  self->forks++;
  wp_event_count_notify_one(self->event_count);
  return true;
}

/// A `wp_find_help`: steals a piece of a stolen job back from its thief.
bool wp_stack_job_find_piece(wp_worker *self, void *stack_job, bool is_last, wp_job *found);

/// The rest of `wp_stack_job_take_back`, which took another job, or none if `found` is NULL.
bool wp_stack_job_get_back(wp_worker *self, wp_stack_job *job, const wp_job *found);

/// Gets a forked job back from the own deque, or from a thread that gave it back: true, and the caller runs it. Or waits until
/// its thief has run it.
static inline bool wp_stack_job_take_back(wp_worker *self, wp_stack_job *job) {
  wp_job found;
  if (!wp_deque_take(&self->deque, &found)) return wp_stack_job_get_back(self, job, NULL);
  if (!wp_stack_job_is_in(found, job)) return wp_stack_job_get_back(self, job, &found);
  self->forks--;
  return true;
}

#ifdef __cplusplus
}
#endif

#endif
