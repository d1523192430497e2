#include "wp_sweep.h"

#include "wp_cancelled.h"
#include "wp_worker.h"

// Jobs that are looked at in one step, and in all.
#define STEP 64u
#define MOST_LOOKS (16u * WP_SEGMENT_CELLS)
// A sweep has to find one cancelled job in so many, and half a segment of them.
#define WORTH_ONE_IN 8u
#define LEAST_CANCELLED (WP_SEGMENT_CELLS / 2)

// Jobs that were begun outside the queues and are not at the end of a deque are counted so many at once.
#define NOTED_AT_ONCE 64u

static bool stays(void *context, wp_job job) {
  const wp_thread_pool *pool = (const wp_thread_pool *)context;
  return wp_job_is_engine(job) || !pool->hooks.is_stale(pool->hooks.context, job);
}

static void drop(wp_thread_pool *pool, const wp_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) wp_pool_discard(pool, jobs[i]);
}

/// Sweeps what was put back. Returns how many jobs it dropped.
static size_t sweep_putback(wp_pool_node *node) {
  size_t dropped = 0;
  wp_job stale[STEP];
  for (size_t looks = 0; looks < MOST_LOOKS; looks += STEP) {
    size_t count = wp_putback_filter(&node->putback, stays, node->pool, stale, STEP, STEP);
    drop(node->pool, stale, count);
    dropped += count;
    if (wp_putback_count(&node->putback) == 0) break;
  }
  return dropped;
}

/// Takes some jobs from the front of the injector, drops the cancelled ones and collects the others. Returns how many it took.
static size_t sweep_step(wp_pool_node *node, wp_putback_part *kept, size_t *dropped) {
  wp_job jobs[STEP], stale[STEP];
  wp_popped popped;
  size_t taken = wp_injector_pop(&node->injector, jobs, STEP, 1, &popped);
  size_t count = 0;
  for (size_t i = 0; i < taken; i++) {
    if (stays(node->pool, jobs[i])) {
      wp_putback_part_add(kept, popped.ticket + i, jobs[i]);
    } else {
      stale[count++] = jobs[i];
    }
  }
  drop(node->pool, stale, count);
  *dropped += count;
  return taken;
}

/// Returns whether it came to the end of the injector. The room for jobs that stay is there before they are taken.
static bool sweep_injector(wp_pool_node *node, size_t *dropped) {
  wp_putback_part *kept = NULL;
  size_t taken = STEP;
  for (size_t looks = 0; taken != 0 && looks < MOST_LOOKS; looks += STEP) {
    if (kept == NULL && (kept = wp_putback_part_create(2 * STEP)) == NULL) return false;
    taken = sweep_step(node, kept, dropped);
    if (kept->end <= STEP) continue;
    wp_putback_put_part(&node->putback, kept);
    kept = NULL;
  }
  if (kept != NULL) wp_putback_put_part(&node->putback, kept);
  return taken == 0;
}

void wp_sweep_when_grown(void *context) {
  wp_pool_node *node = (wp_pool_node *)context;
  wp_thread_pool *pool = node->pool;
  uint64_t cancelled = wp_cancelled_count(pool);
  if (pool->hooks.is_stale == NULL || cancelled < LEAST_CANCELLED) return;
  size_t pending = wp_injector_length(&node->injector) + wp_putback_count(&node->putback);
  if (cancelled < pending / WORTH_ONE_IN || pthread_mutex_trylock(&node->sweep_lock) != 0) return;
  wp_atomic_fetch_add(&node->sweeping, 1, wp_seq_cst);  // edge ANNOUNCE: before the jobs leave their queue
  size_t dropped = sweep_putback(node);
  bool all = sweep_injector(node, &dropped);
  wp_atomic_fetch_sub(&node->sweeping, 1, wp_seq_cst);
  pthread_mutex_unlock(&node->sweep_lock);
  // Those that are left were counted, too, but for those that workers came by and did not count. A sweep for little is paid
  // for with counts of jobs that stand elsewhere: the next one comes when as many were counted again.
  size_t paid = dropped > MOST_LOOKS / WORTH_ONE_IN ? dropped : MOST_LOOKS / WORTH_ONE_IN;
  wp_cancelled_subtract(pool, all && cancelled > paid ? cancelled : paid);
  wp_event_count_notify_one(&node->event_count);  // for what was put back
}

// MARK: The end of the own deque

/// Takes back what stands at the end of the own deque and would do nothing, from `job` on, which was taken there.
static void drop_newest(wp_worker *self, wp_job job) {
  static const wp_job_filter foreign = {WP_JOB_FOREIGN, WP_JOB_FOREIGN, NULL};
  do {
    if (stays(self->pool, job)) {
      wp_deque_push_one(&self->deque, job);  // into the cell that it came from
      // It was in no queue for a moment. (ANNOUNCE: push stores `bottom`, notify loads the word.)
      wp_event_count_notify_one(self->event_count);
      return;
    }
    wp_pool_discard(self->pool, job);
  } while (wp_deque_position(&self->deque) > self->running_position && wp_deque_take_if(&self->deque, &foreign, &job));
}

void wp_thread_pool_note_begun(const void *argument) {
  wp_worker *self = wp_worker_current();
  if (self == NULL || self->pool->hooks.is_stale == NULL) return;
  wp_job_filter this_one = {WP_JOB_FOREIGN, WP_JOB_FOREIGN, argument};
  wp_job job;
  if (wp_deque_take_if(&self->deque, &this_one, &job)) {
    drop_newest(self, job);
  } else if (++self->begun_elsewhere == NOTED_AT_ONCE) {
    self->begun_elsewhere = 0;
    wp_cancelled_add(self->pool, NOTED_AT_ONCE);
  }
}
