#include "wp_enter.h"

#include "wp_blocked.h"
#include "wp_guest.h"
#include "wp_wait.h"

#include "../base/wp_fatal.h"
#include "../park/wp_latch.h"
#include "../park/wp_wait_spin.h"

typedef struct wp_entrance {
  wp_engine_job head;
  void (*body)(wp_worker *self, void *context);
  void *context;
  wp_latch latch;
} wp_entrance;

static void run_entrance(void *argument) {
  wp_entrance *entrance = (wp_entrance *)argument;
  entrance->body(wp_worker_current(), entrance->context);
  wp_latch_set(&entrance->latch);
}

static void refuse(void *argument) { wp_latch_give_back(&((wp_entrance *)argument)->latch); }

static wp_status enter_by_queue(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context) {
  wp_entrance entrance;
  entrance.head.refuse = refuse;
  entrance.body = body;
  entrance.context = context;
  wp_latch_init(&entrance.latch);
  wp_job job;
  job.code = (uintptr_t)run_entrance | WP_JOB_UNBEGUN;
  job.argument = &entrance;
  wp_status status = wp_thread_pool_submit(pool, job);
  if (status != WP_OK) return status;
  wp_word_spin(&entrance.latch.state, WP_LATCH_SET, 0);
  if (!wp_latch_is_set(&entrance.latch)) {
    wp_blocking_state blocking;
    wp_blocked_begin_for_others(wp_worker_current(), &blocking);
    wp_latch_wait(&entrance.latch);
    wp_blocked_end(&blocking);
  }
  return wp_latch_is_given_back(&entrance.latch) ? WP_SHUT_DOWN : WP_OK;
}

static void end_of_guest(void *unused) {
  (void)unused;
  wp_fatal("fork-join work ended its thread (pthread_exit), whose frames others use");
}

wp_status wp_enter_from_outside(wp_thread_pool *pool, void (*body)(wp_worker *self, void *context), void *context) {
  wp_worker *sleeper = wp_worker_current() == NULL ? wp_guest_begin(pool) : NULL;
  if (sleeper == NULL) return enter_by_queue(pool, body, context);
  pthread_cleanup_push(end_of_guest, NULL);
  body(sleeper, context);
  pthread_cleanup_pop(0);
  wp_guest_end(sleeper);
  return WP_OK;
}
