#include "wp_notice_once.h"

#include "wp_at_fork.h"
#include "wp_atomic.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/// Longer than any message here; one that is not is cut.
#define LONGEST 512

/// Bit `kind` is set when that kind was said. Any thread sets bits, nobody clears them. It orders nothing: who sets a
/// bit says the notice, and nobody waits for it.
static wp_atomic_u32 said;

/// Guards the two below, for as long as it takes to copy them.
static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;
static wp_notice_handler current_handler = wp_notice_print;
static void *current_context;

/// In a child of a fork: another thread may have had the lock.
static void free_lock(void) { pthread_mutex_init(&handler_lock, NULL); }
WP_AT_FORK(free_lock)

void wp_notice_print(void *context, const wp_notice *notice) {
  (void)context;
  // Standard error has no buffer: this is one write.
  fprintf(stderr, "swift-worker-pool: %s\n", notice->message);
}

void wp_set_notice_handler(wp_notice_handler handler, void *context) {
  pthread_mutex_lock(&handler_lock);
  current_handler = handler;
  current_context = context;
  pthread_mutex_unlock(&handler_lock);
}

static void say(wp_notice_kind kind, int system_errno, const char *format, va_list arguments) {
  pthread_mutex_lock(&handler_lock);
  wp_notice_handler handler = current_handler;
  void *context = current_context;
  pthread_mutex_unlock(&handler_lock);
  if (handler == NULL) return;
  char message[LONGEST];
  int length = vsnprintf(message, sizeof message, format, arguments);
  if (length < 0) return;
  if (system_errno != 0 && (size_t)length < sizeof message) {
    const char *reason = strerrordesc_np(system_errno);
    snprintf(message + length, sizeof message - (size_t)length, ": %s", reason != NULL ? reason : "unknown error");
  }
  wp_notice notice = {kind, system_errno, message};
  handler(context, &notice);
}

void wp_notice_once(wp_notice_kind kind, int system_errno, const char *format, ...) {
  uint32_t bit = (uint32_t)1 << kind;
  if ((wp_atomic_load(&said, wp_relaxed) & bit) != 0) return;
  if ((wp_atomic_fetch_or(&said, bit, wp_relaxed) & bit) != 0) return;
  int saved = errno;
  va_list arguments;
  va_start(arguments, format);
  say(kind, system_errno, format, arguments);
  va_end(arguments);
  errno = saved;
}
