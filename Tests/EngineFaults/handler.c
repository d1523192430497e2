// What the tasks of a story do, in workers.
#include "life.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t life_sum(const void *bytes, size_t length) {
  const unsigned char *byte = (const unsigned char *)bytes;
  uint64_t sum = 0;
  for (size_t i = 0; i < length; i++) sum = sum * 31 + byte[i];
  return sum;
}

static void answer(wp_process_reply *reply, uint64_t value) {
  void *target = wp_process_reply_reserve(reply, sizeof value);
  if (target != NULL) memcpy(target, &value, sizeof value);
}

static void fill(wp_process_reply *reply, const life_order *order) {
  void *target = wp_process_reply_reserve(reply, order->number);
  if (target != NULL) memset(target, (int)(order->task & 0xff), order->number);
}

static void add_shared(const wp_process_request *request, const life_order *order, wp_process_reply *reply) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < order->number; i++) {
    uint64_t id;
    int32_t number;
    memcpy(&id, (const char *)request->bytes + sizeof *order + i * sizeof id, sizeof id);
    wp_shared_view *view = wp_process_worker_view(id, &number);
    if (view == NULL) {
      wp_process_reply_set_code(reply, 404);
      return;
    }
    sum += *(const unsigned char *)wp_shared_view_address(view);
    wp_shared_view_release(view);
  }
  answer(reply, sum);
}

static void print(uint32_t count) {
  char bytes[4096];
  memset(bytes, 'p', sizeof bytes);
  for (uint32_t done = 0; done < count; done += (uint32_t)sizeof bytes) {
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
      if (write(stream, bytes, sizeof bytes) < 0) _exit(99);
    }
  }
}

static void start_family(void) {
  if (fork() != 0) return;
  setsid();
  for (;;) pause();
}

/// A process that its parent does not wait for, and that ends a little later.
static void start_orphan(void) {
  pid_t child = fork();
  if (child != 0) {
    waitpid(child, NULL, 0);
    return;
  }
  if (fork() == 0) usleep(500);
  _exit(0);
}

void life_handle(void *context, const wp_process_request *request, wp_process_reply *reply) {
  (void)context;
  life_order order;
  if (request->function == DO_BEGIN) return;
  if (request->function == DO_REFUSE) {
    wp_process_reply_set_code(reply, 5);
    answer(reply, 5);
    return;
  }
  memcpy(&order, request->bytes, sizeof order);
  uint32_t before = wp_atomic_fetch_add(&seam_here->begun[order.task], 1u, wp_relaxed);
  switch (request->function) {
  case DO_FILL: fill(reply, &order); return;
  case DO_SHARED: add_shared(request, &order, reply); return;
  case DO_STOP:
    while (!wp_process_stop_requested(wp_process_current_task())) sched_yield();
    break;
  case DO_AGAIN:
    while (before == 0) pause();
    break;
  case DO_HANG:
    for (;;) usleep(1000);
  case DO_PRINT: print(order.number); break;
  case DO_FAMILY: start_family(); break;
  case DO_ORPHAN: start_orphan(); break;
  default: break;
  }
  answer(reply, life_sum(request->bytes, request->length));
}

wp_process_handler wp_process_reexec_handler(void) { return life_handle; }
