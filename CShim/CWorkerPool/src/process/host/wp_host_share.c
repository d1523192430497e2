#include "wp_host_share.h"

#include "../../base/wp_at_fork.h"
#include "../../base/wp_error.h"
#include "../../platform/wp_shared_memory.h"
#include "../../platform/wp_socket.h"
#include "../shared/wp_process_message.h"
#include "wp_host_bell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wp_shared_memory {
  void *address;
  size_t length;
  uint64_t id;
  int descriptor;
  bool workers_write;
  uint32_t fork_generation;
  /// Whether any worker ever got it.
  wp_atomic_u32 given;
};

// MARK: All pools

/// Taken before any pool's lock.
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static wp_process_pool *first_pool;

/// In a child of a fork: what is in the list are the parent's pools, whose memory is not there, and another thread may have had
/// the lock.
static void forget_pools(void) {
  pthread_mutex_init(&pools_lock, NULL);
  first_pool = NULL;
}
WP_AT_FORK(forget_pools)

void wp_share_join(wp_process_pool *pool) {
  pthread_mutex_lock(&pools_lock);
  pool->list.next = first_pool;
  if (first_pool != NULL) first_pool->list.previous = pool;
  first_pool = pool;
  pthread_mutex_unlock(&pools_lock);
}

void wp_share_leave(wp_process_pool *pool) {
  pthread_mutex_lock(&pools_lock);
  if (pool == first_pool) first_pool = pool->list.next;
  else if (pool->list.previous != NULL) pool->list.previous->list.next = pool->list.next;
  if (pool->list.next != NULL) pool->list.next->list.previous = pool->list.previous;
  pthread_mutex_unlock(&pools_lock);
}

// MARK: Memories

/// A worker that makes memories of its own has others of its host: the process is part of the number.
static uint64_t new_id(void) {
  static wp_atomic_u64 last_id;
  const uint64_t numbers = ((uint64_t)1 << 40) - 1;
  return (uint64_t)getpid() << 40 | ((wp_atomic_fetch_add(&last_id, 1u, wp_relaxed) + 1) & numbers);
}

wp_status wp_shared_memory_create(size_t length, bool workers_write, const wp_memory_placement *placement,
                                  wp_shared_memory **result, int *refused_node, wp_error *error) {
  if (refused_node != NULL) *refused_node = -1;
  if (length == 0) return wp_fail(error, WP_INVALID_ARGUMENT, 0, "length", "must be at least 1");
  wp_shared_memory *memory = (wp_shared_memory *)calloc(1, sizeof *memory);
  if (memory == NULL) return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "calloc", NULL);
  const char *call = NULL;
  memory->length = length;
  memory->workers_write = workers_write;
  memory->fork_generation = wp_fork_generation();
  memory->descriptor = wp_memory_share("shared-array", length, !workers_write, &memory->address, &call);
  if (memory->descriptor < 0) {
    int number = errno;
    free(memory);
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, number, call, NULL);
  }
  if (placement != NULL && placement->policy != WP_MEMORY_FIRST_TOUCH) {
    // The policy stays with the file, whoever maps it.
    wp_status status = wp_memory_place(memory->address, length, placement, refused_node, error);
    if (status != WP_OK) {
      wp_shared_memory_destroy(memory);
      return status;
    }
  }
  memory->id = new_id();
  *result = memory;
  return WP_OK;
}

void *wp_shared_memory_address(const wp_shared_memory *memory) { return memory->address; }

uint64_t wp_shared_memory_id(const wp_shared_memory *memory) { return memory->id; }

/// Under the lock: empties the cells that name this memory.
static void empty_cells(wp_process_pool *pool, uint64_t id, wp_wakes *wakes) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_host_worker *worker = &pool->workers[i];
    if (worker->state == WP_WORKER_ABSENT) continue;  // its cells are cleared for the next
    wp_atomic_u64 *cells = wp_channel_cells(&worker->channel, &pool->geometry);
    for (uint32_t cell = 0; cell < pool->geometry.cells; cell++) {
      if (wp_atomic_load(&cells[cell], wp_relaxed) != id) continue;
      wp_atomic_store(&cells[cell], 0u, wp_relaxed);
      wp_atomic_fetch_add(&wp_channel_get_head(&worker->channel)->cells_revision, 1u, wp_release);  // edge "cells"
      worker->cell_calls++;
      // A pool in any other phase sends its workers nothing but the order to leave.
      if (worker->state == WP_WORKER_LIVE && pool->life.phase == WP_POOL_RUNNING) wp_bell_worker(worker, false, wakes);
      break;
    }
  }
}

static void empty_cells_everywhere(uint64_t id) {
  wp_wakes wakes;
  wakes.count = 0;
  pthread_mutex_lock(&pools_lock);
  for (wp_process_pool *pool = first_pool; pool != NULL; pool = pool->list.next) {
    pthread_mutex_lock(&pool->lock);
    if (pool->memory.head != NULL) empty_cells(pool, id, &wakes);
    pthread_mutex_unlock(&pool->lock);
    wp_bell_wake_all(&wakes);
  }
  pthread_mutex_unlock(&pools_lock);
}

void wp_shared_memory_destroy(wp_shared_memory *memory) {
  // In a child of somebody's fork the mapping is not there and a lock may be held for ever.
  if (memory->fork_generation == wp_fork_generation()) {
    if (wp_atomic_load(&memory->given, wp_relaxed) != 0) empty_cells_everywhere(memory->id);
    wp_memory_unmap(memory->address, memory->length);
  }
  close(memory->descriptor);
  free(memory);
}

// MARK: Giving

WP_STATIC_ASSERT(WP_CELLS_PER_SLOT == 64, "a word of doubts for the cells of each slot");

void wp_share_reset(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  worker->missed = 0;
  memset(worker->doubtful, 0, sizeof worker->doubtful);
  wp_atomic_store(&wp_channel_get_status(&worker->channel)->missed, 0u, wp_relaxed);
  wp_atomic_u64 *cells = wp_channel_cells(&worker->channel, &pool->geometry);
  for (uint32_t cell = 0; cell < pool->geometry.cells; cell++) wp_atomic_store(&cells[cell], 0u, wp_relaxed);
  worker->cell_calls = 0;
}

/// The cell that names this memory, or the number of cells.
static uint32_t find_cell(const wp_process_pool *pool, const wp_host_worker *worker, uint64_t id) {
  wp_atomic_u64 *cells = wp_channel_cells(&worker->channel, &pool->geometry);
  uint32_t cell = 0;
  while (cell < pool->geometry.cells && wp_atomic_load(&cells[cell], wp_relaxed) != id) cell++;
  return cell;
}

/// An empty cell, or the one whose memory was least recently used, of those that no task in a slot uses. There is one:
/// the tasks in slots, the one that is being sent included, carry no more memories than there are cells.
static uint32_t choose_cell(const wp_process_pool *pool, const wp_host_worker *worker) {
  uint32_t chosen = find_cell(pool, worker, 0);
  if (chosen < pool->geometry.cells) return chosen;
  uint32_t oldest = 0;
  for (uint32_t cell = 0; cell < pool->geometry.cells; cell++) {
    uint32_t age = worker->collected - worker->cell_uses[cell];
    if (age == 0 || age > UINT32_MAX / 2 || age <= oldest) continue;  // in use, or not the oldest
    oldest = age;
    chosen = cell;
  }
  WP_ASSERT(chosen < pool->geometry.cells);
  return chosen;
}

/// What the worker has missed could be in any cell.
static void hear_of_missed(wp_host_worker *worker) {
  uint32_t missed = wp_atomic_load(&wp_channel_get_status(&worker->channel)->missed, wp_relaxed);
  if (missed == worker->missed) return;
  worker->missed = missed;
  memset(worker->doubtful, 0xff, sizeof worker->doubtful);
}

static bool is_doubtful(const wp_host_worker *worker, uint32_t cell) {
  return (worker->doubtful[cell / 64] >> (cell % 64) & 1) != 0;
}

static void set_doubtful(wp_host_worker *worker, uint32_t cell, bool doubtful) {
  uint64_t bit = (uint64_t)1 << (cell % 64);
  if (doubtful) worker->doubtful[cell / 64] |= bit;
  else worker->doubtful[cell / 64] &= ~bit;
}

/// The task finds nothing there and says why; or its worker is dead, and it will be sent again. What tasks before it may have
/// stays in its cell.
static void take_back(const wp_process_pool *pool, wp_host_worker *worker, const wp_share_message *message,
                      uint64_t given_again) {
  wp_atomic_u64 *cells = wp_channel_cells(&worker->channel, &pool->geometry);
  for (uint32_t i = 0; i < message->count; i++) {
    uint32_t cell = message->deliveries[i].cell;
    if ((given_again >> i & 1) != 0) set_doubtful(worker, cell, true);
    else wp_atomic_store(&cells[cell], 0u, wp_relaxed);
  }
}

static void add(wp_share_message *message, int *descriptors, const wp_shared_memory *memory, uint32_t cell) {
  wp_share_delivery *delivery = &message->deliveries[message->count];
  delivery->id = memory->id;
  delivery->length = memory->length;
  delivery->cell = cell;
  delivery->writable = memory->workers_write;
  descriptors[message->count++] = memory->descriptor;
}

void wp_share_deliver(wp_process_pool *pool, uint32_t index, uint32_t position, const wp_task *task) {
  wp_host_worker *worker = &pool->workers[index];
  wp_request_slot *request = wp_channel_request(&worker->channel, &pool->geometry, position);
  request->deliveries = 0;
  request->delivery_errno = 0;
  if (task->shared_count == 0) return;
  hear_of_missed(worker);
  wp_atomic_u64 *cells = wp_channel_cells(&worker->channel, &pool->geometry);
  wp_share_message message;
  int descriptors[WP_PROCESS_MAX_SHARED];
  uint64_t given_again = 0;  // a bit for each delivery
  message.position = position;
  message.count = 0;
  for (uint32_t i = 0; i < task->shared_count; i++) {
    wp_shared_memory *memory = task->shared[i];
    uint32_t cell = find_cell(pool, worker, memory->id);
    bool is_new = cell == pool->geometry.cells;
    if (is_new) {
      cell = choose_cell(pool, worker);
      wp_atomic_store(&cells[cell], memory->id, wp_relaxed);
      wp_atomic_store(&memory->given, 1u, wp_relaxed);
    }
    if (is_new || is_doubtful(worker, cell)) {
      given_again |= (uint64_t)!is_new << message.count;
      add(&message, descriptors, memory, cell);
      set_doubtful(worker, cell, false);
    }
    worker->cell_uses[cell] = position;
  }
  if (message.count == 0) return;
  size_t length = offsetof(wp_share_message, deliveries) + message.count * sizeof message.deliveries[0];
  if (wp_socket_send(worker->share, &message, length, descriptors, message.count, false)) {
    request->deliveries = message.count & 0x7f;
    return;
  }
  request->delivery_errno = (uint8_t)errno;
  take_back(pool, worker, &message, given_again);
}
