// Fork-join: jobs that live on the stack of the thread that forked them.
//
//   fork:  push the job to the own deque        (a thief may take it from the top)
//   run the other half
//   join:  take from the own deque ── it is ours ──▶ run it here: nobody saw it, nothing was shared
//                                  └─ it is gone ──▶ a thief runs it: help until its latch is set
//
// A forker that waits helps, but only with what it waits for: pieces of the stolen job, which stand in its thief's
// deque from the position on at which the thief began it (leapfrogging: D. Wagner and B. Calder, PPoPP 1993); for a
// group, calls of that group. Such work can wait for nothing below the helper on the same stack but in a cycle, so no
// program without one deadlocks. Anything else might wait for that, even forked work: its closures may block on
// futures. What a helper cannot reach is left to others, and the helper's place, when it sleeps, to a spare.
//
// Sources: D. Lea, "A Java fork/join framework" (2000); rayon's `join` and its adaptive splitter (J. Stone and N.
// Matsakis); N. Arora, R. Blumofe, C. Plaxton, "Thread scheduling for multiprogrammed multiprocessors" (SPAA 1998).

#include "wp_fork_join.h"

#include "wp_stack_job.h"
#include "wp_wait.h"

#include "../platform/wp_clock.h"

#define LOOKS_PER_CLOCK 16
/// About what it costs to wake a spare and to send it back.
#define SPARE_AFTER_NS 200000u

void wp_stack_job_run(wp_worker *self, wp_stack_job *job) {
  if (job->range != NULL) {
    wp_range_perform(self, job->range, job->begin, job->end);
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

wp_job wp_stack_job_cell(wp_stack_job *job) {
  wp_job cell;
  cell.code = (uintptr_t)run_stolen | WP_JOB_STRUCTURED;
  cell.argument = job;
  return cell;
}

// MARK: Waiting for a stolen job

static void wait_asleep(wp_latch *latch) {
  // Many waits are for the end of a last piece, and over before a spare would be of use.
  if (wp_latch_wait_until(latch, wp_clock_now() + SPARE_AFTER_NS)) return;
  // A worker that sleeps here leaves its place to a spare; without one the job's thief makes progress all the same.
  bool replaced = wp_thread_pool_block_begin() == WP_OK;
  wp_latch_wait(latch);
  if (replaced) wp_thread_pool_block_end();
}

void wp_help_until_set(wp_worker *self, wp_latch *latch, wp_find_help find, void *awaited) {
  wp_job found;
  uint64_t deadline = 0;
  while (!wp_latch_is_set(latch)) {
    if (find(self, awaited, &found)) {
      wp_worker_run(self, found);
      deadline = 0;
      continue;
    }
    for (int i = 0; i < LOOKS_PER_CLOCK && !wp_latch_is_set(latch); i++) wp_cpu_relax();
    uint64_t now = wp_clock_now();
    if (deadline == 0) deadline = now + self->pool->spin_ns;
    if (now >= deadline && !wp_latch_is_set(latch)) wait_asleep(latch);
  }
}

bool wp_find_piece(wp_worker *self, void *awaited, wp_job *found) {
  static const wp_job_filter forked = {WP_JOB_FOREIGN | WP_JOB_STRUCTURED, WP_JOB_STRUCTURED, NULL};
  wp_stack_job *job = (wp_stack_job *)awaited;
  wp_worker *thief = (wp_worker *)wp_atomic_load(&job->thief, wp_acquire);  // edge THIEF
  if (thief == NULL) return false;
  wp_steal steal;
  do {
    steal = wp_deque_steal_if(&thief->deque, &forked, job->thief_position, found);
  } while (steal == WP_STEAL_LOST);
  if (steal != WP_STEAL_TAKEN) return false;
  wp_count(&self->steals[thief->node]);
  // While the thief runs the job all that it pushes are pieces of it. If it has just ended, this may be none.
  if (!wp_latch_is_set(&job->latch)) return true;
  return !wp_worker_set_aside(self, *found);
}

static bool is_cell_of(wp_stack_job *job, wp_job found) {
  wp_job cell = wp_stack_job_cell(job);
  return found.argument == cell.argument && found.code == cell.code;
}

__attribute__((noinline)) static bool wait_for_thief(wp_worker *self, wp_stack_job *job) {
  wp_help_until_set(self, &job->latch, wp_find_piece, job);
  return false;
}

/// The rest of taking a job back, above which `found` stood, and perhaps more: work that the other half submitted and did
/// not wait for. It is not ours to run on this stack.
__attribute__((noinline)) static bool clear_the_way(wp_worker *self, wp_stack_job *job, wp_job found) {
  do {
    if (!wp_worker_set_aside(self, found)) {
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

bool wp_stack_job_fork(wp_worker *self, wp_stack_job *job) {
  wp_job cell = wp_stack_job_cell(job);
  wp_atomic_init(&job->thief, (uintptr_t)0);
  wp_latch_init(&job->latch);
  if (!wp_deque_push_one(&self->deque, cell)) return false;
  wp_event_count_notify_one(self->event_count);
  return true;
}

// MARK: From outside

typedef struct wp_entrance {
  void (*body)(wp_worker *self, void *context);
  void *context;
  /// Written before the latch is set, read after it.
  wp_status status;
  wp_latch latch;
} wp_entrance;

static void run_entrance(void *argument) {
  wp_entrance *entrance = (wp_entrance *)argument;
  entrance->body(wp_worker_current(), entrance->context);
  wp_latch_set(&entrance->latch);
}

bool wp_fork_join_refuse(wp_job job) {
  if (job.code == ((uintptr_t)run_stolen | WP_JOB_STRUCTURED)) {
    wp_stack_job *share = (wp_stack_job *)job.argument;
    share->given_back = true;
    wp_latch_set(&share->latch);
    return true;
  }
  if (job.code != ((uintptr_t)run_entrance | WP_JOB_ENGINE)) return false;
  wp_entrance *entrance = (wp_entrance *)job.argument;
  entrance->status = WP_SHUT_DOWN;
  wp_latch_set(&entrance->latch);
  return true;
}

wp_status wp_enter(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context) {
  wp_worker *self = wp_worker_current();
  if (self != NULL && self->pool == pool) {
    body(self, context);
    return WP_OK;
  }
  wp_worker *sleeper = self == NULL ? wp_guest_begin(pool) : NULL;
  if (sleeper != NULL) {
    body(sleeper, context);
    wp_guest_end(sleeper);
    return WP_OK;
  }
  wp_entrance entrance;
  entrance.body = body;
  entrance.context = context;
  entrance.status = WP_OK;
  wp_latch_init(&entrance.latch);
  wp_job job;
  job.code = (uintptr_t)run_entrance | WP_JOB_ENGINE;
  job.argument = &entrance;
  wp_status status = wp_thread_pool_submit(pool, job);
  if (status != WP_OK) return status;
  if (self == NULL) {
    wp_word_spin(&entrance.latch.state, WP_LATCH_SET, 0);
    wp_latch_wait(&entrance.latch);
  } else {
    wait_asleep(&entrance.latch);  // a worker of another pool
  }
  return entrance.status;
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
  bool forked = wp_stack_job_fork(self, &job);
  pair->call(pair->a.first, pair->a.second, 0, 0);
  // Not forked: the deque is at its limit, and there is more than enough to steal.
  if (!forked || wp_stack_job_take_back(self, &job)) wp_stack_job_run(self, &job);
}

wp_status wp_join(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed a, wp_borrowed b) {
  wp_pair pair;
  pair.call = call;
  pair.a = a;
  pair.b = b;
  return wp_enter(pool, join_pair, &pair);
}

// MARK: Groups

typedef struct wp_group_state {
  // Written by the owner before the first spawn; edge PUBLISH of the deque carries them to thieves.
  wp_thread_pool *pool;
  wp_job_function call;
  void *context;
  wp_worker *owner;
  /// Calls that have not returned, and one for the owner. Whoever brings it to 0 sets the latch, and touches the group
  /// no more. Edge CALLS: each release-acquire decrement passes on what the calls before it did, and edge DONE the lot.
  wp_atomic_u32 left;
  wp_latch latch;
} wp_group_state;

WP_STATIC_ASSERT(sizeof(wp_group_state) <= sizeof(wp_group), "there is room for one");

static wp_group_state *state_of(wp_group *group) { return (wp_group_state *)(void *)group; }

static void leave_group(wp_group_state *state) {
  if (wp_atomic_fetch_sub(&state->left, 1, wp_acq_rel) == 1) wp_latch_set(&state->latch);  // edge CALLS
}

static void run_call(void *argument) {
  wp_group_state *state = (wp_group_state *)argument;
  state->call(state->context);
  leave_group(state);
}

static wp_job call_of(wp_group_state *state) {
  wp_job job;
  job.code = (uintptr_t)run_call | WP_JOB_STRUCTURED;
  job.argument = state;
  return job;
}

static bool find_call(wp_worker *self, void *awaited, wp_job *found) {
  wp_job call = call_of((wp_group_state *)awaited);
  wp_job_filter filter = {UINTPTR_MAX, call.code, call.argument};
  return wp_deque_take_if(&self->deque, &filter, found) || wp_worker_steal_if(self, &filter, found);
}

bool wp_group_begin(wp_group *group, wp_thread_pool *pool, wp_job_function call, void *context) {
  wp_worker *self = wp_worker_current();
  if (self == NULL || self->pool != pool) return false;
  wp_group_state *state = state_of(group);
  state->pool = pool;
  state->call = call;
  state->context = context;
  state->owner = self;
  wp_atomic_init(&state->left, 1u);
  wp_latch_init(&state->latch);
  return true;
}

void wp_group_spawn(wp_group *group) {
  wp_group_state *state = state_of(group);
  // Relaxed: the spawner's own count, or the owner's, keeps it above 0 meanwhile.
  wp_atomic_fetch_add(&state->left, 1, wp_relaxed);
  wp_job job = call_of(state);
  wp_worker *self = wp_worker_current();
  // The own deque takes it also when the pool is closed: its owner empties it before it ends. Nowhere else would the
  // group's owner find it.
  if (self != NULL && self->pool == state->pool && wp_deque_push_one(&self->deque, job)) {
    wp_event_count_notify_one(self->event_count);
  } else {
    run_call(state);
  }
}

void wp_group_wait(wp_group *group) {
  wp_group_state *state = state_of(group);
  leave_group(state);
  wp_help_until_set(state->owner, &state->latch, find_call, state);
}

// MARK: Closures

// Defined by the Swift layer, as functions that take a closure. Weak: a C program does without.
extern void wp_swift_call(void *first, void *second, size_t begin, size_t end) __attribute__((weak));
extern void wp_swift_call_with(void *first, void *second, const void *context, size_t begin, size_t end)
    __attribute__((weak));

static wp_borrowed borrowed(void *first, void *second) {
  wp_borrowed work;
  work.first = first;
  work.second = second;
  return work;
}

wp_fork_status wp_fork_closure(void *first, void *second, wp_thread_pool *pool, wp_fork *fork) {
  wp_worker *self = wp_worker_current();
  if (self == NULL || self->pool != pool) return WP_FORK_OUTSIDE;
  wp_stack_job *job = (wp_stack_job *)(void *)fork;
  job->call = wp_swift_call;
  job->work = borrowed(first, second);
  job->range = NULL;
  job->owner = self;
  return wp_stack_job_fork(self, job) ? WP_FORK_PUSHED : WP_FORK_REFUSED;
}

bool wp_fork_end(wp_fork *fork) {
  wp_stack_job *job = (wp_stack_job *)(void *)fork;
  return wp_stack_job_take_back(job->owner, job);
}

wp_status wp_join_closures(void *first_a, void *second_a, void *first_b, void *second_b, wp_thread_pool *pool) {
  return wp_join(pool, wp_swift_call, borrowed(first_a, second_a), borrowed(first_b, second_b));
}

wp_status wp_perform_closure(void *first, void *second, wp_thread_pool *pool, size_t count, size_t grain) {
  return wp_concurrent_perform(pool, wp_swift_call, borrowed(first, second), count, grain);
}

typedef struct wp_closure_with {
  void *first;
  void *second;
  const void *context;
} wp_closure_with;

static void call_with(void *first, void *second, size_t begin, size_t end) {
  (void)second;
  const wp_closure_with *closure = (const wp_closure_with *)first;
  wp_swift_call_with(closure->first, closure->second, closure->context, begin, end);
}

wp_status wp_perform_closure_with(void *first, void *second, wp_thread_pool *pool, size_t count, size_t grain,
                                  const void *context) {
  wp_closure_with closure;
  closure.first = first;
  closure.second = second;
  closure.context = context;
  return wp_concurrent_perform(pool, call_with, borrowed(&closure, NULL), count, grain);
}
