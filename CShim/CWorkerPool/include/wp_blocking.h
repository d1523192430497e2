// Blocking: the one call that every wait of a worker passes through, whatever the wait is for.
//
// A worker that blocks takes itself out of its pool. So the worker says so before, and a spare takes its place. Where no
// spare is left the pool knows whether a wait could ever end: a wait for work of the pool itself ends only if some thread
// of the pool does not wait. A wait that something outside the pool ends may always go on.
//
// Thread-safety: each function says who may call it.
#ifndef WP_BLOCKING_H
#define WP_BLOCKING_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// What a blocked thread waits for.
typedef enum wp_blocked_for {
  /// Work of the pool that the caller is a worker of.
  WP_BLOCKED_FOR_POOL,
  /// Anything else: another pool, a promise, a clock, a device.
  WP_BLOCKED_FOR_OTHERS,
} wp_blocked_for;

/// How `wp_blocking_wait` ended.
typedef enum wp_blocking_outcome {
  WP_BLOCKING_WOKEN,
  /// Every thread of the pool waits for work of the pool by now: this wait would never end.
  WP_BLOCKING_REFUSED,
  WP_BLOCKING_TIMED_OUT,
} wp_blocking_outcome;

/// One wait: room on the stack of the thread that blocks.
typedef struct wp_blocking {
  uintptr_t room[8];
} wp_blocking;

/// Says that the calling thread is about to block. If that is a worker, a spare takes its place in its pool, started if need
/// be; on any other thread nothing is counted. `wp_blocking_end` has to follow on the same thread when this succeeds.
///
/// Errors, for `WP_BLOCKED_FOR_POOL` alone: `WP_WOULD_DEADLOCK` when every other thread of the pool is blocked for work of
/// the pool, too, and no spare is left; `WP_SYSTEM_CALL_FAILED` when that is so because the thread of a spare cannot be
/// started (`error` names the call). The caller must not wait then. O(1); about as dear as waking a thread.
wp_status wp_blocking_begin(wp_blocking *blocking, wp_blocked_for what, wp_error *WP_NULLABLE error);

/// Sleeps until `wp_blocking_wake`, until the wait is refused (only one `WP_BLOCKED_FOR_POOL` is), or until `deadline_ns` on
/// CLOCK_MONOTONIC (UINT64_MAX: for ever). Does not return early. On the thread that began; after a time-out it may wait
/// again.
wp_blocking_outcome wp_blocking_wait(wp_blocking *blocking, uint64_t deadline_ns);

/// Ends the wait of a thread. Any thread, at most once for each `wp_blocking_begin`. The memory may be gone when this
/// returns: nothing but its address is used after the store that ends the wait.
void wp_blocking_wake(wp_blocking *blocking);

/// Ends what `wp_blocking_begin` began. Spares that are not needed any more stop taking jobs, and end after some seconds.
/// O(1), wakes at most one thread.
void wp_blocking_end(wp_blocking *blocking);

WP_NONNULL_END
WP_END_DECLS

#endif
