// The state of a thread pool: every struct that its files share, with who writes each member. No function here does more
// than read or write a member.
//
// A worker's life (`wp_worker.life`, under the lock of `wp_threads`). Spares are workers that may always step down:
//
//            ┌─────────────────── its thread has ended ────────────────────┐
//            ▼                                                             │
//         ABSENT ──start──▶ STAYS ◀──resize──▶ LEAVES ──one too many──▶ ENDING     a worker
//         ABSENT ──start──────────────────────▶ LEAVES ◀──────────────▶ BENCHED    a spare
//                                                 │    one too many /      │
//                                                 │    called up           │ nobody called, or the pool drains
//                                                 └──▶ ENDING ◀────────────┘
//         STAYS, LEAVES ──the pool drains, nothing is left──▶ ENDING
//
// The pool's life (`wp_thread_pool.life`, one word, written under the lock of `wp_threads`):
//
//         OPEN ──close──▶ DRAINING ──the last thread ends──▶ ENDED          DISCARDING is a bit beside DRAINING
//
//   OPEN      takes jobs, starts threads.
//   DRAINING  takes no job from outside; what was accepted still runs; a thread ends when it sees no work. The only thread
//             that still starts is a spare, in place of a blocked worker, while there is work.
//   ENDED     no thread is left, and none will start.
//
// The rule for both: a thread that ends stands in no stack, leaves no job, and is joined by exactly one (wp_threads.h).
#ifndef WP_THREAD_STATE_H
#define WP_THREAD_STATE_H

#include <pthread.h>
#include <signal.h>

#include "wp_block_trade.h"
#include "wp_fairness.h"
#include "wp_pace.h"
#include "wp_thread_pool.h"
#include "../park/wp_event_count.h"
#include "../queue/wp_deque.h"
#include "../queue/wp_injector.h"
#include "../queue/wp_putback.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WP_NO_NODE UINT32_MAX

/// How long a spare sleeps without work before it asks whether it is needed, and how long it sits on the bench.
#define WP_SPARE_ASLEEP_NS 1000000000u
#define WP_SPARE_BENCHED_NS 5000000000u

// MARK: Jobs of the engine

/// Tags of the engine's own jobs, whose code is a `wp_job_function` below them. Without `WP_JOB_FOREIGN`: what that
/// bit's owner does with the others is its own affair. The argument of an engine job begins with a `wp_engine_job`.
#define WP_JOB_ENGINE ((uintptr_t)1 << (sizeof(uintptr_t) * 8 - 2))
/// Of those, the forks: jobs on the stack of a thread that waits for them.
#define WP_JOB_FORK (WP_JOB_ENGINE | (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 3))
/// Of those, the ones that nobody has begun to work on: they are refused when pending work is discarded. All others go on.
#define WP_JOB_UNBEGUN (WP_JOB_ENGINE | (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 4))
#define WP_JOB_TAGS (WP_JOB_FOREIGN | WP_JOB_FORK | WP_JOB_UNBEGUN)

/// The head of what an engine job's argument points to.
typedef struct wp_engine_job {
  /// Gives the job back to whoever waits for it, in place of running it. Constant while the job stands in a queue.
  void (*refuse)(void *argument);
} wp_engine_job;

static inline bool wp_job_is_engine(wp_job job) {
  return (job.code & (WP_JOB_FOREIGN | WP_JOB_ENGINE)) == WP_JOB_ENGINE;
}

// MARK: A worker

typedef enum wp_worker_life {
  WP_WORKER_ABSENT = 0,
  WP_WORKER_STAYS,
  WP_WORKER_LEAVES,
  WP_WORKER_BENCHED,
  WP_WORKER_ENDING
} wp_worker_life;

// States of a wait's word:
//
//     OPEN ──wait──▶ AWAITED ──wake──▶ WOKEN         a wait that was refused goes back to OPEN when its thread has seen it
//       │               └──refuse──▶ IS_REFUSED ──▶ OPEN
//       └──wake──▶ WOKEN,  ──refuse──▶ IS_REFUSED
#define WP_BLOCKING_OPEN 0u
#define WP_BLOCKING_AWAITED 1u
#define WP_BLOCKING_IS_WOKEN 2u
#define WP_BLOCKING_IS_REFUSED 3u

/// One wait of a thread; see wp_blocking.h.
typedef struct wp_blocking_state {
  /// The waiter, whoever ends the wait, and whoever refuses it. Edge WAKE: released by those, acquired by the waiter.
  wp_atomic_u32 word;
  // Under the lock of `wp_threads`.
  bool is_for_pool;
  bool can_be_refused;
  bool is_listed;
  struct wp_worker *worker;
  struct wp_blocking_state *outer;
  /// Among the waits of the pool of which `goes_on` is known.
  struct wp_blocking_state *newer;
  struct wp_blocking_state *older;
  /// Whether the thread goes on by itself, or may do so: it does not sleep yet, or its wait is over. NULL: nobody but the
  /// thread knows. Constant.
  bool (*goes_on)(void *awaited);
  void *awaited;
} wp_blocking_state;

/// What belongs to a worker's thread belongs to a guest's while that works as this worker (wp_guest.h).
typedef struct wp_worker {
  wp_deque deque;
  // Constant while it has a thread.
  WP_ALIGNED(WP_CACHE_LINE) wp_thread_pool *pool;
  /// Its node's.
  wp_event_count *event_count;
  /// Its place among the pool's waiters.
  uint32_t waiter;
  uint32_t index;
  /// A spare belongs to the node of the worker that it was first started for.
  uint32_t node;
  int cpu;
  char name[16];
  bool is_spare;
  /// Whether the deque has a ring: without one it takes no batch.
  bool has_ring;
  // Under the lock of `wp_threads`.
  uint8_t life;
  /// The next spare of its node that is benched, or that has no thread.
  struct wp_worker *next_idle;
  /// Whether it may have to leave, between two jobs. Written under the lock; read by the worker, relaxed, since it then asks
  /// under the lock. A guest reads it in the order of edge ANNOUNCE.
  wp_atomic_u32 may_leave;
  /// Of a spare: counts the calls from the bench. Written under the lock.
  wp_atomic_u32 called;
  // The worker's own.
  /// Whether it has run its last job: what it submits then goes to an injector, which knows whether anybody is left to come.
  bool takes_no_more;
  uint32_t random;
  /// Whether the last look at an injector found some jobs, and few.
  bool close_behind;
  /// Whether the job that runs is timed alone. Of the batch at hand, how many jobs were left after its first one; 0: there is
  /// none, or something came in between.
  bool batch_is_timed;
  uint16_t batch_rest;
  /// How often it began to run a piece of work that another thread waits for, in a wait of its own; and how many scopes it
  /// has begun and not ended, and how many forks it has not got back.
  uint32_t helping;
  uint32_t scopes;
  uint32_t forks;
  /// Jobs that it began outside the queues and that were not at the end of its deque, as far as they were not counted (wp_sweep.h).
  uint32_t begun_elsewhere;
  wp_fairness fairness;
  wp_pace pace;
  /// Where the deque ends without that rest; the ticket of the rest's first job; how many jobs the worker had run when that was
  /// next, those of turns not counted; and from how many on nothing of a turn stands above the batch any more.
  int64_t batch_position;
  uint64_t batch_ticket;
  uint64_t batch_taken;
  uint64_t batch_clear;
  /// The job that it runs, outside of which it waits for none; and where its deque ended when it began.
  wp_job running;
  int64_t running_position;
  /// The waits that it is in, the innermost first.
  wp_blocking_state *blocking;
  /// The wait that `wp_thread_pool_block_begin` began, and how many of them are nested.
  wp_blocking_state plain_blocking;
  uint32_t plain_blockings;
  /// Whether the innermost is counted as a wait for the pool. Under the lock of `wp_threads`.
  bool is_blocked_for_pool;
  // The worker writes, anyone reads: relaxed, since nothing hangs on them.
  /// The CPU on which it last went to sleep.
  wp_atomic_u32 last_cpu;
  /// Jobs that it took from a queue to run them, between other jobs.
  wp_atomic_u64 taken;
  /// Those of them that stood in a queue of another node.
  wp_atomic_u64 taken_afar;
  /// Jobs that it took from the deques of others, by their node.
  wp_atomic_u64 *steals;
  // The worker's own.
  WP_ALIGNED(WP_CACHE_LINE) wp_block_trade trade;
} wp_worker;

extern WP_THREAD_LOCAL wp_worker *wp_worker_of_thread;
/// The calling thread's worker, NULL on other threads. A guest's is the one that it works as.
static inline wp_worker *wp_worker_current(void) { return wp_worker_of_thread; }
static inline void wp_worker_set_current(wp_worker *worker) { wp_worker_of_thread = worker; }

/// One more; by the one thread that counts there.
static inline void wp_count(wp_atomic_u64 *counter) {
  wp_atomic_store(counter, wp_atomic_load(counter, wp_relaxed) + 1, wp_relaxed);
}

// MARK: A pool

/// Threads of a pool or of a node. Written under the lock of `wp_threads`; read by anyone, relaxed.
typedef struct wp_thread_counts {
  /// Workers and spares that look for work, run or are blocked: STAYS and LEAVES.
  wp_atomic_u32 threads;
  /// Those of them that are blocked.
  wp_atomic_u32 blocked;
  /// How many are wanted that are not blocked: the workers that STAY.
  wp_atomic_u32 wanted;
} wp_thread_counts;

/// Whether no thread is left that is not blocked.
static inline bool wp_thread_counts_are_all_blocked(const wp_thread_counts *counts) {
  return wp_atomic_load(&counts->threads, wp_relaxed) == wp_atomic_load(&counts->blocked, wp_relaxed);
}

/// Whether one thread more than wanted is not blocked.
static inline bool wp_thread_counts_have_surplus(const wp_thread_counts *counts) {
  return wp_atomic_load(&counts->threads, wp_relaxed) >
         wp_atomic_load(&counts->blocked, wp_relaxed) + wp_atomic_load(&counts->wanted, wp_relaxed);
}

/// Whether fewer threads than wanted are not blocked.
static inline bool wp_thread_counts_are_short(const wp_thread_counts *counts) {
  return wp_atomic_load(&counts->threads, wp_relaxed) <
         wp_atomic_load(&counts->blocked, wp_relaxed) + wp_atomic_load(&counts->wanted, wp_relaxed);
}

/// One NUMA node's part of a pool.
typedef struct wp_pool_node {
  wp_injector injector;
  /// Stands before the injector.
  wp_putback putback;
  /// Sweeps that hold jobs of the node between two queues. Any thread; edge ANNOUNCE.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 sweeping;
  /// One sweep of the node at a time.
  pthread_mutex_t sweep_lock;
  wp_event_count event_count;
  /// What its workers freed of what others allocated.
  wp_block_ring freed;
  // Written under the lock of `wp_threads`. Entries below `worker_count` are constant: edge SLOT, released with it.
  WP_ALIGNED(WP_CACHE_LINE) wp_worker **workers;
  wp_atomic_u32 worker_count;
  wp_thread_counts counts;
  /// Spares that sit on the bench, and those without a thread: stacks by `next_idle`.
  wp_worker *benched;
  wp_worker *absent;
  // Constant after init.
  wp_thread_pool *pool;
  /// All nodes, this one first, then by distance.
  uint32_t *nearest;
  /// The event counts of the others, likewise.
  wp_event_count **farther;
  int system_id;
  /// Where its memory is: another node, if it has none.
  int memory_id;
} wp_pool_node;

/// Who has a thread in a pool, and who is blocked; see wp_threads.h.
typedef struct wp_threads {
  pthread_mutex_t lock;
  /// Signalled when the pool is ENDED, and when the last thread has been joined.
  pthread_cond_t ended;
  // Under `lock`.
  wp_thread_counts counts;
  /// Blocked threads that wait for work of this pool.
  uint32_t blocked_for_pool;
  /// The waits of blocked threads of which it can be seen whether they go on, the oldest first.
  wp_blocking_state *oldest_wait;
  wp_blocking_state *newest_wait;
  /// Whether there may be a deadlock as soon as those of them sleep that do not yet. Written under the lock. Edge ASLEEP.
  wp_atomic_u32 nearly_deadlocked;
  /// Threads that were started and have not come to their end.
  uint32_t live;
  /// Spares that are ENDING: no longer on the bench, and not ABSENT yet.
  uint32_t ending_spares;
  /// Who has come to the end last and was not joined, if anybody.
  pthread_t last;
  bool has_last;
  /// Whether somebody joins `last`, which is the end of it; and whether the handle was released, so that nobody will.
  bool joining;
  bool abandoned;
  /// Threads that may leave and sleep without a deadline, since they were not too many.
  uint32_t lingering;
} wp_threads;

/// Who works in a pool, spares apart; see wp_roster.h. Under the lock of `wp_threads`, but for what is constant.
typedef struct wp_roster {
  /// By index, up to the number of workers that are wanted.
  wp_worker **by_index;
  /// Workers that exist, with a thread or without.
  uint32_t count;
  // Constant after init.
  uint32_t capacity;
  /// What `wp_thread_pool_resize` places workers by; copies.
  wp_affinity_choice affinity;
  wp_topology_source machine;
  bool tolerates_environment;
} wp_roster;

/// Workers that stand in for blocked ones; see wp_spares.h.
typedef struct wp_spares {
  // Constant after init. `slots` is untouched memory as far as no spare was needed.
  uint32_t limit;
  wp_worker *slots;
  /// Slots that were ever used: their deques exist. Written under the lock of `wp_threads`; edge SLOT.
  wp_atomic_u32 used;
} wp_spares;

// Bits of `wp_thread_pool.life`.
#define WP_POOL_OPEN 0u
#define WP_POOL_DRAINING 1u
#define WP_POOL_ENDED 2u
#define WP_POOL_DISCARDING 4u

/// Below it is what the queues mark their cells with.
#define WP_LEAST_CODE ((uintptr_t)2)

struct wp_thread_pool {
  /// OPEN, DRAINING or DRAINING | ENDED, and DISCARDING; see the top of this file.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 life;
  // Any thread, once, false to true, before the first push to `aside`.
  wp_atomic_u32 aside_used;
  // The handle, and each thread that has not ended.
  wp_atomic_u32 references;
  // Constant after init.
  WP_ALIGNED(WP_CACHE_LINE) wp_pool_node *nodes;
  uint32_t node_count;
  /// How many workers are wanted. Written under the lock of `wp_threads`, seldom; read by anyone.
  wp_atomic_u32 worker_count;
  /// Jobs that stood above forked work on a worker's deque. Never closed: they were accepted before.
  wp_injector *aside;
  /// All event counts' waiters, and the tables of roster and nodes: memory that is touched as far as it is used.
  wp_waiter *waiters;
  size_t reserved;
  uint32_t *nearest_storage;
  wp_event_count **farther_storage;
  wp_topology *topology;
  uint32_t fork_generation;
  /// How far above `WP_LEAST_CODE` the code of a submitted job may be. Foreign jobs are above all others: where nobody runs
  /// them they are refused by the same comparison.
  uintptr_t code_span;
  uint64_t spin_ns;
  wp_thread_pool_hooks hooks;
  size_t stack_size;
  /// Bytes of stack that a guest must have; SIZE_MAX where there are no guests.
  size_t guest_stack;
  char name[16];
  /// What its threads block: what the maker of the pool blocked, and what the settings add.
  sigset_t signal_mask;
  /// The body of a worker's thread, and what frees the pool: who starts and ends threads stands below what these do.
  void *(*worker_main)(void *worker);
  void (*free)(wp_thread_pool *pool);
  WP_ALIGNED(WP_CACHE_LINE) wp_threads threads;
  wp_roster roster;
  wp_spares spares;
};

static inline uint32_t wp_pool_life(wp_thread_pool *pool) { return wp_atomic_load(&pool->life, wp_seq_cst); }
/// In the order of edge ANNOUNCE: what was accepted before is visible to whoever sees this.
static inline bool wp_pool_is_draining(wp_thread_pool *pool) { return (wp_pool_life(pool) & WP_POOL_DRAINING) != 0; }

static inline wp_pool_node *wp_node_of(const wp_worker *worker) { return &worker->pool->nodes[worker->node]; }

#ifdef __cplusplus
}
#endif

#endif
