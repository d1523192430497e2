#include "wp_live.h"

#include "wp_blocked.h"
#include "wp_look.h"
#include "wp_sleep.h"
#include "wp_spares.h"
#include "wp_threads.h"
#include "wp_worker.h"

#include "../platform/wp_name.h"
#include "../platform/wp_thread.h"

/// Whether a worker that may have to leave leaves now. The look without the lock is right soon enough.
static bool leaves(wp_worker *worker) {
  if (!wp_threads_have_surplus(worker)) return false;
  return worker->is_spare ? wp_spares_step_down(worker) : wp_threads_leave(worker);
}

/// Runs jobs until the thread is to end.
static void run_jobs(wp_worker *worker) {
  // Where `end_of_thread` finds it.
  wp_job *job = &worker->running;
  for (;;) {
    if (wp_atomic_load(&worker->may_leave, wp_relaxed) != 0 && leaves(worker)) return;
    if (!wp_look_next(worker, job)) {
      wp_sleep_end end = wp_sleep_for_job(worker, job);
      if (end == WP_SLEEP_DRAINED) return;
      if (end == WP_SLEEP_LOOK_AGAIN) continue;
    }
    wp_count(&worker->taken);
    worker->running_position = wp_deque_position(&worker->deque);
    wp_worker_run(worker, *job);
  }
}

static void live_on(wp_worker *worker);

static void call_stop_hook(wp_worker *worker) {
  wp_thread_pool_hooks *hooks = &worker->pool->hooks;
  if (hooks->worker_stop != NULL) hooks->worker_stop(hooks->context, worker->index);
}

/// Whether the calling thread has come to its end as a worker. One that went on here ran its jobs inside `end_of_thread`; if
/// another job ends it then, what is called for that one is followed by what was called for the first.
static WP_THREAD_LOCAL bool is_over;

/// A job has ended its thread. Who waits for it is told, and another thread takes the worker over. If none can be started,
/// this one goes on: its frames are gone, and nothing else has been undone yet.
static void end_of_thread(void *argument) {
  if (is_over) return;
  wp_worker *worker = (wp_worker *)argument;
  // First: what is told next may block.
  wp_blocked_forget(worker);
  wp_worker_abandon(worker);
  call_stop_hook(worker);
  wp_worker_set_current(NULL);
  is_over = wp_threads_hand_over(worker);
  if (is_over) return;
  wp_worker_set_current(worker);
  live_on(worker);
  // Not reached if a job ended the thread again there.
  is_over = true;
  wp_threads_end(worker);
}

/// From the first job to the last.
static void live_on(wp_worker *worker) {
  wp_thread_pool_hooks *hooks = &worker->pool->hooks;
  if (hooks->worker_start != NULL) hooks->worker_start(hooks->context, worker->index);
  pthread_cleanup_push(end_of_thread, worker);
  run_jobs(worker);
  pthread_cleanup_pop(0);
  worker->takes_no_more = true;
  call_stop_hook(worker);
  wp_worker_set_current(NULL);
}

void *wp_worker_main(void *argument) {
  wp_worker *worker = (wp_worker *)argument;
  wp_worker_set_current(worker);
  if (worker->pool->node_count > 1) wp_thread_settle_stack();
  wp_name_self(worker->name);
  // Here, so that it lies near the worker.
  worker->has_ring = wp_deque_reserve(&worker->deque);
  worker->takes_no_more = false;
  live_on(worker);
  wp_threads_end(worker);
  return NULL;
}
