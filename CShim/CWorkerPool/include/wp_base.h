// What every public header shares: statuses, the error record, nullability and Swift attributes.
#ifndef WP_BASE_H
#define WP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WP_BEGIN_DECLS extern "C" {
#define WP_END_DECLS }
#else
#define WP_BEGIN_DECLS
#define WP_END_DECLS
#endif

#if defined(__clang__)
#define WP_NULLABLE _Nullable
#define WP_NONNULL _Nonnull
#define WP_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")
#define WP_NONNULL_END _Pragma("clang assume_nonnull end")
/// A callback that runs on a thread of ours. On the *parameter* or field: on a typedef it has no effect,
/// and a Swift closure formed on the main actor would trap there.
#define WP_SENDABLE __attribute__((swift_attr("@Sendable")))
#else
#define WP_NULLABLE
#define WP_NONNULL
#define WP_NONNULL_BEGIN
#define WP_NONNULL_END
#define WP_SENDABLE
#endif

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// How a call ended. `WP_OK` is zero; everything else is a failure that changed nothing.
typedef enum wp_status {
  WP_OK = 0,
  /// An argument breaks a documented rule.
  WP_INVALID_ARGUMENT,
  /// A system call failed: `wp_error.call` and `wp_error.system_errno` say which and why.
  WP_SYSTEM_CALL_FAILED,
  /// The pool was shut down and takes no more work.
  WP_SHUT_DOWN,
  /// The caller is in a child made by somebody else's `fork`, where the pool's threads do not exist.
  WP_FORKED,
  /// The call would wait for its own thread.
  WP_WOULD_DEADLOCK,
  /// The pool has lost what it needs to go on (its template process, or workers that die at start).
  WP_BROKEN,
  /// What was asked cannot be done the way this pool was started.
  WP_UNSUPPORTED,
  /// A payload is larger than the pool's limit.
  WP_TOO_LARGE,
  /// The deadline passed first.
  WP_TIMED_OUT,
} wp_status;

/// What failed, filled in by a call that does not return `WP_OK`.
///
/// The strings have static storage duration. Callers may pass NULL where a `wp_error` is taken.
typedef struct wp_error {
  wp_status status;
  /// `errno` of the failed system call, or 0.
  int system_errno;
  /// The failed system call or library function ("pthread_create"), or the name of the bad argument.
  const char *WP_NULLABLE call;
  /// The rule that was broken, or NULL.
  const char *WP_NULLABLE rule;
  /// What was refused: the CPU, node or signal when `call` is "cpus", "node" or "blocked_signals"; the thread that is in the
  /// way when it is "start_method" and `culprit` is not empty. Else 0.
  int refused;
  /// The name of that thread.
  char culprit[16];
} wp_error;

/// Values of the settings that say how long to spin before sleeping, in nanoseconds: not at all, and what 0 stands for.
/// The default is about what it costs to wake an idle core, so that spinning at worst doubles the cost of a wait.
#define WP_SPIN_NEVER UINT64_MAX
#define WP_SPIN_DEFAULT_NS 20000u

/// Body of a thread that a pool starts for its owner; what it returns nobody sees.
typedef void *WP_NULLABLE (*WP_SENDABLE wp_thread_body)(void *WP_NULLABLE argument);

/// The English name of a status, for messages. Never NULL. Thread-safe.
const char *wp_status_name(wp_status status);

/// The name of a signal without its "SIG" ("KILL"), NULL for one that has none. Thread-safe.
const char *WP_NULLABLE wp_signal_abbreviation(int number);

WP_NONNULL_END
WP_END_DECLS

#endif
