// A pool of threads: life cycle and submission. What a worker does stands in wp_worker.c.
//
// Shutting down without losing a job: `close` closes the injectors, each of which from then on refuses every
// submitter that has not taken a ticket yet, then raises `closed`, then wakes everyone. A worker ends when it has
// seen `closed` and after that all queues empty; a job still running can add to its own worker's deque only if it
// looked at `closed` before, and that worker drains its deque before it ends.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wp_worker.h"

#include "../base/wp_error.h"
#include "../platform/wp_thread.h"

WP_STATIC_ASSERT(WP_THREAD_POOL_MAX_WORKERS <= WP_EVENT_COUNT_MAX_WAITERS, "every worker may wait");

// MARK: Memory

static void pool_free(wp_thread_pool *pool) {
  for (uint32_t i = 0; i < pool->worker_count; i++) wp_deque_destroy(&pool->workers[i].deque);
  for (uint32_t i = 0; i < pool->node_count; i++) wp_injector_destroy(&pool->nodes[i].injector);
  if (pool->aside != NULL) wp_injector_destroy(pool->aside);
  free(pool->aside);
  wp_spares_destroy(pool);
  pthread_mutex_destroy(&pool->join_lock);
  free(pool->nearest_storage);
  free(pool->waiters);
  free(pool->workers);
  free(pool->nodes);
  free(pool);
}

void wp_thread_pool_unreference(wp_thread_pool *pool) {
  // Release what this thread did with the pool, acquire what all others did.
  if (wp_atomic_fetch_sub(&pool->references, 1, wp_acq_rel) != 1) return;
  wp_thread_pool_hooks hooks = pool->hooks;
  pool_free(pool);
  if (hooks.destroy != NULL) hooks.destroy(hooks.context);
}

static void *allocate_lines(size_t count, size_t size) {
  void *memory = aligned_alloc(WP_CACHE_LINE, count * size);  // sizes are multiples of their alignment
  if (memory != NULL) memset(memory, 0, count * size);
  return memory;
}

/// Allocates everything but the insides of queues. NULL without memory.
static wp_thread_pool *pool_allocate(uint32_t worker_count, uint32_t node_count, uint32_t spare_limit) {
  wp_thread_pool *pool = (wp_thread_pool *)allocate_lines(1, sizeof(wp_thread_pool));
  if (pool == NULL) return NULL;
  pthread_mutex_init(&pool->join_lock, NULL);
  bool complete = wp_spares_init(pool, spare_limit);
  pool->workers = (wp_worker *)allocate_lines(worker_count, sizeof(wp_worker));
  pool->nodes = (wp_pool_node *)allocate_lines(node_count, sizeof(wp_pool_node));
  pool->waiters = (wp_waiter *)allocate_lines(worker_count + spare_limit, sizeof(wp_waiter));
  pool->nearest_storage = (uint32_t *)calloc((size_t)node_count * node_count, sizeof(uint32_t));
  complete = complete && pool->workers != NULL && pool->nodes != NULL && pool->waiters != NULL &&
             pool->nearest_storage != NULL;
  for (; complete && pool->worker_count < worker_count; pool->worker_count++) {
    complete = wp_deque_init(&pool->workers[pool->worker_count].deque);
  }
  for (; complete && pool->node_count < node_count; pool->node_count++) {
    complete = wp_injector_init(&pool->nodes[pool->node_count].injector);
  }
  wp_injector *aside = complete ? (wp_injector *)allocate_lines(1, sizeof(wp_injector)) : NULL;
  complete = aside != NULL && wp_injector_init(aside);
  if (complete) {
    pool->aside = aside;
  } else {
    free(aside);
    pool_free(pool);
    return NULL;
  }
  wp_event_count_init(&pool->event_count, pool->waiters, worker_count + spare_limit);
  return pool;
}

// MARK: Creation

/// Deals workers to nodes: worker numbers are sorted by node, so that a node's workers are neighbours.
static void assign_workers(wp_thread_pool *pool, const wp_topology *topology, const wp_placement *placements,
                           int *cpus) {
  uint32_t next = 0;
  for (uint32_t n = 0; n < pool->node_count; n++) {
    wp_pool_node *node = &pool->nodes[n];
    node->system_id = wp_topology_node_id(topology, n);
    node->nearest = pool->nearest_storage + (size_t)n * pool->node_count;
    wp_topology_nearest_nodes(topology, n, node->nearest);
    node->first_worker = next;
    for (uint32_t i = 0; i < pool->worker_count; i++) {
      if (placements[i].node != n) continue;
      wp_worker *worker = &pool->workers[next];
      worker->pool = pool;
      worker->index = next;
      worker->node = n;
      worker->random = 2463534242u + next * 2654435769u;
      wp_worker_format_name(worker, pool->name);
      cpus[next++] = placements[i].cpu;
    }
    node->worker_count = next - node->first_worker;
  }
}

/// Starts all threads. On failure those that had begun are joined and the pool is gone.
static wp_status start_workers(wp_thread_pool *pool, const int *cpus, wp_error *error) {
  wp_atomic_init(&pool->references, pool->worker_count + 1);
  for (uint32_t i = 0; i < pool->worker_count; i++) {
    wp_thread_attributes attributes = {pool->stack_size, cpus[i]};
    wp_worker *worker = &pool->workers[i];
    wp_status status = wp_thread_start(&worker->thread, &attributes, wp_worker_main, worker, error);
    if (status == WP_OK) continue;
    wp_thread_pool_close(pool);
    for (uint32_t started = 0; started < i; started++) pthread_join(pool->workers[started].thread, NULL);
    // What is left are the references of the handle and of the threads that never were; the last frees the pool.
    pool->hooks.destroy = NULL;
    for (uint32_t left = pool->worker_count - i + 1; left > 0; left--) wp_thread_pool_unreference(pool);
    return status;
  }
  return WP_OK;
}

static wp_status create_placed(const wp_thread_pool_config *config, const wp_topology *topology, uint32_t count,
                               wp_placement *placements, int *cpus, wp_thread_pool **result, wp_error *error) {
  wp_status status = wp_topology_place(topology, &config->affinity, count, placements, NULL, error);
  if (status != WP_OK) return status;
  uint32_t spares = config->spare_limit == 0 ? WP_DEFAULT_SPARES : config->spare_limit;
  if (spares == WP_NO_SPARES) spares = 0;
  if (spares > WP_THREAD_POOL_MAX_WORKERS - count) spares = WP_THREAD_POOL_MAX_WORKERS - count;
  wp_thread_pool *pool = pool_allocate(count, (uint32_t)wp_topology_node_count(topology), spares);
  if (pool == NULL) return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL);
  pool->fork_generation = wp_fork_generation();
  pool->hooks = config->hooks;
  pool->spin_ns = config->spin_ns == 0 ? WP_SPIN_DEFAULT_NS : config->spin_ns == WP_SPIN_NEVER ? 0 : config->spin_ns;
  pool->stack_size = config->stack_size;
  snprintf(pool->name, sizeof pool->name, "%s", config->name != NULL ? config->name : "worker");
  assign_workers(pool, topology, placements, cpus);
  status = start_workers(pool, cpus, error);
  if (status == WP_OK) *result = pool;
  return status;
}

wp_status wp_thread_pool_create(const wp_thread_pool_config *config, wp_thread_pool **result, wp_error *error) {
  wp_thread_pool_config defaults;
  memset(&defaults, 0, sizeof defaults);
  if (config == NULL) config = &defaults;
  *result = NULL;
  if (config->worker_count > WP_THREAD_POOL_MAX_WORKERS) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "worker_count", "is at most WP_THREAD_POOL_MAX_WORKERS (4094)");
  }
  wp_topology *topology = NULL;
  wp_status status = wp_topology_create(NULL, &topology, error);
  if (status != WP_OK) return status;
  size_t granted = wp_topology_granted(topology);
  if (granted > WP_THREAD_POOL_MAX_WORKERS) granted = WP_THREAD_POOL_MAX_WORKERS;
  uint32_t count = config->worker_count != 0 ? config->worker_count : (uint32_t)granted;
  wp_placement *placements = (wp_placement *)calloc(count, sizeof(wp_placement));
  int *cpus = (int *)calloc(count, sizeof(int));
  if (placements != NULL && cpus != NULL) {
    status = create_placed(config, topology, count, placements, cpus, result, error);
  } else {
    status = wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL);
  }
  free(cpus);
  free(placements);
  wp_topology_destroy(topology);
  return status;
}

uint32_t wp_thread_pool_worker_count(const wp_thread_pool *pool) { return pool->worker_count; }

// MARK: Submission

bool wp_thread_pool_has_work(wp_thread_pool *pool) {
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (!wp_injector_is_empty(&pool->nodes[i].injector)) return true;
  }
  for (uint32_t i = 0; i < pool->worker_count; i++) {
    if (!wp_deque_is_empty(&pool->workers[i].deque)) return true;
  }
  uint32_t spares = wp_atomic_load(&pool->spares.used, wp_seq_cst);  // edges SLOT and ANNOUNCE
  for (uint32_t i = 0; i < spares; i++) {
    if (!wp_deque_is_empty(&pool->spares.slots[i].deque)) return true;
  }
  // edge ANNOUNCE, of both words
  return wp_atomic_load(&pool->aside_used, wp_seq_cst) != 0 && !wp_injector_is_empty(pool->aside);
}

/// The injector of the node that the caller runs on.
static wp_injector *near_injector(wp_thread_pool *pool) {
  if (pool->node_count > 1) {
    int id = wp_thread_current_node();
    for (uint32_t i = 0; i < pool->node_count; i++) {
      if (pool->nodes[i].system_id == id) return &pool->nodes[i].injector;
    }
  }
  return &pool->nodes[0].injector;
}

wp_status wp_thread_pool_submit_batch(wp_thread_pool *pool, const wp_job *jobs, size_t count, size_t *accepted) {
  *accepted = 0;
  if (pool->fork_generation != wp_fork_generation()) return WP_FORKED;
  if (count == 0) return WP_OK;
  for (size_t i = 0; i < count; i++) {
    if (jobs[i].code <= 1) return WP_INVALID_ARGUMENT;  // what the queues mark their cells with
  }
  wp_worker *self = wp_worker_current();
  wp_injector *injector;
  if (self != NULL && self->pool == pool) {
    // For others the injector itself knows, exactly; a worker's own deque has no such flag.
    if (wp_atomic_load(&pool->closed, wp_relaxed) != 0) return WP_SHUT_DOWN;
    *accepted = wp_deque_push(&self->deque, jobs, count);
    injector = &pool->nodes[self->node].injector;
  } else {
    injector = near_injector(pool);
  }
  wp_status status = WP_OK;
  if (*accepted < count) {
    size_t injected;
    status = wp_injector_push(injector, jobs + *accepted, count - *accepted, &injected);
    *accepted += injected;
  }
  if (*accepted > 0) wp_event_count_notify_one(&pool->event_count);
  return status;
}

wp_status wp_thread_pool_submit(wp_thread_pool *pool, wp_job job) {
  size_t accepted;
  return wp_thread_pool_submit_batch(pool, &job, 1, &accepted);
}

int32_t wp_thread_pool_current_worker(const wp_thread_pool *pool) {
  const wp_worker *self = wp_worker_current();
  return self != NULL && self->pool == pool ? (int32_t)self->index : -1;
}

// MARK: Shutting down

void wp_thread_pool_close(wp_thread_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return;
  for (uint32_t i = 0; i < pool->node_count; i++) wp_injector_close(&pool->nodes[i].injector);
  wp_atomic_store(&pool->closed, 1, wp_seq_cst);  // edge ANNOUNCE: before the stack is looked at
  wp_event_count_notify_all(&pool->event_count);
  wp_spares_close(pool);
}

/// Steals and discards as far as no job of the engine's own is in the way; workers do the rest.
static size_t discard_from(wp_thread_pool *pool, wp_deque *deque) {
  static const wp_job_filter discardable[] = {
      {WP_JOB_FOREIGN, WP_JOB_FOREIGN, NULL},
      {WP_JOB_FOREIGN | WP_JOB_ENGINE, 0, NULL},
  };
  size_t discarded = 0;
  wp_job job;
  for (int i = 0, misses = 0; misses < 2; i ^= 1) {
    wp_steal steal = wp_deque_steal_if(deque, &discardable[i], INT64_MIN, &job);
    misses = steal == WP_STEAL_EMPTY ? misses + 1 : 0;
    if (steal != WP_STEAL_TAKEN) continue;
    wp_worker_discard(pool, job);
    discarded++;
  }
  return discarded;
}

size_t wp_thread_pool_discard_pending(wp_thread_pool *pool) {
  if (wp_atomic_load(&pool->closed, wp_acquire) == 0) return 0;
  // From here on workers discard what they take. Relaxed: no data hangs on when they see it.
  wp_atomic_store(&pool->discarding, 1u, wp_relaxed);
  size_t discarded = 0;
  wp_job job;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    while (wp_injector_pop(&pool->nodes[i].injector, &job, 1, 1, NULL) == 1) {
      if (wp_fork_join_refuse(job)) continue;
      wp_worker_discard(pool, job);
      discarded++;
    }
  }
  for (uint32_t i = 0; i < pool->worker_count; i++) discarded += discard_from(pool, &pool->workers[i].deque);
  uint32_t spares = wp_atomic_load(&pool->spares.used, wp_acquire);  // edge SLOT
  for (uint32_t i = 0; i < spares; i++) discarded += discard_from(pool, &pool->spares.slots[i].deque);
  return discarded;
}

wp_status wp_thread_pool_join(wp_thread_pool *pool) {
  if (pool->fork_generation != wp_fork_generation()) return WP_FORKED;
  if (wp_atomic_load(&pool->closed, wp_acquire) == 0) return WP_INVALID_ARGUMENT;
  if (wp_thread_pool_current_worker(pool) >= 0) return WP_WOULD_DEADLOCK;
  pthread_mutex_lock(&pool->join_lock);
  if (!pool->joined) {
    for (uint32_t i = 0; i < pool->worker_count; i++) pthread_join(pool->workers[i].thread, NULL);
    wp_spares_join(pool);
    pool->joined = true;
  }
  pthread_mutex_unlock(&pool->join_lock);
  return WP_OK;
}

void wp_thread_pool_release(wp_thread_pool *pool) {
  if (pool == NULL || pool->fork_generation != wp_fork_generation()) return;
  wp_thread_pool_close(pool);
  if (!pool->joined) {
    for (uint32_t i = 0; i < pool->worker_count; i++) pthread_detach(pool->workers[i].thread);
  }
  wp_thread_pool_unreference(pool);
}
