// A pool's inside: what its workers and its public functions share.
//
//   submit ─▶ own deque (from a worker) | injector of a node (from outside) ─▶ the node's event count wakes one
//   worker ─▶ own deque ─▶ own node's injector, siblings' deques ─▶ the next nearest node's … ─▶ sleep
//
// A worker's states:
//
//            ┌────────────── finds work ───────────────┐
//            ▼                                         │
//        RUNNING ──finds nothing──▶ SEARCHING ──▶ PREPARED ──▶ ASLEEP
//            ▲                        │  ▲           │            │
//            └──────── finds work ────┘  └─ woken ───┴────────────┘
//        closed and nothing left, in PREPARED or before it: ENDED
//
// At most one worker of a node is SEARCHING of its own accord (park/wp_event_count.h, I2); it spins for `spin_ns`.
//
// What is local. A job belongs to the node in whose queues it stands. A worker looks into the queues of another node only
// when those of all nearer ones are empty, and takes one job at a time there, where it moves a batch from its own
// injector: what it left behind stays near its data. It leaves a node alone of which a worker searches or sleeps: that one
// is about to look, or to be woken.
#ifndef WP_WORKER_H
#define WP_WORKER_H

#include <pthread.h>

#include "wp_block_trade.h"
#include "wp_thread_pool.h"
#include "../park/wp_event_count.h"
#include "../queue/wp_deque.h"
#include "../queue/wp_injector.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A worker moves at most so many jobs from an injector to its own deque at once.
#define WP_REFILL_MAX 64u
/// Every so many jobs a worker looks at the injector and at its own oldest job first, so that work which keeps
/// making work for its own deque starves nobody (the Go scheduler's number).
#define WP_FAIR_TICKS 61u

/// Tags of the engine's own jobs, whose code is a `wp_job_function` below them. Without `WP_JOB_FOREIGN`: what that
/// bit's owner does with the others is its own affair. Engine jobs live on somebody's stack: they are never discarded.
#define WP_JOB_ENGINE ((uintptr_t)1 << (sizeof(uintptr_t) * 8 - 2))
/// Of those, the ones that were forked: a thread that waits for one may help with it.
#define WP_JOB_STRUCTURED (WP_JOB_ENGINE | (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 3))
#define WP_JOB_TAGS (WP_JOB_FOREIGN | WP_JOB_STRUCTURED)

/// A worker's life, apart from what it does while it runs; see wp_roster.c.
typedef enum wp_worker_life { WP_WORKER_ABSENT = 0, WP_WORKER_STAYS, WP_WORKER_LEAVES, WP_WORKER_LEFT } wp_worker_life;

/// What belongs to a worker's thread belongs to a guest's while that works as this worker (wp_guest.c).
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
  /// How many jobs it may move to its deque at once.
  uint8_t refill_max;
  /// Whether the last look at an injector found some jobs, and few. The worker's own.
  bool close_behind;
  // The roster's, under its lock.
  uint8_t life;
  /// Whether it may have to leave, between two jobs: constant for a spare, under the roster's lock else. Read by the
  /// worker; relaxed, since it then asks under the lock. A guest reads it in the order of edge ANNOUNCE.
  wp_atomic_u32 may_leave;
  // The worker's own.
  uint32_t tick;
  uint32_t random;
  // The worker writes, anyone reads: relaxed, since nothing hangs on them.
  /// The CPU on which it last went to sleep.
  wp_atomic_u32 last_cpu;
  /// Jobs that it took from a queue to run them, between other jobs.
  wp_atomic_u64 taken;
  /// Those of them that stood in a queue of another node.
  wp_atomic_u64 taken_afar;
  /// Jobs that it took from the deques of others, by their node.
  wp_atomic_u64 *steals;
  pthread_t thread;
  // The worker's own.
  WP_ALIGNED(WP_CACHE_LINE) wp_block_trade trade;
} wp_worker;

/// One more; by the one thread that counts there.
static inline void wp_count(wp_atomic_u64 *counter) {
  wp_atomic_store(counter, wp_atomic_load(counter, wp_relaxed) + 1, wp_relaxed);
}

/// How many workers, spares among them, are blocked, and how many spares are not on the bench. Written under the lock of
/// the spares, read by anyone.
typedef struct wp_spare_counters {
  wp_atomic_u32 blocked;
  wp_atomic_u32 active;
} wp_spare_counters;

/// One NUMA node's part of a pool.
typedef struct wp_pool_node {
  wp_injector injector;
  wp_event_count event_count;
  /// What its workers freed of what others allocated.
  wp_block_ring freed;
  // Written under the roster's lock. Entries below `worker_count` are constant: edge SLOT, released with it.
  WP_ALIGNED(WP_CACHE_LINE) wp_worker **workers;
  wp_atomic_u32 worker_count;
  /// How many of them have a thread that stays.
  wp_atomic_u32 staff;
  /// Of all spares' counters (wp_spares.c), this node's part.
  wp_spare_counters spares;
  // Constant after init.
  /// All nodes, this one first, then by distance.
  uint32_t *nearest;
  /// The event counts of the others, likewise.
  wp_event_count **farther;
  int system_id;
  /// Where its memory is: another node, if it has none.
  int memory_id;
} wp_pool_node;

/// Who works in a pool, spares apart; see wp_roster.c.
typedef struct wp_roster {
  pthread_mutex_t lock;
  /// Signalled when `leaving` falls to zero.
  pthread_cond_t left;
  // Under `lock`.
  /// By index, up to the number of workers that are wanted.
  wp_worker **by_index;
  /// Workers that exist, with a thread or without.
  uint32_t count;
  uint32_t capacity;
  /// Threads that detached themselves and have not ended.
  uint32_t leaving;
  /// What `wp_thread_pool_resize` places workers by; copies.
  wp_affinity_choice affinity;
  wp_topology_source machine;
  bool tolerates_environment;
} wp_roster;

/// Workers that stand in for blocked ones; see wp_spares.c.
typedef struct wp_spares {
  pthread_mutex_t lock;
  /// Signalled when `live` falls to zero.
  pthread_cond_t ended;
  // Constant after init. `slots` is untouched memory as far as no spare was needed.
  uint32_t limit;
  wp_worker *slots;
  struct wp_bench *benches;
  wp_spare_counters all;
  /// Slots that were ever used: their deques exist. Released after a slot is initialised (edge SLOT).
  wp_atomic_u32 used;
  // Under `lock`.
  uint32_t live;
} wp_spares;

struct wp_thread_pool {
  // Any thread, once, false to true.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 closed;
  // Any thread, once, false to true: pending jobs are not to run any more.
  wp_atomic_u32 discarding;
  // Any thread, once, false to true, before the first push to `aside`.
  wp_atomic_u32 aside_used;
  // The handle, and each thread that has not ended.
  wp_atomic_u32 references;
  // Constant after init.
  WP_ALIGNED(WP_CACHE_LINE) wp_pool_node *nodes;
  uint32_t node_count;
  /// How many workers are wanted. Written under the roster's lock, seldom; read by anyone.
  wp_atomic_u32 worker_count;
  /// Jobs that were in the way on a worker's deque. Never closed: they were accepted before.
  wp_injector *aside;
  /// All event counts' waiters, and the tables of roster and nodes: memory that is touched as far as it is used.
  wp_waiter *waiters;
  size_t reserved;
  uint32_t *nearest_storage;
  wp_event_count **farther_storage;
  wp_topology *topology;
  uint32_t fork_generation;
  uint64_t spin_ns;
  wp_thread_pool_hooks hooks;
  size_t stack_size;
  /// Bytes of stack that a guest must have; SIZE_MAX where there are no guests.
  size_t guest_stack;
  char name[16];
  // Under `join_lock`.
  pthread_mutex_t join_lock;
  bool joined;
  WP_ALIGNED(WP_CACHE_LINE) wp_roster roster;
  WP_ALIGNED(WP_CACHE_LINE) wp_spares spares;
};

extern WP_THREAD_LOCAL wp_worker *wp_worker_of_thread;
/// The calling thread's worker, NULL on other threads. A guest's is the one that it works as.
static inline wp_worker *wp_worker_current(void) { return wp_worker_of_thread; }
static inline void wp_worker_set_current(wp_worker *worker) { wp_worker_of_thread = worker; }

/// Decides who may be a guest of a pool; before its first worker starts. In wp_guest.c, as are the next.
void wp_guest_admit(wp_thread_pool *pool);
/// Makes the calling thread, which is no worker, work as a worker of the pool that sleeps. NULL if that cannot be.
wp_worker *wp_guest_begin(wp_thread_pool *pool);
/// Gives the worker back. What stands in its deque others take, or it does itself.
void wp_guest_end(wp_worker *worker);

/// Body of a worker's thread; the argument is its wp_worker.
void *wp_worker_main(void *worker);

/// Runs a job on its thread.
void wp_worker_run(wp_worker *worker, wp_job job);
/// Steals the oldest job of any worker's deque, if it passes.
bool wp_worker_steal_if(wp_worker *worker, const wp_job_filter *filter, wp_job *job);
/// Leaves a job to others, whatever state the pool is in. False without memory.
bool wp_worker_set_aside(wp_worker *worker, wp_job job);
/// Gives a job that will not run back to whoever submitted it.
void wp_worker_discard(wp_thread_pool *pool, wp_job job);
/// In wp_fork_join.c: gives forked work that waits in an injector back to whoever waits for it. An outsider is told that
/// the pool is shut down; a worker runs the share of another node itself. False for any other job.
bool wp_fork_join_refuse(wp_job job);

/// Prepares a roster of nobody, for up to `capacity` workers. In wp_roster.c, as are the next.
wp_status wp_roster_init(wp_thread_pool *pool, const wp_thread_pool_config *config, uint32_t capacity);
void wp_roster_destroy(wp_thread_pool *pool);
/// How many workers `*count` means: for 0 as many as the process is granted, at most `limit`.
wp_status wp_roster_count(const wp_topology *topology, bool tolerates_environment, uint32_t limit, uint32_t *count,
                          wp_error *error);
/// Under the lock: brings the number of workers to `count`, as far as threads can be started. `placements` says where each
/// goes.
wp_status wp_roster_fill(wp_thread_pool *pool, uint32_t count, const wp_placement *placements, wp_error *error);
/// Waits until a closed pool's workers have ended.
void wp_roster_join(wp_thread_pool *pool);
/// Lets go of the threads of a closed pool, which end by themselves.
void wp_roster_detach(wp_thread_pool *pool);
/// For a worker between two jobs that may have to leave. True when it should end its thread; its last access to the pool is
/// then wp_roster_end.
bool wp_roster_leave(wp_worker *worker);
/// Counts a worker out that has left.
void wp_roster_end(wp_worker *worker);

/// Prepares a pool's spares, none of which runs. False without memory.
bool wp_spares_init(wp_thread_pool *pool, uint32_t limit);
void wp_spares_destroy(wp_thread_pool *pool);
/// Waits until a closed pool's spares have ended.
void wp_spares_join(wp_thread_pool *pool);
/// Lets the benched spares of a closed pool end.
void wp_spares_close(wp_thread_pool *pool);
/// For a spare between two jobs: when there are more spares than blocked workers it leaves the pool's active ones and
/// sits on the bench. True when it should end its thread; its last access to the pool is then wp_spares_end.
bool wp_spares_step_down(wp_worker *spare);
/// Counts an ending spare out.
void wp_spares_end(wp_worker *spare);

// Whether there is work in a queue, with the orders that edge ANNOUNCE asks for:
bool wp_thread_pool_node_has_work(wp_thread_pool *pool, uint32_t node);
bool wp_thread_pool_has_work_aside(wp_thread_pool *pool);
/// The nearest node with work, as seen from `node`, which work aside counts as; WP_NO_NODE if there is none.
uint32_t wp_thread_pool_find_work(wp_thread_pool *pool, uint32_t node);
#define WP_NO_NODE UINT32_MAX
/// Wakes everybody who sleeps.
void wp_thread_pool_wake_all(wp_thread_pool *pool);
/// Prepares what a worker is to a new thread. False without memory.
bool wp_worker_init(wp_worker *worker, wp_thread_pool *pool, uint32_t node, uint32_t waiter);
void wp_worker_destroy(wp_worker *worker);
/// Numbers it, and names it "prefix-index".
void wp_worker_number(wp_worker *worker, uint32_t index);
/// Lets go of the pool; the last one to do so frees it.
void wp_thread_pool_unreference(wp_thread_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
