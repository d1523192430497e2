// Placed memory that is asked for wrongly, and that the system does not place.
#include "check.h"

#include "CWorkerPool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 50 };

static void expect_invalid(size_t length, const wp_memory_placement *placement, const char *subject) {
  void *address = NULL;
  int refused = 5;
  wp_error error = {.status = WP_OK};
  wp_status status = wp_memory_create(length, placement, &address, &refused, &error);
  CHECK(status == WP_INVALID_ARGUMENT && error.status == status && address == NULL && refused == -1 &&
            strcmp(error.call, subject) == 0 && error.rule != NULL,
        "%s: %s, %s", subject, wp_status_name(status), error.call == NULL ? "-" : error.call);
  CHECK(wp_memory_create(length, placement, &address, NULL, NULL) == WP_INVALID_ARGUMENT, "without an error: %s", subject);
}

void bad_input(int denied_with) {
  if (denied_with != 0) deny_placement(denied_with);
  int node = 0;
  wp_memory_placement placement = {WP_MEMORY_ON_NODES, &node, 1}, none = {WP_MEMORY_ON_NODES, NULL, 0};
  wp_memory_placement empty = {WP_MEMORY_ON_NODES, &node, 0}, unknown = {(wp_memory_policy)9, &node, 1};
  wp_error error;
  void *address = NULL;
  expect_invalid(0, NULL, "length");
  expect_invalid(1, &none, "nodes");
  expect_invalid(1, &empty, "nodes");
  expect_invalid(1, &unknown, "placement");
  CHECK(wp_memory_create(SIZE_MAX / 2, &placement, &address, NULL, &error) == WP_SYSTEM_CALL_FAILED &&
            strcmp(error.call, "mmap") == 0 && error.system_errno == ENOMEM && address == NULL,
        "%s", error.call);
  CHECK(wp_memory_create(SIZE_MAX, NULL, &address, NULL, &error) == WP_SYSTEM_CALL_FAILED, "all there is");
  // Ordinary memory, which begins anywhere.
  static char array[1 << 16];
  char *odd = (uintptr_t)array % 4096 == 0 ? array + 1 : array;
  CHECK(wp_memory_place(odd, 4096, &placement, NULL, &error) == WP_INVALID_ARGUMENT &&
            strcmp(error.call, "address") == 0,
        "%s", error.call);
  wp_shared_memory *shared = NULL;
  CHECK(wp_shared_memory_create(1, true, &empty, &shared, NULL, &error) == WP_INVALID_ARGUMENT && shared == NULL,
        "shared memory on no node");
  CHECK(wp_memory_page_count(0) == 0 && wp_memory_page_count(1) == 1, "pages");
  CHECK(wp_memory_page_count(SIZE_MAX) == SIZE_MAX / (size_t)sysconf(_SC_PAGESIZE) + 1, "pages of all there is");
}

// MARK: A system that does not let memory be placed

static _Atomic int heard;
static char message[600];
static wp_notice last;

static void hear(void *context, const wp_notice *notice) {
  (void)context;
  if (atomic_fetch_add(&heard, 1) > 0) return;
  last = *notice;
  snprintf(message, sizeof message, "%s", notice->message);
}

static void use(unsigned char *memory, size_t length, int error) {
  int nodes[64];
  wp_error failure = {.status = WP_OK};
  for (size_t i = 0; i < length; i++) CHECK(memory[i] == 0, "byte %zu", i);
  memset(memory, 0xA5, length);
  for (size_t i = 0; i < length; i++) CHECK(memory[i] == 0xA5, "byte %zu", i);
  CHECK(wp_memory_page_nodes(memory, length, nodes, &failure) == WP_SYSTEM_CALL_FAILED &&
            failure.system_errno == error && strcmp(failure.call, "move_pages") == 0,
        "%s: %s", failure.call, strerror(failure.system_errno));
}

static void use_placed(const wp_memory_placement *placement, int error) {
  enum { LENGTH = 20001 };
  void *address = NULL;
  int refused = 0;
  wp_shared_memory *shared = NULL;
  CHECK(wp_memory_create(LENGTH, placement, &address, &refused, NULL) == WP_OK && refused == -1, "node %d", refused);
  if (address != NULL) {
    use((unsigned char *)address, LENGTH, error);
    wp_memory_destroy(address, LENGTH);
  }
  CHECK(wp_shared_memory_create(LENGTH, false, placement, &shared, &refused, NULL) == WP_OK, "node %d", refused);
  if (shared != NULL) {
    use((unsigned char *)wp_shared_memory_address(shared), LENGTH, error);
    wp_shared_memory_destroy(shared);
  }
}

static void expect_node_7_refused(void) {
  int nodes[2] = {0, 7}, refused = -1;
  wp_memory_placement placement = {WP_MEMORY_INTERLEAVED, nodes, 2};
  void *address = NULL;
  wp_error error;
  CHECK(wp_memory_create(1, &placement, &address, &refused, &error) == WP_INVALID_ARGUMENT && refused == 7 &&
            address == NULL,
        "node %d", refused);
}

static pthread_barrier_t start;

static void *use_all(void *argument) {
  int error = *(int *)argument, node = 0;
  wp_memory_placement bound = {WP_MEMORY_ON_NODES, &node, 1}, all = {WP_MEMORY_INTERLEAVED, NULL, 0};
  pthread_barrier_wait(&start);
  for (int i = 0; i < ROUNDS; i++) {
    use_placed(i % 2 == 0 ? &bound : &all, error);
    expect_node_7_refused();
  }
  return NULL;
}

/// By many threads at once: memory works, nodes that do not exist are refused as ever, and one notice is said.
void denied(int error) {
  deny_placement(error);
  wp_set_notice_handler(hear, NULL);
  use_placed(NULL, error);
  use_placed(&(wp_memory_placement){WP_MEMORY_FIRST_TOUCH, NULL, 0}, error);
  expect_node_7_refused();
  CHECK(atomic_load_explicit(&heard, memory_order_relaxed) == 0, "nothing was asked for: %s", message);
  pthread_t threads[THREADS];
  pthread_barrier_init(&start, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, use_all, &error) == 0, "thread %d", i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  int times = atomic_load_explicit(&heard, memory_order_relaxed);
  CHECK(times == 1, "%d notices", times);
  CHECK(last.system_errno == error, "errno %d", last.system_errno);
  CHECK(last.kind == (error == ENOSYS ? WP_NOTICE_NO_NUMA : WP_NOTICE_MEMORY_NOT_PLACED), "kind %d", (int)last.kind);
  CHECK(strstr(message, "mbind") != NULL && strstr(message, strerror(error)) != NULL, "%s", message);
}
