// Injector: the unbounded lock-free MPMC queue through which work enters a pool from outside.
//
// Purpose. Many submitters, many workers, FIFO, no lock, no limit but memory, and memory given back while the
// queue is in use: a burst of a million jobs must not stay allocated after it has been run.
//
// Structure. A list of segments, each an array of cells with two counters. A submitter takes a ticket with one
// fetch-add on `enqueue` and publishes its job in that cell with one compare-and-swap; a worker claims a run of
// tickets with one compare-and-swap on `dequeue`. A worker that claimed a cell whose submitter was preempted
// between ticket and publication burns the cell, and the submitter takes another: nobody ever waits for a thread
// that may not run.
//
// Sources. P. Ramalhete and A. Correia, "FAAArrayQueue" (2016) for tickets into array segments; A. Morrison and
// Y. Afek, "Fast concurrent queues for x86 processors" (PPoPP 2013) for closing a queue through its enqueue
// counter; M. Michael, "Hazard pointers" (TPDS 2004) for reclamation.
//
// Rejected. A Michael-Scott list: an allocation per job, freed on another core. A bounded ring (Vyukov): a limit,
// and a preempted submitter stalls every worker. crossbeam's block list: submitters wait while one of them links
// the next block. Epochs: one stalled reader keeps all memory. Per-thread hazard records: registration, and
// destructors of threads that are not ours; here a slot is claimed per operation instead.
//
//                  | push | pop | is_empty | close | destroy
//   push           |  ‖   |  ‖  |    ‖     |   ‖   |   ✗
//   pop            |  ‖   |  ‖  |    ‖     |   ‖   |   ✗        ‖ may run beside each other
//   is_empty       |  ‖   |  ‖  |    ‖     |   ‖   |   ✗        ✗ must not
//   close          |  ‖   |  ‖  |    ‖     |   ‖   |   ✗
//
// Edges (named again at the atomic operations that make them):
//   PUBLISH   push writes a cell's argument, then releases its code; pop acquires the code, then reads.
//   LINK      push fills a new segment, then releases `next`; whoever follows `next` acquires.
//   SHIELD    a reader stores a segment in a hazard slot and then finds it still reachable; a reclaimer makes it
//             unreachable and then reads the slots. All four are sequentially consistent, so one sees the other.
//   RETURN    a reader releases its hazard slot after its last access; the reclaimer acquires it before reuse.
//   ANNOUNCE  push's ticket is sequentially consistent and so is `is_empty`: with an event count between them,
//             either the sleeper sees the job or the submitter sees the sleeper (park/wp_event_count.h).
#ifndef WP_INJECTOR_H
#define WP_INJECTOR_H

#include "wp_thread_pool.h"
#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Cells of a segment: 16 KiB, so that an allocation is paid once in a thousand jobs.
#ifndef WP_SEGMENT_CELLS
#define WP_SEGMENT_CELLS 1024u
#endif

/// Hazard slots of one block; more operations at once than slots link another block.
#define WP_HAZARD_SLOTS 16u

typedef struct wp_segment wp_segment;
typedef struct wp_hazard_block wp_hazard_block;

/// Written by: any thread that is inside an operation, one at a time (claimed by CAS from 0).
typedef struct wp_hazard {
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr segment;
} wp_hazard;

struct wp_hazard_block {
  wp_hazard slots[WP_HAZARD_SLOTS];
  /// Written once, by CAS from 0.
  wp_atomic_uptr next;
};

/// What a pop says beside the jobs.
typedef struct wp_popped {
  /// The place of the first job in the order of submission to this queue; the others follow it.
  uint64_t ticket;
  /// How many jobs it left, as far as it saw.
  size_t left;
} wp_popped;

/// Called by a submitter whose jobs needed one more segment, during its push.
typedef void (*wp_injector_grown)(void *context);

typedef struct wp_injector {
  /// Submitters' end. Written by any thread, by CAS; only ever moves to a successor.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr tail;
  /// Workers' end. Likewise; never overtakes `tail`.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr head;
  /// Segments that nobody can reach any more but somebody may still hold: a stack, any thread by CAS.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr retired;
  /// One segment kept for reuse, any thread by exchange.
  wp_atomic_uptr spare;
  // Constant after init.
  /// NULL: nobody wants to know.
  wp_injector_grown grown;
  void *context;
  wp_hazard_block hazards;
} wp_injector;

/// Prepares an empty, open queue. False when there is no memory.
bool wp_injector_init(wp_injector *injector);
/// Names whom to tell when the queue has grown by a segment. Before its use.
void wp_injector_tell(wp_injector *injector, wp_injector_grown grown, void *context);

/// Frees the queue. Nobody may use it any more; jobs that are still in it are lost.
void wp_injector_destroy(wp_injector *injector);

/// Appends `count` jobs, in order, though others' jobs may come to stand between them. Returns `WP_OK`,
/// `WP_SHUT_DOWN` once the queue is closed, or `WP_SYSTEM_CALL_FAILED` without memory; `*accepted` says how many
/// went in. Lock-free; O(count).
wp_status wp_injector_push(wp_injector *injector, const wp_job *jobs, size_t count, size_t *accepted);

/// Removes up to `max` jobs from the front, but no more than one part in `share` (rounded up) of what is there,
/// so that one worker does not take what `share` workers could run. Returns how many; 0 means that the queue was empty at
/// some moment during the call. `popped`, if not NULL, is then left alone, else filled in. Lock-free.
size_t wp_injector_pop(wp_injector *injector, wp_job *jobs, size_t max, size_t share, wp_popped *popped);

/// About how many jobs the queue holds, and tickets that may become one; fewer if they stand in several segments, but 0 only if
/// there are none.
size_t wp_injector_backlog(wp_injector *injector);
/// About how many jobs the queue holds, in all of its segments.
size_t wp_injector_length(wp_injector *injector);
/// Whether the backlog is 0.
bool wp_injector_is_empty(wp_injector *injector);

/// Refuses every push that has not yet taken its ticket. What was accepted can still be popped. Idempotent.
void wp_injector_close(wp_injector *injector);

#ifdef __cplusplus
}
#endif

#endif
