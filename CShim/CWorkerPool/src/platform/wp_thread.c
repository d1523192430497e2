#include "wp_thread.h"

#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../base/wp_assert.h"
#include "../base/wp_at_fork.h"
#include "../base/wp_error.h"
#include "wp_numa.h"
#include "wp_thread_pool.h"

// MARK: Start

static size_t usable_stack_size(size_t wanted) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t least = (size_t)PTHREAD_STACK_MIN;
  if (wanted < least) wanted = least;
  return wanted > SIZE_MAX - page ? wanted : (wanted + page - 1) / page * page;
}

static wp_status pin_attribute(pthread_attr_t *attribute, int cpu, wp_error *error) {
  struct bitmask *mask = numa_allocate_cpumask();
  numa_bitmask_setbit(mask, (unsigned)cpu);
  // The attribute, not the running thread: the worker's first instruction is on its CPU already, and so is the
  // first touch of its stack.
  int failure = pthread_attr_setaffinity_np(attribute, numa_bitmask_nbytes(mask), (const cpu_set_t *)mask->maskp);
  numa_free_cpumask(mask);
  return failure == 0 ? WP_OK : wp_fail(error, WP_SYSTEM_CALL_FAILED, failure, "pthread_attr_setaffinity_np", NULL);
}

// AddressSanitizer's own pthread_create lets a thread begin with its creator's mask, whatever the attribute says.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WP_CREATOR_GIVES_MASK 1
#endif
#endif

static int create(pthread_t *thread, const pthread_attr_t *attribute, const sigset_t *mask, wp_thread_body body,
                  void *argument) {
#ifdef WP_CREATOR_GIVES_MASK
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, mask, &before);
  int failure = pthread_create(thread, attribute, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failure;
#else
  (void)mask;
  return pthread_create(thread, attribute, body, argument);
#endif
}

static wp_status start_with(pthread_attr_t *attribute, pthread_t *thread, const wp_thread_attributes *attributes,
                            wp_thread_body body, void *argument, wp_error *error) {
  if (attributes->stack_size != 0) {
    int failure = pthread_attr_setstacksize(attribute, usable_stack_size(attributes->stack_size));
    if (failure != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, failure, "pthread_attr_setstacksize", NULL);
  }
  if (attributes->cpu >= 0) {
    wp_status status = pin_attribute(attribute, attributes->cpu, error);
    if (status != WP_OK) return status;
  }
  if (attributes->signal_mask != NULL) {
    // The attribute, and not the caller's own mask for a moment: the caller may block what the thread does not.
    int failure = pthread_attr_setsigmask_np(attribute, attributes->signal_mask);
    if (failure != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, failure, "pthread_attr_setsigmask_np", NULL);
  }
  int failure = create(thread, attribute, attributes->signal_mask, body, argument);
  return failure == 0 ? WP_OK : wp_fail(error, WP_SYSTEM_CALL_FAILED, failure, "pthread_create", NULL);
}

wp_status wp_thread_start(pthread_t *thread, const wp_thread_attributes *attributes, wp_thread_body body,
                          void *argument, wp_error *error) {
  pthread_attr_t attribute;
  int failure = pthread_attr_init(&attribute);
  if (failure != 0) return wp_fail(error, WP_SYSTEM_CALL_FAILED, failure, "pthread_attr_init", NULL);
  wp_status status = start_with(&attribute, thread, attributes, body, argument, error);
  pthread_attr_destroy(&attribute);
  return status;
}

// MARK: About the calling thread

/// The usable part of the calling thread's stack.
static bool find_stack(uintptr_t *lowest, size_t *size) {
  pthread_attr_t attribute;
  if (pthread_getattr_np(pthread_self(), &attribute) != 0) return false;
  void *base = NULL;
  size_t guard = 0;
  bool found = pthread_attr_getstack(&attribute, &base, size) == 0 &&
               pthread_attr_getguardsize(&attribute, &guard) == 0 && *size > guard;
  pthread_attr_destroy(&attribute);
  *lowest = (uintptr_t)base + guard;
  *size -= found ? guard : 0;
  return found;
}

void wp_thread_settle_stack(void) {
  uintptr_t lowest = 0;
  size_t size = 0;
  if (!find_stack(&lowest, &size)) return;
  wp_numa_bring_here((void *)lowest, size);
}

size_t wp_thread_remaining_stack(void) {
  // Lowest usable address of this thread's stack; asked once, since for the main thread glibc reads /proc.
  static WP_THREAD_LOCAL uintptr_t lowest;
  static WP_THREAD_LOCAL bool asked;
  if (!asked) {
    size_t size = 0;
    asked = true;
    if (!find_stack(&lowest, &size)) lowest = 0;
  }
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  return lowest != 0 && here > lowest ? here - lowest : 0;
}

#define WP_UNLIMITED_STACK ((size_t)64 << 20)
#define WP_LARGEST_STACK ((size_t)1 << 30)

size_t wp_thread_main_stack(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return WP_UNLIMITED_STACK;
  return limit.rlim_cur > WP_LARGEST_STACK ? WP_LARGEST_STACK : (size_t)limit.rlim_cur;
}

size_t wp_thread_default_stack(void) {
  pthread_attr_t attribute;
  size_t size = 0;
  if (pthread_attr_init(&attribute) != 0) return 0;
  if (pthread_attr_getstacksize(&attribute, &size) != 0) size = 0;
  pthread_attr_destroy(&attribute);
  return size;
}

int wp_thread_current_node(void) {
  unsigned node;
  return getcpu(NULL, &node) == 0 ? (int)node : -1;
}

// MARK: Foreign forks

uint32_t wp_forks_seen;

static void count_fork(void) { wp_forks_seen++; }

WP_AT_FORK(count_fork)
