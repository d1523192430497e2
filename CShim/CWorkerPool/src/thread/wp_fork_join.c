// Fork-join: jobs that live on the stack of the thread that forked them.
//
//   fork:  push the job to the own deque        (a thief may take it from the top)
//   run the other half
//   join:  take from the own deque ── it is ours ──▶ run it here: nobody saw it, nothing was shared
//                                  └─ it is gone ──▶ a thief runs it: help until its latch is set
//
// A forker that waits helps with forked work only (WP_JOB_STRUCTURED). Such a job waits for nothing but its own
// children, never for a frame below the helper on the same stack, so every wait ends. Any other job might.
//
// Sources: D. Lea, "A Java fork/join framework" (2000); rayon's `join` and its adaptive splitter (J. Stone and N.
// Matsakis); N. Arora, R. Blumofe, C. Plaxton, "Thread scheduling for multiprogrammed multiprocessors" (SPAA 1998).

#include "wp_fork_join.h"

#include "wp_worker.h"

#include "../platform/wp_clock.h"
#include "../park/wp_latch.h"

#define LOOKS_PER_CLOCK 16

typedef struct wp_stack_job {
  wp_borrowed_call call;
  wp_borrowed work;
  size_t begin;
  size_t end;
  /// The perform that [begin, end) is a part of; NULL for `wp_join`.
  struct wp_range *range;
  wp_latch latch;
} wp_stack_job;

// A whole `wp_concurrent_perform`.
typedef struct wp_range {
  wp_borrowed_call call;
  wp_borrowed body;
  size_t grain;
  size_t count;
} wp_range;

static void perform(wp_worker *self, wp_range *range, size_t begin, size_t end);

static void run_body(wp_worker *self, wp_stack_job *job) {
  if (job->range != NULL) {
    perform(self, job->range, job->begin, job->end);
  } else {
    job->call(job->work.first, job->work.second, 0, 0);
  }
}

/// What a thief's queue cell calls.
static void run_stolen(void *argument) {
  wp_stack_job *job = (wp_stack_job *)argument;
  run_body(wp_worker_current(), job);
  wp_latch_set(&job->latch);
}

static wp_job as_job(wp_stack_job *job) {
  wp_job cell;
  cell.code = (uintptr_t)run_stolen | WP_JOB_STRUCTURED;
  cell.argument = job;
  return cell;
}

// MARK: Waiting for a stolen job

static void wait_asleep(wp_latch *latch) {
  // A worker that sleeps here leaves its place to a spare; without one the job's thief makes progress all the same.
  bool replaced = wp_thread_pool_block_begin() == WP_OK;
  wp_latch_wait(latch);
  if (replaced) wp_thread_pool_block_end();
}

/// Runs other forked work until `job` is done, then spins for the pool's budget, then sleeps.
static void help_until_done(wp_worker *self, wp_stack_job *job) {
  wp_job found;
  uint64_t deadline = 0;
  while (!wp_latch_is_set(&job->latch)) {
    if (wp_worker_find_structured(self, &found)) {
      wp_worker_run(self, found);
      deadline = 0;
      continue;
    }
    for (int i = 0; i < LOOKS_PER_CLOCK && !wp_latch_is_set(&job->latch); i++) wp_cpu_relax();
    uint64_t now = wp_clock_now();
    if (deadline == 0) deadline = now + self->pool->spin_ns;
    if (now >= deadline && !wp_latch_is_set(&job->latch)) wait_asleep(&job->latch);
  }
}

/// Gets `job` back from the own deque and runs it, or waits until its thief has.
static void join_job(wp_worker *self, wp_stack_job *job) {
  wp_job found;
  while (wp_deque_take(&self->deque, &found)) {
    if (found.argument == job && found.code == as_job(job).code) {
      run_body(self, job);
      return;
    }
    // Work that the other half submitted and did not wait for: it is not ours to run on this stack. Where it cannot
    // go elsewhere it stays on top of ours, and a thief, in need a spare, gets at both from the other end.
    if (!wp_worker_defer(self, found)) break;
  }
  help_until_done(self, job);
}

static bool fork_job(wp_worker *self, wp_stack_job *job) {
  wp_job cell = as_job(job);
  wp_latch_init(&job->latch);
  if (wp_deque_push(&self->deque, &cell, 1) == 0) return false;
  wp_event_count_notify_one(&self->pool->event_count);
  return true;
}

// MARK: From outside

typedef struct wp_entrance {
  void (*body)(wp_worker *self, void *context);
  void *context;
  wp_latch latch;
} wp_entrance;

static void run_entrance(void *argument) {
  wp_entrance *entrance = (wp_entrance *)argument;
  entrance->body(wp_worker_current(), entrance->context);
  wp_latch_set(&entrance->latch);
}

/// Runs `body` on one of the pool's workers: here if this is one, else on another, waiting for it.
static wp_status enter(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context) {
  wp_worker *self = wp_worker_current();
  if (self != NULL && self->pool == pool) {
    body(self, context);
    return WP_OK;
  }
  wp_entrance entrance;
  entrance.body = body;
  entrance.context = context;
  wp_latch_init(&entrance.latch);
  wp_job job;
  job.code = (uintptr_t)run_entrance;
  job.argument = &entrance;
  wp_status status = wp_thread_pool_submit(pool, job);
  if (status != WP_OK) return status;
  if (self == NULL) {
    wp_latch_wait(&entrance.latch);
  } else {
    wait_asleep(&entrance.latch);  // a worker of another pool
  }
  return WP_OK;
}

// MARK: Join

typedef struct wp_pair {
  wp_borrowed_call call;
  wp_borrowed a;
  wp_borrowed b;
} wp_pair;

static void join_pair(wp_worker *self, void *context) {
  wp_pair *pair = (wp_pair *)context;
  wp_stack_job job;
  job.call = pair->call;
  job.work = pair->b;
  job.range = NULL;
  bool forked = fork_job(self, &job);
  pair->call(pair->a.first, pair->a.second, 0, 0);
  if (forked) {
    join_job(self, &job);
  } else {
    run_body(self, &job);  // the deque is at its limit: there is more than enough to steal
  }
}

wp_status wp_join(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed a, wp_borrowed b) {
  wp_pair pair;
  pair.call = call;
  pair.a = a;
  pair.b = b;
  return enter(pool, join_pair, &pair);
}

// MARK: Ranges

/// Lazy binary splitting (A. Tzannes, G. Caragea, R. Barua, U. Vishkin, PPoPP 2010): goes on a grain at a time, and forks
/// off half of what is left whenever the own deque is empty, which says that thieves are hungry. At most log2 of the
/// count deep.
static void perform(wp_worker *self, wp_range *range, size_t begin, size_t end) {
  size_t grain = range->grain;
  while (end - begin > grain) {
    if (wp_deque_is_empty(&self->deque)) {
      wp_stack_job job;
      job.range = range;
      job.begin = begin + (end - begin) / 2;
      job.end = end;
      if (fork_job(self, &job)) {
        perform(self, range, begin, job.begin);
        join_job(self, &job);
        return;
      }
    }
    range->call(range->body.first, range->body.second, begin, begin + grain);
    begin += grain;
  }
  if (begin < end) range->call(range->body.first, range->body.second, begin, end);
}

static void perform_all(wp_worker *self, void *context) {
  wp_range *range = (wp_range *)context;
  perform(self, range, 0, range->count);
}

wp_status wp_concurrent_perform(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed body, size_t count,
                                size_t grain) {
  if (count == 0) return WP_OK;
  wp_range range;
  range.call = call;
  range.body = body;
  range.grain = grain == 0 ? 1 : grain;
  range.count = count;
  return enter(pool, perform_all, &range);
}
