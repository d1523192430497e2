#include "wp_delivery.h"

#include "wp_assert.h"

static WP_THREAD_LOCAL wp_delivery delivery_of_thread;

wp_delivery *wp_thread_delivery(void) { return &delivery_of_thread; }

void wp_thread_deliver(void) {
  if (delivery_of_thread.deliver != NULL) delivery_of_thread.deliver();
}
