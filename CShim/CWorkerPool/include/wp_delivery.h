// Delivery: what a thread still has to tell of what it has completed, and of which task it is in the middle.
//
// A layer above completes what others wait for, and tells them on the completing thread. The told may complete more, so
// that telling at once would be a recursion without bound. So each thread keeps one queue of what is to be told, here,
// where the layer finds it without asking and without allocating, and where the engine finds it when the thread blocks.
//
// Thread-safety: each thread sees a record of its own.
#ifndef WP_DELIVERY_H
#define WP_DELIVERY_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// The record of one thread. All zero until the layer above writes it; the engine reads the function alone.
typedef struct wp_delivery {
  /// Tells all that is left to tell. NULL as long as the thread has had nothing to tell.
  void (*WP_NULLABLE deliver)(void);
  /// Lists of whom to tell: those that the callback which runs now has brought about, and the rest.
  void *WP_NULLABLE fresh;
  void *WP_NULLABLE rest;
  /// The innermost task that runs here on top of a wait for it, as the layer above names it.
  uintptr_t running[2];
  /// `wp_fork_generation` when `fresh` or `rest` were written.
  uint32_t forks;
  /// Whether a callback runs: what is completed meanwhile is told when it has returned.
  bool delivers;
} wp_delivery;

/// The calling thread's record. Valid until the thread has ended.
wp_delivery *wp_thread_delivery(void);

/// Tells whatever the calling thread still has to tell. Every blocking call of wp_blocking.h and wp_fork_join.h does that
/// first: what is told may bring about what the thread is to wait for. O(1) when nothing is left.
void wp_thread_deliver(void);

WP_NONNULL_END
WP_END_DECLS

#endif
