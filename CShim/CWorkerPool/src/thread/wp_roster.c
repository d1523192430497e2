#include "wp_roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wp_node.h"
#include "wp_spares.h"
#include "wp_threads.h"
#include "wp_worker.h"

#include "../base/wp_error.h"
#include "../base/wp_notice_once.h"
#include "../platform/wp_pages.h"
#include "../platform/wp_thread.h"

// MARK: Memory

wp_status wp_roster_init(wp_thread_pool *pool, const wp_thread_pool_config *config, uint32_t capacity) {
  wp_roster *roster = &pool->roster;
  roster->capacity = capacity;
  roster->tolerates_environment = config->tolerates_environment;
  roster->affinity = config->affinity;
  roster->affinity.cpus = NULL;  // until there is a copy
  if (config->machine != NULL) roster->machine = *config->machine;
  if (config->affinity.cpus == NULL || config->affinity.cpu_count == 0) return WP_OK;
  size_t size = config->affinity.cpu_count * sizeof(int);
  int *cpus = (int *)malloc(size);
  roster->affinity.cpus = cpus;
  if (cpus == NULL) return WP_SYSTEM_CALL_FAILED;
  memcpy(cpus, config->affinity.cpus, size);
  return WP_OK;
}

static void free_worker(wp_thread_pool *pool, wp_worker *worker) {
  wp_worker_destroy(worker);
  if (pool->node_count > 1) {
    wp_pages_unmap(worker, sizeof *worker);
  } else {
    free(worker);
  }
}

void wp_roster_destroy(wp_thread_pool *pool) {
  wp_roster *roster = &pool->roster;
  for (uint32_t n = 0; n < pool->node_count; n++) {
    wp_pool_node *node = &pool->nodes[n];
    uint32_t count = wp_atomic_load(&node->worker_count, wp_relaxed);
    for (uint32_t i = 0; i < count; i++) free_worker(pool, node->workers[i]);
  }
  free((void *)(uintptr_t)roster->affinity.cpus);
}

/// On its node, on a machine that has several: a page of its own, since pages are what can be placed.
static wp_worker *allocate_worker(wp_thread_pool *pool, uint32_t node) {
  if (pool->node_count > 1) return (wp_worker *)wp_pages_map_on(sizeof(wp_worker), pool->nodes[node].memory_id);
  wp_worker *worker = (wp_worker *)aligned_alloc(WP_CACHE_LINE, sizeof(wp_worker));
  if (worker != NULL) memset((void *)worker, 0, sizeof *worker);
  return worker;
}

// MARK: Under the lock

/// A worker of the node without a thread; NULL without memory, or when there may be no more.
static wp_worker *absent_worker(wp_thread_pool *pool, uint32_t n) {
  wp_roster *roster = &pool->roster;
  wp_pool_node *node = &pool->nodes[n];
  uint32_t count = wp_atomic_load(&node->worker_count, wp_relaxed);
  for (uint32_t i = 0; i < count; i++) {
    if (node->workers[i]->life == WP_WORKER_ABSENT) return node->workers[i];
  }
  if (roster->count == roster->capacity) return NULL;
  wp_worker *worker = allocate_worker(pool, n);
  if (worker == NULL) return NULL;
  if (!wp_worker_init(worker, pool, n, roster->count)) {
    free_worker(pool, worker);
    return NULL;
  }
  roster->count++;
  node->workers[count] = worker;
  wp_atomic_store(&node->worker_count, count + 1, wp_seq_cst);  // edges SLOT and ANNOUNCE
  return worker;
}

/// Lets a worker begin as number `index`. What it counts it counts anew.
static wp_status start_worker(wp_worker *worker, uint32_t index, int cpu, wp_error *error) {
  worker->cpu = cpu;
  wp_worker_number(worker, index);
  wp_atomic_store(&worker->taken, (uint64_t)0, wp_relaxed);
  wp_atomic_store(&worker->taken_afar, (uint64_t)0, wp_relaxed);
  for (uint32_t i = 0; i < worker->pool->node_count; i++) {
    wp_atomic_store(&worker->steals[i], (uint64_t)0, wp_relaxed);
  }
  wp_error problem;
  wp_status status = wp_threads_start(worker, WP_WORKER_STAYS, &problem);
  if (status != WP_OK && cpu >= 0 && (problem.system_errno == EINVAL || problem.system_errno == EPERM)) {
    // The CPU was there when the machine was read.
    wp_notice_once(problem.system_errno == EINVAL ? WP_NOTICE_CPU_GONE : WP_NOTICE_AFFINITY_NOT_SET,
                   problem.system_errno, "a worker floats, since it cannot be pinned to CPU %d", cpu);
    worker->cpu = -1;
    status = wp_threads_start(worker, WP_WORKER_STAYS, &problem);
  }
  return status == WP_OK ? WP_OK : wp_fail(error, status, problem.system_errno, problem.call, problem.rule);
}

/// Whether a worker that was told to leave can as well stay.
static bool call_back(wp_worker *worker, const wp_placement *placement) {
  if (worker == NULL || worker->life != WP_WORKER_LEAVES) return false;
  if (worker->node != placement->node || worker->cpu != placement->cpu) return false;
  wp_threads_set_life(worker, WP_WORKER_STAYS);
  // It may be blocked, or stand in for another that is.
  wp_spares_compensate(worker->pool, worker->node, NULL);
  return true;
}

/// Requires: lock.
static wp_status fill(wp_thread_pool *pool, uint32_t count, const wp_placement *placements, wp_error *error) {
  wp_roster *roster = &pool->roster;
  uint32_t present = wp_atomic_load(&pool->worker_count, wp_relaxed);
  wp_status status = WP_OK;
  // Before there are new threads, which share the work out by it. It is never 0 while there is one.
  wp_atomic_store(&pool->worker_count, count, wp_relaxed);
  for (uint32_t i = count; i < present; i++) wp_threads_set_life(roster->by_index[i], WP_WORKER_LEAVES);
  if (present > count) present = count;
  while (present < count && status == WP_OK) {
    const wp_placement *placement = &placements[present];
    if (!call_back(roster->by_index[present], placement)) {
      wp_worker *worker = absent_worker(pool, placement->node);
      status = worker == NULL ? wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL)
                              : start_worker(worker, present, placement->cpu, error);
      if (status == WP_OK) roster->by_index[present] = worker;
    }
    if (status == WP_OK) present++;
  }
  if (status != WP_OK) wp_atomic_store(&pool->worker_count, present, wp_relaxed);
  return status;
}

wp_status wp_roster_fill(wp_thread_pool *pool, uint32_t count, const wp_placement *placements, wp_error *error) {
  pthread_mutex_lock(&pool->threads.lock);
  // Under the lock: a pool that is closed after this waits for the threads that are started here.
  wp_status status = wp_pool_is_draining(pool) ? wp_fail(error, WP_SHUT_DOWN, 0, NULL, NULL)
                                               : fill(pool, count, placements, error);
  pthread_mutex_unlock(&pool->threads.lock);
  return status;
}

// MARK: Resizing

wp_status wp_roster_count(const wp_topology *topology, bool tolerates_environment, uint32_t limit, uint32_t *count,
                          wp_error *error) {
  size_t granted = *count;
  wp_status status = granted == 0 ? wp_topology_grant(topology, &granted, error) : WP_OK;
  if (status == WP_INVALID_ARGUMENT && tolerates_environment) {
    const char *value = wp_topology_environment_cpus();
    wp_notice_once(WP_NOTICE_ENVIRONMENT_IGNORED, 0,
                   "WORKER_POOL_CPUS is '%s' and not heeded; it must be a whole number of at least 1",
                   value != NULL ? value : "");
    granted = wp_topology_granted(topology);
    status = WP_OK;
  }
  if (status == WP_OK) *count = granted < limit ? (uint32_t)granted : limit;
  return status;
}

/// Placements count in the nodes of the topology that they were made with; the pool goes on with those it began with.
static void translate(const wp_thread_pool *pool, const wp_topology *topology, wp_placement *placements,
                      uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    int id = wp_topology_node_id(topology, placements[i].node);
    uint32_t node = 0;
    while (node + 1 < pool->node_count && pool->nodes[node].system_id != id) node++;
    placements[i].node = pool->nodes[node].system_id == id ? node : 0;  // a node that is new
  }
}

static wp_status resize_placed(wp_thread_pool *pool, const wp_topology *topology, uint32_t count, wp_error *error) {
  wp_roster *roster = &pool->roster;
  wp_placement *placements = (wp_placement *)calloc(count, sizeof *placements);
  if (placements == NULL) return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "malloc", NULL);
  wp_status status = wp_topology_place(topology, &roster->affinity, count, placements, NULL, error);
  if (status == WP_OK) {
    translate(pool, topology, placements, count);
    status = wp_roster_fill(pool, count, placements, error);
    // Those that sleep do not look whether they are to leave.
    wp_pool_wake_all(pool);
  }
  free(placements);
  return status;
}

wp_status wp_thread_pool_resize(wp_thread_pool *pool, uint32_t worker_count, wp_error *error) {
  wp_roster *roster = &pool->roster;
  if (pool->fork_generation != wp_fork_generation()) return wp_fail(error, WP_FORKED, 0, NULL, NULL);
  if (wp_pool_is_draining(pool)) return wp_fail(error, WP_SHUT_DOWN, 0, NULL, NULL);
  if (worker_count > roster->capacity) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "worker_count",
                   "with the limit of spares it is at most WP_THREAD_POOL_MAX_WORKERS (4094)");
  }
  wp_topology_source machine = roster->machine;
  machine.of_process = true;  // the caller may be a worker that is pinned
  wp_topology *topology = NULL;
  wp_status status = wp_topology_create(&machine, &topology, error);
  if (status != WP_OK) return status;
  status = wp_roster_count(topology, roster->tolerates_environment, roster->capacity, &worker_count, error);
  if (status == WP_OK) status = resize_placed(pool, topology, worker_count, error);
  wp_topology_destroy(topology);
  return status;
}

// MARK: Counters

bool wp_thread_pool_counters(wp_thread_pool *pool, uint32_t index, wp_worker_counters *counters, uint64_t *steals) {
  wp_roster *roster = &pool->roster;
  if (pool->fork_generation != wp_fork_generation()) return false;
  pthread_mutex_lock(&pool->threads.lock);
  bool exists = index < wp_atomic_load(&pool->worker_count, wp_relaxed);
  if (exists) {
    wp_worker *worker = roster->by_index[index];
    uint64_t remote = wp_atomic_load(&worker->taken_afar, wp_relaxed);
    uint64_t taken = wp_atomic_load(&worker->taken, wp_relaxed);
    counters->node = worker->node;
    counters->cpu = worker->cpu;
    counters->remote = remote;
    counters->local = taken < remote ? 0 : taken - remote;  // one that was just taken is not counted yet
    for (uint32_t i = 0; steals != NULL && i < pool->node_count; i++) {
      steals[i] = wp_atomic_load(&worker->steals[i], wp_relaxed);
    }
  }
  pthread_mutex_unlock(&pool->threads.lock);
  return exists;
}
