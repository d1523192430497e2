// Guests: threads from outside that work as a worker while that sleeps.
//
// A thread that calls a pool from outside, with fork-join work that it is going to wait for, could hand the work to a
// worker and sleep. On an idle machine that costs two wake-ups, of a worker at the start and of the caller at the end, some
// 100 µs in which nothing is done. So it borrows a worker that sleeps: takes it from the event count's stack, uses its
// deque, its index and its place among the victims, and gives it back, still asleep. To the rest of the pool that is a
// worker that was woken, had work and slept again; no more threads run jobs than the pool has workers.
//
//   worker:  asleep in the stack ──borrow──▶ asleep, lent ──give back──▶ asleep in the stack
//   caller:  outside             ──────────▶ guest        ───────────▶ outside
//
// Invariant: a lent worker's thread sleeps until it has been given back and popped again, so all that belongs to the
// worker's thread belongs to the guest. Edge LEND (park/wp_event_count.h) passes it on, both ways.
//
// Refused, so that nobody can tell: pools whose workers differ from any thread (pinned, with a start or stop hook, of
// several nodes), and callers with less stack than a worker. Then, and when no worker sleeps, a worker does it all.
//
// Which worker. The kernel wakes a thread on the CPU where it ran last unless it finds an idle one near, and a virtual CPU
// that is halted it takes for a busy one. A helper that ran last where the caller runs now would therefore stand behind
// the caller until that has done all the work, and so again the next time. So the caller borrows the worker that was on its
// own CPU, and leaves one to be woken that was elsewhere; where there is none it does sleep, which lets the scheduler
// spread the workers.
//
// Sources. A caller that takes part: libdispatch's `dispatch_apply`, oneTBB's arenas, ForkJoinPool's external helpers.
// There it comes on top of the workers, or a slot is kept free for it.
#ifndef WP_GUEST_H
#define WP_GUEST_H

#include "wp_thread_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Decides whether a pool has guests; before its first worker starts.
void wp_guest_admit(wp_thread_pool *pool);
/// Makes the calling thread, which is no worker, work as a worker of the pool that sleeps. NULL if that cannot be.
wp_worker *wp_guest_begin(wp_thread_pool *pool);
/// Gives the worker back. What stands in its deque others take, or it does itself.
void wp_guest_end(wp_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
