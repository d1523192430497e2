#include "wp_host_affinity.h"

#include "../../base/wp_error.h"
#include "../../base/wp_notice_once.h"
#include "../../platform/wp_affinity.h"
#include "wp_host_bell.h"
#include "wp_host_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/// Words of the mask that is kept: as many CPUs as `wp_pin_to_cpu` can name.
#define WP_MASK_WORDS (8192u / 64)

// MARK: Places

static wp_status find_places(const wp_topology *topology, const wp_affinity_choice *affinity, uint32_t count,
                             wp_place **places, wp_error *error) {
  wp_placement *placements = (wp_placement *)calloc(count, sizeof *placements);
  *places = (wp_place *)calloc(count, sizeof **places);
  wp_status status = placements == NULL || *places == NULL
                         ? wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "calloc", NULL)
                         : wp_topology_place(topology, affinity, count, placements, NULL, error);
  bool several = wp_topology_node_count(topology) > 1;
  for (uint32_t i = 0; status == WP_OK && i < count; i++) {
    (*places)[i].cpu = placements[i].cpu;
    (*places)[i].node =
        several ? wp_topology_node_id(topology, wp_topology_nearest_memory(topology, placements[i].node)) : -1;
  }
  free(placements);
  if (status == WP_OK) return WP_OK;
  free(*places);
  *places = NULL;
  return status;
}

wp_status wp_places_find(const wp_affinity_choice *affinity, bool anew, uint32_t *count, wp_place **places,
                         wp_error *error) {
  *places = NULL;
  if (*count != 0 && affinity->policy == WP_AFFINITY_NONE) return WP_OK;
  wp_topology *topology = NULL;
  wp_topology_source source;
  memset(&source, 0, sizeof source);
  source.of_process = anew;  // the caller may be a pool's worker, which is pinned
  wp_status status = wp_topology_create(&source, &topology, error);
  if (status != WP_OK) return status;
  size_t granted = *count;
  if (granted == 0) status = wp_topology_grant(topology, &granted, error);
  if (status == WP_OK) {
    *count = granted < WP_PROCESS_POOL_MAX_WORKERS ? (uint32_t)granted : WP_PROCESS_POOL_MAX_WORKERS;
    if (affinity->policy != WP_AFFINITY_NONE) status = find_places(topology, affinity, *count, places, error);
    if (anew && status == WP_INVALID_ARGUMENT) status = WP_OK;
  }
  wp_topology_destroy(topology);
  return status;
}

// MARK: What a pool keeps

bool wp_places_keep(wp_process_pool *pool, const wp_affinity_choice *affinity) {
  pool->settings.affinity = *affinity;
  pool->settings.affinity.cpus = NULL;
  if (affinity->policy == WP_AFFINITY_NONE) return true;
  pool->settings.allowed = (uint64_t *)calloc(WP_MASK_WORDS, sizeof *pool->settings.allowed);
  if (pool->settings.allowed == NULL) return false;
  wp_affinity_get(false, pool->settings.allowed, WP_MASK_WORDS);  // of what cannot be read, nothing is missed later
  if (affinity->policy != WP_AFFINITY_CPUS) return true;
  int *cpus = (int *)calloc(affinity->cpu_count, sizeof *cpus);
  if (cpus != NULL) memcpy(cpus, affinity->cpus, affinity->cpu_count * sizeof *cpus);
  pool->settings.affinity.cpus = cpus;
  return cpus != NULL;
}

void wp_places_destroy(wp_process_pool *pool) {
  free((void *)(uintptr_t)pool->settings.affinity.cpus);
  free(pool->settings.allowed);
}

void wp_places_assign(wp_process_pool *pool, uint32_t index, const wp_place *places) {
  wp_host_worker *worker = &pool->workers[index];
  const wp_affinity_choice *affinity = &pool->settings.affinity;
  worker->cpu = worker->node = -1;
  if (places != NULL) {
    worker->cpu = places[index].cpu;
    worker->node = places[index].node;
  } else if (affinity->policy == WP_AFFINITY_CPUS) {
    // Some of them are not granted any more. Whose CPU is gone floats, as one does that takes a dead worker's place.
    worker->cpu = affinity->cpus[index % affinity->cpu_count];
  }
}

// MARK: What is left of it

/// Whether this thread might use the CPU when the pool was made, and may not now.
static bool was_taken_away(const wp_process_pool *pool, int cpu) {
  uint64_t now[WP_MASK_WORDS];
  size_t word = (size_t)cpu / 64;
  if (word >= WP_MASK_WORDS || wp_affinity_get(false, now, WP_MASK_WORDS) != 0) return false;
  return ((pool->settings.allowed[word] & ~now[word]) >> (cpu % 64) & 1) != 0;
}

static void note_floating(wp_process_pool *pool, uint32_t index, int number) {
  wp_pending_notices *notices = &pool->notices;
  if (notices->floats) return;
  notices->floats = true;
  notices->worker = index;
  notices->cpu = pool->workers[index].cpu;
  notices->cpu_errno = number;
}

static void prefer_node(wp_process_pool *pool, wp_host_worker *worker) {
  if (worker->node == worker->memory_node || pool->memory.stays) return;
  int number = wp_room_prefer(pool, worker, worker->node);
  worker->memory_node = worker->node;
  if (number == 0) return;
  pool->memory.stays = true;  // what is refused once will be refused again
  pool->notices.elsewhere = true;
  pool->notices.node = worker->node;
  pool->notices.node_errno = number;
}

int wp_places_prepare(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  prefer_node(pool, worker);
  if (worker->cpu < 0 || !was_taken_away(pool, worker->cpu)) return worker->cpu;
  note_floating(pool, index, 0);
  return -1;
}

void wp_places_note(wp_process_pool *pool, uint32_t index) {
  const wp_host_worker *worker = &pool->workers[index];
  if (worker->cpu < 0) return;
  // The worker's word, which decides no more than what is said.
  uint32_t number = wp_atomic_load(&wp_channel_get_status(&worker->channel)->pin_errno, wp_relaxed);
  if (number == 0 || pool->notices.floats) return;
  note_floating(pool, index, (int)number);
  wp_bell_collector(pool);  // this may be a leader, which says nothing
}

void wp_places_give_notice(const wp_pending_notices *notices) {
  if (notices->elsewhere) {
    wp_notice_once(WP_NOTICE_MEMORY_NOT_PLACED, notices->node_errno,
                   "the slots of process workers could not be placed on node %d and lie where they are first touched",
                   notices->node);
  }
  if (!notices->floats) return;
  if (notices->cpu_errno == 0 || notices->cpu_errno == EINVAL) {
    wp_notice_once(WP_NOTICE_CPU_GONE, notices->cpu_errno,
                   "process worker %u floats, because CPU %d is gone or not allowed any more", notices->worker, notices->cpu);
  } else {
    wp_notice_once(WP_NOTICE_AFFINITY_NOT_SET, notices->cpu_errno,
                   "process worker %u floats, because it could not be pinned to CPU %d", notices->worker, notices->cpu);
  }
}
