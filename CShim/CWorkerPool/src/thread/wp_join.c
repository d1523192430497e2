// Joins, and the closures of another language that joins and ranges borrow.
#include "wp_fork_join.h"

#include "wp_enter.h"
#include "wp_stack_job.h"

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
