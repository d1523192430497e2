// Notices: once for each kind in a process, to whom they should.
#include "check.h"

#include "../../CShim/CWorkerPool/src/base/wp_notice_once.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { KINDS = 4, THREADS = 16 };

typedef struct record {
  _Atomic int count[KINDS];
  char message[KINDS][600];
  int system_errno[KINDS];
} record;

static void hear(void *context, const wp_notice *notice) {
  record *self = (record *)context;
  // Only the first of a kind writes, and there must be no second.
  if (atomic_fetch_add(&self->count[notice->kind], 1) > 0) return;
  snprintf(self->message[notice->kind], sizeof self->message[0], "%s", notice->message);
  self->system_errno[notice->kind] = notice->system_errno;
}

static int times(const record *self, wp_notice_kind kind) {
  return atomic_load_explicit(&self->count[kind], memory_order_relaxed);
}

static pthread_barrier_t start;

static void *say_all(void *argument) {
  (void)argument;
  pthread_barrier_wait(&start);
  errno = 77;
  for (int round = 0; round < 1000; round++) {
    wp_notice_once(WP_NOTICE_CPU_GONE, 0, "CPU %d is gone", 3);
    wp_notice_once(WP_NOTICE_AFFINITY_NOT_SET, EPERM, "worker %u of %s floats", 7u, "pool");
  }
  CHECK(errno == 77, "errno is %d", errno);
  return NULL;
}

void notices(int error) {
  (void)error;
  static record heard, late;
  // The default writes a line to standard error, which who runs this looks at.
  wp_notice_once(WP_NOTICE_NO_NUMA, ENOSYS, "no nodes");
  wp_set_notice_handler(hear, &heard);
  pthread_t threads[THREADS];
  pthread_barrier_init(&start, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, say_all, NULL) == 0, "thread %d", i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  wp_notice_once(WP_NOTICE_NO_NUMA, ENOSYS, "no nodes again");
  CHECK(times(&heard, WP_NOTICE_NO_NUMA) == 0, "said before");
  CHECK(times(&heard, WP_NOTICE_CPU_GONE) == 1 && heard.system_errno[WP_NOTICE_CPU_GONE] == 0 &&
            strcmp(heard.message[WP_NOTICE_CPU_GONE], "CPU 3 is gone") == 0,
        "%d times: %s", times(&heard, WP_NOTICE_CPU_GONE), heard.message[WP_NOTICE_CPU_GONE]);
  CHECK(times(&heard, WP_NOTICE_AFFINITY_NOT_SET) == 1 && heard.system_errno[WP_NOTICE_AFFINITY_NOT_SET] == EPERM &&
            strcmp(heard.message[WP_NOTICE_AFFINITY_NOT_SET], "worker 7 of pool floats: Operation not permitted") == 0,
        "%d times: %s", times(&heard, WP_NOTICE_AFFINITY_NOT_SET), heard.message[WP_NOTICE_AFFINITY_NOT_SET]);
  // A message without end is cut, and the next handler hears the next.
  char word[900];
  memset(word, 'x', sizeof word - 1);
  word[sizeof word - 1] = 0;
  wp_set_notice_handler(hear, &late);
  wp_notice_once(WP_NOTICE_MEMORY_NOT_PLACED, EPERM, "%s", word);
  CHECK(times(&late, WP_NOTICE_MEMORY_NOT_PLACED) == 1 && times(&heard, WP_NOTICE_MEMORY_NOT_PLACED) == 0, "the new one");
  size_t length = strlen(late.message[WP_NOTICE_MEMORY_NOT_PLACED]);
  CHECK(length > 100 && length < sizeof word - 1 && strspn(late.message[WP_NOTICE_MEMORY_NOT_PLACED], "x") == length,
        "%zu bytes", length);
}

/// Nobody hears what nobody wants to hear, also when somebody would have later.
void no_handler(int error) {
  (void)error;
  static record heard;
  wp_set_notice_handler(NULL, NULL);
  wp_notice_once(WP_NOTICE_CPU_GONE, 0, "CPU 3 is gone");
  wp_set_notice_handler(hear, &heard);
  wp_notice_once(WP_NOTICE_CPU_GONE, 0, "CPU 3 is gone");
  CHECK(times(&heard, WP_NOTICE_CPU_GONE) == 0, "said twice");
  wp_set_notice_handler(wp_notice_print, NULL);
  wp_notice_once(WP_NOTICE_AFFINITY_NOT_SET, 100000, "worker 1 floats");
}
