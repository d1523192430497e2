// Fork-join on the caller's stack: two pieces of work, a range of them, or any number, run by whoever of a pool is
// free; and the call returns when all of it is done. Nothing is allocated, but for a range on a machine with several nodes.
//
// Thread-safety: `wp_join` and `wp_concurrent_perform` from any thread. From outside the pool the caller works as a worker
// that sleeps, under its index, and gives its place back at the end. Where there is none but on its own CPU, or where workers
// differ from other threads (pinned, with a start or stop hook, on one of several nodes, with more stack than the caller),
// it hands the whole to a worker and sleeps meanwhile. The other functions say where they belong.
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
/// While it waits for a stolen `b` the caller runs parts of it, forked by the thief, and nothing else. Errors (neither
/// was run then): `WP_SHUT_DOWN`, also when pending work is discarded before its turn, `WP_FORKED`,
/// `WP_SYSTEM_CALL_FAILED`; and only from outside the pool.
wp_status wp_join(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed a, wp_borrowed b);

/// Calls `body` on disjoint ranges that cover [0, count), of `grain` elements each (some are shorter), in parallel. A
/// worker goes through its part in order and forks off half of what is left whenever its deque is empty, so that uneven
/// work evens out down to a grain. `count` 0 returns at once; `grain` 0 is 1. Errors as for `wp_join`.
wp_status wp_concurrent_perform(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed body, size_t count,
                                size_t grain);

/// Pieces of work, any number of them, that one thread waits for: room on its stack. Each is a call of the same
/// function, which knows by itself what to do next (the group counts calls, and keeps no list).
typedef struct wp_group {
  uintptr_t room[5];
} wp_group;

/// Begins a group on a worker of `pool`; every spawn will call `call(context)`. Ends with `wp_group_wait`.
/// False, without having begun, on any other thread: `wp_concurrent_perform` of one element leads to a worker.
bool wp_group_begin(wp_group *group, wp_thread_pool *pool, wp_job_function call, void *WP_NULLABLE context);
/// One more call, by whichever worker is free. On a worker, by who began the group or by a call of it: so that the
/// group outlives the spawn. Never fails: what the worker's deque has no room for is called here, and so is what
/// another thread spawns.
void wp_group_spawn(wp_group *group);
/// Returns when all calls have returned. On the thread that began it, which runs calls of this group meanwhile.
void wp_group_wait(wp_group *group);

// MARK: For the Swift layer
//
// A Swift closure is passed as two words, its function and its context, in the registers in which C passes two
// pointers. So a Swift declaration of `wp_fork_closure` or `wp_perform_closure` with a closure for its first parameter
// passes the words, and `wp_swift_call`, which the Swift layer defines, gets them and is a closure's caller again. In a
// program without the Swift layer these functions must not be called.

/// Room for a forked piece of work, on the stack of who forks it.
typedef struct wp_fork {
  uintptr_t room[10];
} wp_fork;

typedef enum wp_fork_status {
  /// Somebody may take the work; `wp_fork_end` has to follow.
  WP_FORK_PUSHED,
  /// There is no room for it: the caller runs the work itself.
  WP_FORK_REFUSED,
  /// The caller is no worker of the pool.
  WP_FORK_OUTSIDE,
} wp_fork_status;

/// The first half of `wp_join`, for a caller that runs `a`, and most times `b` too, without the way through C.
wp_fork_status wp_fork_closure(void *WP_NULLABLE first, void *WP_NULLABLE second, wp_thread_pool *pool, wp_fork *fork);
/// The second half, on the same thread. True when nobody took the work, and nobody will: the caller runs it. False when
/// it has been run.
bool wp_fork_end(wp_fork *fork);

/// `wp_join` and `wp_concurrent_perform` of closures.
wp_status wp_join_closures(void *WP_NULLABLE first_a, void *WP_NULLABLE second_a, void *WP_NULLABLE first_b,
                           void *WP_NULLABLE second_b, wp_thread_pool *pool);
wp_status wp_perform_closure(void *WP_NULLABLE first, void *WP_NULLABLE second, wp_thread_pool *pool, size_t count,
                             size_t grain);
/// The same for a closure whose first parameter is `context`.
wp_status wp_perform_closure_with(void *WP_NULLABLE first, void *WP_NULLABLE second, wp_thread_pool *pool, size_t count,
                                  size_t grain, const void *context);

WP_NONNULL_END
WP_END_DECLS

#endif
