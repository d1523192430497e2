// Making a pool, and freeing one.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wp_guest.h"
#include "wp_live.h"
#include "wp_roster.h"
#include "wp_spares.h"
#include "wp_sweep.h"
#include "wp_threads.h"
#include "wp_worker.h"

#include "../base/wp_error.h"
#include "../platform/wp_pages.h"
#include "../platform/wp_signals.h"
#include "../platform/wp_thread.h"

WP_STATIC_ASSERT(WP_THREAD_POOL_MAX_WORKERS <= WP_EVENT_COUNT_MAX_WAITERS, "every worker may wait");
WP_STATIC_ASSERT(WP_THREAD_POOL_MAX_WORKERS <= WP_THREAD_POOL_FIRST_SPARE, "workers and spares differ in their numbers");

// MARK: Memory

static void pool_free(wp_thread_pool *pool) {
  wp_spares_destroy(pool);
  wp_roster_destroy(pool);
  for (uint32_t i = 0; i < pool->node_count; i++) {
    wp_injector_destroy(&pool->nodes[i].injector);
    wp_putback_destroy(&pool->nodes[i].putback);
    pthread_mutex_destroy(&pool->nodes[i].sweep_lock);
    wp_block_ring_destroy(&pool->nodes[i].freed);
  }
  if (pool->aside != NULL) wp_injector_destroy(pool->aside);
  free(pool->aside);
  wp_threads_destroy(pool);
  free(pool->nearest_storage);
  free(pool->farther_storage);
  free(pool->nodes);
  wp_pages_unmap(pool->waiters, pool->reserved);
  wp_topology_destroy(pool->topology);
  free(pool);
}

/// For the last who lets go of a pool.
static void destroy(wp_thread_pool *pool) {
  wp_thread_pool_hooks hooks = pool->hooks;
  pool_free(pool);
  if (hooks.destroy != NULL) hooks.destroy(hooks.context);
}

static void *allocate_lines(size_t count, size_t size) {
  void *memory = aligned_alloc(WP_CACHE_LINE, count * size);  // sizes are multiples of their alignment
  if (memory != NULL) memset(memory, 0, count * size);
  return memory;
}

/// Maps waiters and tables for as many workers and spares as there may ever be.
static bool reserve(wp_thread_pool *pool, uint32_t node_count, uint32_t capacity) {
  size_t waiters = WP_THREAD_POOL_MAX_WORKERS * sizeof(wp_waiter);
  size_t table = capacity * sizeof(wp_worker *);
  pool->reserved = waiters + (node_count + 1) * table;
  char *pages = (char *)wp_pages_map(pool->reserved);
  pool->waiters = (wp_waiter *)(void *)pages;
  if (pages == NULL) return false;
  pool->roster.by_index = (wp_worker **)(void *)(pages + waiters);
  for (uint32_t n = 0; n < node_count; n++) {
    pool->nodes[n].workers = (wp_worker **)(void *)(pages + waiters + (n + 1) * table);
  }
  return true;
}

/// Lists each node's neighbours.
static void connect_nodes(wp_thread_pool *pool) {
  uint32_t count = pool->node_count;
  for (uint32_t n = 0; n < count; n++) {
    wp_pool_node *node = &pool->nodes[n];
    node->system_id = wp_topology_node_id(pool->topology, n);
    node->memory_id = wp_topology_node_id(pool->topology, wp_topology_nearest_memory(pool->topology, n));
    node->nearest = pool->nearest_storage + (size_t)n * count;
    node->farther = pool->farther_storage + (size_t)n * count;
    wp_topology_nearest_nodes(pool->topology, n, node->nearest);
    for (uint32_t i = 1; i < count; i++) node->farther[i - 1] = &pool->nodes[node->nearest[i]].event_count;
    wp_event_count_connect(&node->event_count, node->farther, count - 1);
  }
}

/// Everything but the insides of queues and workers. False without memory; pool_free takes what there is.
static bool fill(wp_thread_pool *pool, uint32_t node_count, uint32_t spare_limit) {
  size_t pairs = (size_t)node_count * node_count;
  pool->nodes = (wp_pool_node *)allocate_lines(node_count, sizeof(wp_pool_node));
  pool->nearest_storage = (uint32_t *)calloc(pairs, sizeof(uint32_t));
  pool->farther_storage = (wp_event_count **)calloc(pairs, sizeof(wp_event_count *));
  if (pool->nodes == NULL || pool->nearest_storage == NULL || pool->farther_storage == NULL) return false;
  if (!wp_spares_init(pool, spare_limit) || !reserve(pool, node_count, pool->roster.capacity)) return false;
  for (; pool->node_count < node_count; pool->node_count++) {
    wp_pool_node *node = &pool->nodes[pool->node_count];
    if (!wp_injector_init(&node->injector)) return false;
    wp_injector_tell(&node->injector, wp_sweep_when_grown, node);
    wp_putback_init(&node->putback);
    pthread_mutex_init(&node->sweep_lock, NULL);
    wp_event_count_init(&node->event_count, pool->waiters);
    node->pool = pool;
  }
  wp_injector *aside = (wp_injector *)allocate_lines(1, sizeof(wp_injector));
  if (aside == NULL || !wp_injector_init(aside)) {
    free(aside);
    return false;
  }
  pool->aside = aside;
  connect_nodes(pool);
  return true;
}

/// Takes the topology over. NULL without memory; it then stays the caller's.
static wp_thread_pool *pool_allocate(const wp_thread_pool_config *config, wp_topology *topology, uint32_t spares) {
  wp_thread_pool *pool = (wp_thread_pool *)allocate_lines(1, sizeof(wp_thread_pool));
  if (pool == NULL) return NULL;
  wp_threads_init(pool);
  pool->topology = topology;
  pool->fork_generation = wp_fork_generation();
  pool->spin_ns = config->spin_ns == 0 ? WP_SPIN_DEFAULT_NS : config->spin_ns == WP_SPIN_NEVER ? 0 : config->spin_ns;
  pool->code_span = (config->hooks.run_foreign == NULL ? WP_JOB_FOREIGN - 1 : UINTPTR_MAX) - WP_LEAST_CODE;
  pool->stack_size = config->stack_size;
  wp_signals_mask(config->blocked_signals, config->blocked_signal_count, &pool->signal_mask);
  snprintf(pool->name, sizeof pool->name, "%s", config->name != NULL ? config->name : "worker");
  bool complete = wp_roster_init(pool, config, WP_THREAD_POOL_MAX_WORKERS - spares) == WP_OK;
  if (complete && fill(pool, (uint32_t)wp_topology_node_count(topology), spares)) return pool;
  pool->topology = NULL;
  pool_free(pool);
  return NULL;
}

// MARK: Creation

/// Starts all workers. On failure those that had begun are joined and the pool is gone.
static wp_status start(wp_thread_pool *pool, const wp_thread_pool_config *config, uint32_t count,
                       const wp_placement *placements, wp_error *error) {
  wp_atomic_init(&pool->references, 1u);
  pool->hooks = config->hooks;
  pool->worker_main = wp_worker_main;
  pool->free = destroy;
  wp_guest_admit(pool);
  wp_status status = wp_roster_fill(pool, count, placements, error);
  if (status == WP_OK) return WP_OK;
  wp_thread_pool_close(pool);
  wp_thread_pool_join(pool);
  pool->hooks.destroy = NULL;
  wp_threads_unreference(pool);
  return status;
}

/// Takes the topology over, whatever comes of it.
static wp_status create_placed(const wp_thread_pool_config *config, wp_topology *topology, uint32_t count,
                               const wp_placement *placements, wp_thread_pool **result, wp_error *error) {
  uint32_t spares = config->spare_limit == 0 ? WP_DEFAULT_SPARES : config->spare_limit;
  if (spares == WP_NO_SPARES) spares = 0;
  if (spares > WP_THREAD_POOL_MAX_WORKERS - count) spares = WP_THREAD_POOL_MAX_WORKERS - count;
  wp_thread_pool *pool = pool_allocate(config, topology, spares);
  if (pool == NULL) {
    wp_topology_destroy(topology);
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL);
  }
  wp_status status = start(pool, config, count, placements, error);
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
  if (config->blocked_signals == NULL && config->blocked_signal_count > 0) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "blocked_signals", "is not NULL when there is a count");
  }
  wp_topology *topology = NULL;
  wp_status status =
      wp_signals_check(config->blocked_signals, config->blocked_signal_count, "blocked_signals", error);
  if (status == WP_OK) status = wp_topology_create(config->machine, &topology, error);
  if (status != WP_OK) return status;
  uint32_t count = config->worker_count;
  status = wp_roster_count(topology, config->tolerates_environment, WP_THREAD_POOL_MAX_WORKERS, &count, error);
  if (status != WP_OK) {
    wp_topology_destroy(topology);
    return status;
  }
  wp_placement *placements = (wp_placement *)calloc(count, sizeof(wp_placement));
  status = placements == NULL ? wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL)
                              : wp_topology_place(topology, &config->affinity, count, placements, NULL, error);
  if (status == WP_OK) {
    status = create_placed(config, topology, count, placements, result, error);
  } else {
    wp_topology_destroy(topology);
  }
  free(placements);
  return status;
}

// MARK: What never changes

uint32_t wp_thread_pool_node_count(const wp_thread_pool *pool) { return pool->node_count; }

const wp_topology *wp_thread_pool_topology(const wp_thread_pool *pool) { return pool->topology; }
