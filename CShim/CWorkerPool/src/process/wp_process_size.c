// How many workers there are, which can be changed while the pool runs.
//
// `wanted` says how many there shall be, and is set by anybody under the lock; the collector's thread makes it so. The
// workers with the lowest indices stay, since these have the first places of a placement. `in_use` is what the loops
// over workers go up to: it follows `wanted` up at once, and down when the last of those that leave are buried.
//
//     wanted ──resize──▶ not wanted: no task is sent, those not begun are put back in front of what waits
//        ▲                   │ has ended what it had begun
//        │                   ▼
//        │◀──resize──── told to leave ──5 s──▶ killed
//        │                   │ gone, buried
//        └───resize────── ABSENT
//
// A worker that was not told yet when it is wanted again goes on; one that was is replaced.
//
// Room: the memory file is laid out for `WP_PROCESS_POOL_MAX_WORKERS` from the start. It is sparse, so a channel costs
// nothing until it is mapped, which happens when its worker is first wanted. The address space of a host, a limit on it,
// and what the kernel asks of other processes so depend on the workers that there were, not on those that there may be.
// Rejected: a second file for workers that are added (the template would have to be sent it, and two geometries would have
// to agree); mapping room for all at once (1024 workers with the default payload take 72 TiB).
#include "wp_process_state.h"

#include "../base/wp_error.h"
#include "../platform/wp_clock.h"
#include "../platform/wp_process.h"
#include "../platform/wp_shared_memory.h"
#include "wp_process_place.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

// MARK: Room

bool wp_size_make_room(wp_process_pool *pool, uint32_t count) {
  size_t length = pool->geometry.host_part + pool->geometry.worker_part;
  for (; pool->mapped < count; pool->mapped++) {
    uint32_t index = pool->mapped;
    void *memory = wp_memory_map(pool->memory, wp_channel_offset(&pool->geometry, index), length, true);
    if (memory == NULL) return false;
    wp_host_worker *worker = &pool->workers[index];
    worker->channel.host_part = (unsigned char *)memory;
    worker->channel.worker_part = worker->channel.host_part + pool->geometry.host_part;
    worker->pidfd = worker->share = -1;
    worker->arguments.count = pool->geometry.argument_areas;
    worker->results.count = pool->geometry.result_areas;
    worker->cell_uses = pool->cell_uses + (size_t)index * pool->geometry.cells;
    worker->bucket = WP_NO_WORKER;
    worker->cpu = worker->node = worker->memory_node = -1;
  }
  return true;
}

void wp_pool_unmap(wp_process_pool *pool, wp_pool_head *head) {
  if (head == NULL) return;
  for (uint32_t i = 0; i < pool->mapped; i++) {
    wp_memory_unmap(pool->workers[i].channel.host_part, pool->geometry.host_part + pool->geometry.worker_part);
  }
  wp_memory_unmap(pool->tail, (size_t)(pool->geometry.total - pool->geometry.output_offset));
  wp_memory_unmap(head, wp_pool_part_size());
}

void wp_size_set_place(wp_process_pool *pool, uint32_t index, const wp_place *places) {
  wp_host_worker *worker = &pool->workers[index];
  const wp_affinity_choice *affinity = &pool->affinity;
  worker->cpu = worker->node = -1;
  if (places != NULL) {
    worker->cpu = places[index].cpu;
    worker->node = places[index].node;
  } else if (affinity->policy == WP_AFFINITY_CPUS) {
    // Some of them are not granted any more. Whose CPU is gone floats, as one does that takes a dead worker's place.
    worker->cpu = affinity->cpus[index % affinity->cpu_count];
  }
}

// MARK: Resizing

/// Under the lock.
static wp_status set_size(wp_process_pool *pool, uint32_t count, const wp_place *places, wp_error *error) {
  if (pool->closed) return wp_fail(error, WP_SHUT_DOWN, 0, NULL, "the pool was shut down");
  if (pool->phase != WP_POOL_RUNNING) return wp_fail(error, WP_BROKEN, 0, NULL, pool->broken_reason);
  if (!wp_size_make_room(pool, count)) return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, "mmap", NULL);
  uint32_t before = wp_atomic_load(&pool->wanted, wp_relaxed);
  wp_atomic_store(&pool->wanted, count, wp_relaxed);
  for (uint32_t i = before; i < count; i++) {
    pool->workers[i].added = pool->workers[i].state != WP_WORKER_LIVE || pool->workers[i].leaving;
    wp_size_set_place(pool, i, places);
    wp_dispatch_place(pool, i);  // one that is still there
  }
  for (uint32_t i = count; i < before; i++) wp_dispatch_forget(pool, i);
  if (count != before) wp_pool_poke(pool);
  return WP_OK;
}

wp_status wp_process_pool_resize(wp_process_pool *pool, uint32_t worker_count, wp_error *error) {
  if (wp_forked_from(pool)) return wp_fail(error, WP_FORKED, 0, NULL, "the pool is the parent process's");
  uint32_t count = worker_count;
  wp_place *places = NULL;
  if (count <= pool->geometry.capacity) {
    wp_status status = wp_places_find(&pool->affinity, &count, &places, error);
    // What was granted when the pool was made, and is not now, does not keep it from being resized.
    if (status != WP_OK && status != WP_INVALID_ARGUMENT) return status;
    if (worker_count == 0 && count > pool->geometry.capacity) count = pool->geometry.capacity;
  }
  if (count > pool->geometry.capacity) {
    const char *rule = count > WP_PROCESS_POOL_MAX_WORKERS ? "at most 1024 worker processes"
                                                           : "more than a file may hold under RLIMIT_FSIZE";
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "worker_count", rule);
  }
  pthread_mutex_lock(&pool->lock);
  wp_status status = set_size(pool, count, places, error);
  pthread_mutex_unlock(&pool->lock);
  free(places);
  return status;
}

// MARK: Following

/// Takes back what the worker has not begun, newest first, each put in front of the pending: that keeps their order.
static void take_back(wp_process_pool *pool, wp_host_worker *worker) {
  for (uint32_t position = worker->published; position-- != worker->collected;) {
    const wp_sent *sent = wp_sent_at(pool, worker, position);
    if (sent->state == WP_SENT_REVOKED || !wp_dispatch_revoke(pool, sent->task)) continue;
    wp_process_put_back(pool, worker, position);
  }
}

/// Whether it may be told to leave: it starts, or it has nothing left to do.
static bool may_leave(const wp_host_worker *worker) {
  if (worker->leaving || worker->condemned) return false;
  if (worker->state == WP_WORKER_SPAWNING) return true;  // and finds the order when it begins
  return worker->state == WP_WORKER_LIVE && worker->published == worker->collected;
}

static void send_home(wp_process_pool *pool, uint32_t index, wp_wakes *wakes) {
  wp_host_worker *worker = &pool->workers[index];
  if (worker->state == WP_WORKER_ABSENT) {
    worker->start_failures = 0;
    worker->retry_at = 0;
    return;
  }
  if (worker->state == WP_WORKER_LIVE && !worker->leaving) take_back(pool, worker);
  if (may_leave(worker)) {
    worker->leaving = true;
    worker->leave_by = wp_clock_now() + WP_LEAVE_TIMEOUT_NS;
    wp_dispatch_signal(worker, true, wakes);
  } else if (worker->leaving && !worker->condemned && worker->pidfd >= 0 && wp_clock_now() >= worker->leave_by) {
    worker->condemned = true;
    wp_pidfd_kill(worker->pidfd, SIGKILL);
  }
}

void wp_size_follow(wp_process_pool *pool, wp_wakes *wakes) {
  uint32_t wanted = wp_atomic_load(&pool->wanted, wp_relaxed);
  if (pool->in_use < wanted) pool->in_use = wanted;
  for (uint32_t i = wanted; i < pool->in_use; i++) send_home(pool, i, wakes);
  while (pool->in_use > wanted && pool->workers[pool->in_use - 1].state == WP_WORKER_ABSENT) pool->in_use--;
}

bool wp_size_is_due(const wp_process_pool *pool) {
  for (uint32_t i = wp_atomic_load(&pool->wanted, wp_relaxed); i < pool->in_use; i++) {
    if (may_leave(&pool->workers[i])) return true;
  }
  return false;
}

uint64_t wp_size_deadline(const wp_process_pool *pool) {
  uint64_t deadline = UINT64_MAX;
  for (uint32_t i = wp_atomic_load(&pool->wanted, wp_relaxed); i < pool->in_use; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    bool waits = worker->leaving && !worker->condemned && worker->pidfd >= 0;
    if (waits && worker->leave_by < deadline) deadline = worker->leave_by;
  }
  return deadline;
}
