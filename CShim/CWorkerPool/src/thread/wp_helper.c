// Threads that are no workers but have their signal mask.
#include "wp_thread_state.h"

#include "../platform/wp_thread.h"

wp_status wp_thread_pool_start_helper(wp_thread_pool *pool, wp_thread_body body, void *argument) {
  pthread_t thread;
  wp_thread_attributes attributes = {0, -1, &pool->signal_mask};
  wp_status status = wp_thread_start(&thread, &attributes, body, argument, NULL);
  if (status == WP_OK) pthread_detach(thread);
  return status;
}
