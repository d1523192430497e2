// A pool's inside: what its workers and its public functions share.
//
//   submit ─▶ own deque (from a worker) | injector of a node (from outside) ─▶ event count wakes one
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
// At most one worker is SEARCHING of its own accord (park/wp_event_count.h, I2); it spins for `spin_ns`.
#ifndef WP_WORKER_H
#define WP_WORKER_H

#include <pthread.h>

#include "wp_thread_pool.h"
#include "../park/wp_event_count.h"
#include "../queue/wp_deque.h"
#include "../queue/wp_injector.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A worker moves at most so many jobs from an injector to its own deque at once.
#define WP_REFILL_MAX 32u
/// Every so many jobs a worker looks at the injector and at its own oldest job first, so that work which keeps
/// making work for its own deque starves nobody (the Go scheduler's number).
#define WP_FAIR_TICKS 61u

/// Tags of the engine's own jobs, whose code is a `wp_job_function` below them. Without `WP_JOB_FOREIGN`: what that
/// bit's owner does with the others is its own affair. Engine jobs live on somebody's stack: they are never discarded.
#define WP_JOB_ENGINE ((uintptr_t)1 << (sizeof(uintptr_t) * 8 - 2))
/// Of those, the ones that were forked: a thread that waits for one may help with it.
#define WP_JOB_STRUCTURED (WP_JOB_ENGINE | (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 3))
#define WP_JOB_TAGS (WP_JOB_FOREIGN | WP_JOB_STRUCTURED)

typedef struct wp_worker {
  wp_deque deque;
  // Constant after init.
  WP_ALIGNED(WP_CACHE_LINE) wp_thread_pool *pool;
  pthread_t thread;
  uint32_t index;
  /// A spare belongs to the node of the worker that it was started for.
  uint32_t node;
  bool is_spare;
  char name[16];
  // The worker's own.
  uint32_t tick;
  uint32_t random;
  /// Whether the last look at an injector found some jobs, and few.
  bool close_behind;
} wp_worker;

/// One NUMA node's part of a pool.
typedef struct wp_pool_node {
  wp_injector injector;
  // Constant after init. Workers are sorted by node: those of this one are [first_worker, first_worker + count).
  uint32_t first_worker;
  uint32_t worker_count;
  /// All nodes, this one first, then by distance.
  uint32_t *nearest;
  int system_id;
} wp_pool_node;

/// Workers that stand in for blocked ones; see wp_spares.c.
typedef struct wp_spares {
  pthread_mutex_t lock;
  /// Signalled when `live` falls to zero.
  pthread_cond_t ended;
  // Constant after init. `slots` is untouched memory as far as no spare was needed.
  uint32_t limit;
  wp_worker *slots;
  struct wp_bench *benches;
  // Written under `lock`, read by anyone.
  wp_atomic_u32 blocked;
  wp_atomic_u32 active;
  /// Slots that were ever used: their deques exist. Released after a slot is initialised (edge SLOT).
  wp_atomic_u32 used;
  // Under `lock`.
  uint32_t live;
} wp_spares;

struct wp_thread_pool {
  wp_event_count event_count;
  // Any thread, once, false to true.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 closed;
  // Any thread, once, false to true: pending jobs are not to run any more.
  wp_atomic_u32 discarding;
  // Any thread, once, false to true, before the first push to `aside`.
  wp_atomic_u32 aside_used;
  // The handle, and each thread that has not ended.
  wp_atomic_u32 references;
  // Constant after init.
  WP_ALIGNED(WP_CACHE_LINE) wp_worker *workers;
  wp_pool_node *nodes;
  uint32_t *nearest_storage;
  /// Jobs that were in the way on a worker's deque. Never closed: they were accepted before.
  wp_injector *aside;
  wp_waiter *waiters;
  uint32_t worker_count;
  uint32_t node_count;
  uint32_t fork_generation;
  uint64_t spin_ns;
  wp_thread_pool_hooks hooks;
  size_t stack_size;
  char name[16];
  // Under `join_lock`.
  pthread_mutex_t join_lock;
  bool joined;
  WP_ALIGNED(WP_CACHE_LINE) wp_spares spares;
};

/// The calling thread's worker, NULL on other threads.
wp_worker *wp_worker_current(void);

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
/// In wp_fork_join.c: if the job is one by which an outsider enters the pool, tells that outsider that the pool is shut
/// down.
bool wp_fork_join_refuse(wp_job job);

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

/// Whether any queue of the pool holds work, with the orders that edge ANNOUNCE asks for.
bool wp_thread_pool_has_work(wp_thread_pool *pool);
/// Names worker `index` "prefix-index".
void wp_worker_format_name(wp_worker *worker, const char *prefix);
/// Lets go of the pool; the last one to do so frees it.
void wp_thread_pool_unreference(wp_thread_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
