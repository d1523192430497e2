// Fork-join on the caller's stack: two pieces of work, or a range of them, run by whoever of a pool is free, and the
// call returns when all of it is done. Nothing is allocated.
//
// Thread-safety: callable from any thread. From outside the pool the caller hands the whole of it to a worker and
// sleeps meanwhile.
#ifndef WP_FORK_JOIN_H
#define WP_FORK_JOIN_H

#include "wp_base.h"
#include "wp_thread_pool.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// A borrowed piece of work: called once as `call(first, second, begin, end)`, before the function that took it
/// returns. Two words, so that a closure (function and context) fits.
typedef struct wp_borrowed {
  void *WP_NULLABLE first;
  void *WP_NULLABLE second;
} wp_borrowed;

/// How to call a `wp_borrowed`. `begin` and `end` are 0 under `wp_join`.
typedef void (*wp_borrowed_call)(void *WP_NULLABLE first, void *WP_NULLABLE second, size_t begin, size_t end);

/// Runs `a` here and `b` wherever a worker is free, here if none is. Returns when both have returned.
///
/// While it waits for a stolen `b` the caller runs other forked work of the pool, and nothing else: such work never
/// waits for its ancestors, so this cannot deadlock. Errors (neither was run then): `WP_SHUT_DOWN`, `WP_FORKED`,
/// `WP_SYSTEM_CALL_FAILED`, and only from outside the pool.
wp_status wp_join(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed a, wp_borrowed b);

/// Calls `body` on disjoint ranges that cover [0, count), of `grain` elements each (some are shorter), in parallel. A
/// worker goes through its part in order and forks off half of what is left whenever its deque is empty, so that uneven
/// work evens out down to a grain. `count` 0 returns at once; `grain` 0 is 1. Errors as for `wp_join`.
wp_status wp_concurrent_perform(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed body, size_t count,
                                size_t grain);

// MARK: For the Swift layer
//
// A Swift closure is passed as two words, its function and its context, in the registers in which C passes two
// pointers. So a Swift declaration of `wp_borrow_closure` with a closure for its parameter yields the words, and a call
// of `wp_closure_call()` with the words arrives in Swift as a closure again.

/// The words it was passed.
wp_borrowed wp_borrow_closure(void *WP_NULLABLE first, void *WP_NULLABLE second);
/// Calls a closure of `(Int, Int) -> Void`. NULL in a program without the Swift layer.
wp_borrowed_call WP_NULLABLE wp_closure_call(void);

WP_NONNULL_END
WP_END_DECLS

#endif
