// Event count: the one way for a worker to sleep and the one way to wake it.
//
// Purpose. A worker that found no work must not miss work that arrives while it falls asleep, and a submitter
// must not pay for a system call when nobody sleeps. Waking an idle core costs two orders of magnitude more than
// a queue operation, so wake-ups are rationed: while one worker searches, nobody is woken; a searcher that
// finds work wakes the next.
//
// Structure. One 64-bit word holds a stack of waiters (so that the one that slept least, with the warmest caches,
// is woken first) and whether a worker searches:
//
//     63      32  31  30..25     24       23       12 11        0
//     [   tag   ][ far ][ 0 ][ searching ][  waiting ][ top + 1  ]   tag: changes with every push and pop (ABA)
//                                                                  far: constant, there are event counts beside this one
//
// Each waiter has a futex word of its own:
//
//     IDLE ──wait──▶ SLEEPING ──notify──▶ WOKEN or BROADCAST ──(waiter reads it)──▶ IDLE
//      ▲ └──────────notify───────────────▲
//      └──deadline── SLEEPING                  the waiter still stands in the stack
//
// Protocol of a worker:                        Protocol of a submitter:
//     look everywhere, find nothing                make the work visible (seq_cst)
//     prepare   (stands in the stack)              notify_one
//     look everywhere again (seq_cst)
//       found: retract, take it, notify_one if there is more;
//              on failure notify_one, wait
//       nothing: wait
//
// A thread that ends leaves the stack first: it retracts, or it wakes all who stand there, itself among them, and waits.
//
// Nodes. On a machine with several NUMA nodes each has an event count of its own, on which its workers sleep, and all
// of them know each other, by distance. A submitter of work for a node asks that node's first, and the others only as
// long as nobody waits or searches in those before: near workers are woken before far ones. A worker looks for work
// everywhere before it sleeps, but leaves the queues of another node alone while somebody waits or searches there
// (`wp_event_count_is_attended`): whoever made work visible there is about to wake who waits, and who searches looks at it
// or passes the wake on (I2). Else a worker that is awake would run off with what a near one is just being woken for.
//
// Invariants.
//   I1  A waiter stands in the stack at most once, at any time of its pool's life, and whoever pops it writes its futex
//       word exactly once. A waiter without a thread, or one that was borrowed, stands in no stack.
//   I2  `searching` is set while one worker is between begin_search (or being woken by notify_one) and end_search (or
//       prepare); there is never a second. A submitter that sees it, in whichever event count, may stay silent: after its work became visible that worker
//       looks everywhere again, and when it takes one job of several, in its search or after it, or leaves some to
//       another node's workers, it passes the wake on. Likewise a worker that leaves a queue alone since it sees one.
//
// Edges:
//   ANNOUNCE  work is made visible before notify loads the word; prepare changes the word before the worker looks
//             again; all four sequentially consistent. So either the worker sees the work, or the submitter sees
//             the worker (waiting or searching).
//   WAKE      notify releases the futex word, wait acquires it.
//   LEND      prepare releases the word and borrow acquires it; give_back releases it and the notify that pops the waiter
//             acquires it, which edge WAKE passes on. So a waiter's own data go to the borrower and back.
//
// Sources. D. Vyukov's event count (2008) for prepare/commit; the Go scheduler's "spinning" rule and rayon-core's
// sleep/README.md for I2; the idle stack in one word after kprotty's zap. Rejected: one futex for all sleepers
// (wakes an arbitrary one, no count of who was really woken), a condition variable (a lock on the way of every
// submitter).
#ifndef WP_EVENT_COUNT_H
#define WP_EVENT_COUNT_H

#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WP_EVENT_COUNT_MAX_WAITERS 4094u

/// One thread that may wait; it has a fixed index. `signal`: the waiter, and whoever popped it. `below`: the waiter,
/// before it stands in the stack. `expendable`: the owner of the waiters; a hint, so relaxed.
typedef struct wp_waiter {
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 signal;
  wp_atomic_u32 below;
  /// Whether its thread may be one too many (`wp_event_count_notify_expendable`).
  wp_atomic_u32 expendable;
} wp_waiter;

typedef struct wp_event_count wp_event_count;

struct wp_event_count {
  /// Any thread by CAS.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 word;
  /// Constant after init. `waiters` are common to all event counts of a pool; `farther` are the others, by distance.
  WP_ALIGNED(WP_CACHE_LINE) wp_waiter *waiters;
  wp_event_count *const *farther;
  uint32_t farther_count;
};

/// How a waiter was woken.
typedef enum wp_wake {
  /// By `notify_one`: it counts as searching now.
  WP_WAKE_SEARCHING,
  /// By `notify_all` or `notify_expendable`: it does not.
  WP_WAKE_BROADCAST,
  /// By nobody: the deadline has passed, and the waiter still stands in the stack.
  WP_WAKE_TIMED_OUT,
} wp_wake;

/// `waiters` holds one entry for each thread that may wait, all zero, at most WP_EVENT_COUNT_MAX_WAITERS, and outlives the
/// event count's use.
void wp_event_count_init(wp_event_count *event_count, wp_waiter *waiters);
/// Makes an event count know those of other nodes, nearest first. Before its use; the list outlives it.
void wp_event_count_connect(wp_event_count *event_count, wp_event_count *const *farther, uint32_t count);

/// Becomes the one that searches. False when somebody does already.
bool wp_event_count_begin_search(wp_event_count *event_count);
/// Ends a search that found work. The caller then calls notify_one if more work is visible.
void wp_event_count_end_search(wp_event_count *event_count);

/// Puts waiter `index` in the stack and, when it was searching, ends its search, in one step. The caller then looks
/// for work once more and calls retract or wait.
void wp_event_count_prepare(wp_event_count *event_count, uint32_t index, bool searching);
/// Takes the waiter out again. False when others stand above it or it was popped already: then it must wait
/// (after notify_one, so that the work it saw finds somebody).
bool wp_event_count_retract(wp_event_count *event_count, uint32_t index);
/// Sleeps until popped. No spurious returns.
wp_wake wp_event_count_wait(wp_event_count *event_count, uint32_t index);
/// The same until a time on the monotonic clock (UINT64_MAX: for ever), after which the waiter waits again or retracts.
wp_wake wp_event_count_wait_until(wp_event_count *event_count, uint32_t index, uint64_t deadline_ns);

/// Takes the waiter on top out of the stack and lets it sleep on, so that the caller may do what it would do. False when
/// nobody waits, or the one on top is not asleep yet or has an index of `limit` or more.
bool wp_event_count_borrow(wp_event_count *event_count, uint32_t limit, uint32_t *index);
/// Puts a borrowed waiter back in the stack. The caller then looks for work, as after prepare, and calls notify_one if it
/// sees some. What it wrote meanwhile the waiter sees when it is woken.
void wp_event_count_give_back(wp_event_count *event_count, uint32_t index);

/// The waiter on top, at least WP_EVENT_COUNT_MAX_WAITERS if there is none. A hint: it may be another one already.
uint32_t wp_event_count_peek(const wp_event_count *event_count);

/// Wakes the waiter on top if that is expendable. Returns whether it woke one. O(1).
bool wp_event_count_notify_expendable(wp_event_count *event_count);

/// How many stand in the stack. A hint.
uint32_t wp_event_count_waiting(const wp_event_count *event_count);

/// Whether somebody waits or searches here.
bool wp_event_count_is_attended(wp_event_count *event_count);

/// Parts of the word: whom to wake, who searches, whether there are other event counts.
#define WP_EVENT_COUNT_TOP (((uint64_t)1 << 12) - 1)
#define WP_EVENT_COUNT_SEARCHING ((uint64_t)1 << 24)
#define WP_EVENT_COUNT_FAR ((uint64_t)1 << 31)

/// Whether a submitter that sees this word wakes nobody: somebody searches, or nobody waits and there is nobody else to ask.
static inline bool wp_event_count_is_quiet(uint64_t word) {
  return (word & (WP_EVENT_COUNT_TOP | WP_EVENT_COUNT_FAR)) == 0 || (word & WP_EVENT_COUNT_SEARCHING) != 0;
}
/// The rest of `wp_event_count_notify_one`, for a word that is not quiet.
bool wp_event_count_notify_seen(wp_event_count *event_count, uint64_t word);

/// Wakes the waiter on top unless somebody searches or nobody waits; where nobody does either, it asks the next nearest
/// event count. One load in the common case, on a machine of one node. Returns whether it woke one.
static inline bool wp_event_count_notify_one(wp_event_count *event_count) {
  uint64_t word = wp_atomic_load(&event_count->word, wp_seq_cst);  // edge ANNOUNCE
  return !wp_event_count_is_quiet(word) && wp_event_count_notify_seen(event_count, word);
}
/// Wakes everyone who stands in the stack of this event count.
void wp_event_count_notify_all(wp_event_count *event_count);

#ifdef __cplusplus
}
#endif

#endif
