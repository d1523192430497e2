// Jobs on the stack of who forked them, and how to wait for one: what joins and ranges have in common. See
// wp_fork_join.c.
#ifndef WP_STACK_JOB_H
#define WP_STACK_JOB_H

#include "wp_fork_join.h"
#include "wp_worker.h"

#include "../park/wp_latch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wp_range wp_range;

typedef struct wp_stack_job {
  wp_borrowed_call call;
  wp_borrowed work;
  size_t begin;
  size_t end;
  /// The perform that [begin, end) is a part of; NULL for `wp_join`.
  wp_range *range;
  wp_worker *owner;
  /// Written by the thief, for the owner: first the position of its next push (see wp_fork_join.c), then itself. Edge
  /// THIEF.
  int64_t thief_position;
  wp_atomic_uptr thief;
  wp_latch latch;
  /// Of one that waited in an injector: whether its owner has to run it after all. Written before the latch is set, read
  /// after it.
  bool given_back;
} wp_stack_job;

WP_STATIC_ASSERT(sizeof(wp_stack_job) <= sizeof(wp_fork), "there is room for one");

/// What stands in a queue for it.
wp_job wp_stack_job_cell(wp_stack_job *job);
/// Pushes a job to the own deque. False when that is full.
bool wp_stack_job_fork(wp_worker *self, wp_stack_job *job);
/// Gets a forked job back from the own deque: true, and the caller runs it. Or waits until its thief has run it.
bool wp_stack_job_take_back(wp_worker *self, wp_stack_job *job);
void wp_stack_job_run(wp_worker *self, wp_stack_job *job);

/// Finds a piece of work that `awaited` consists of. False when there is none within reach.
typedef bool (*wp_find_help)(wp_worker *self, void *awaited, wp_job *job);
/// Runs parts of what it waits for until `latch` is set; without any, spins for the pool's budget and then sleeps.
void wp_help_until_set(wp_worker *self, wp_latch *latch, wp_find_help find, void *awaited);
/// Steals a piece of a stolen `wp_stack_job` back from its thief.
bool wp_find_piece(wp_worker *self, void *stack_job, wp_job *found);

/// Runs `body` on one of the pool's workers: here if this is one, or can be a guest; else on another, waiting for it.
wp_status wp_enter(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context);

/// Runs a part of a range; in wp_ranges.c.
void wp_range_perform(wp_worker *self, wp_range *range, size_t begin, size_t end);

#ifdef __cplusplus
}
#endif

#endif
