// A flood of short jobs, and scenes in which a job stands somewhere meanwhile; see flood.c.
#ifndef FLOOD_H
#define FLOOD_H

#include <semaphore.h>
#include <stdatomic.h>

#include "CStress.h"
#include "pool_clock.h"
#include "wp_blocking.h"

#define CS_SHORT_NS 2000u
#define CS_LONG_NS 100000u
/// Jobs of the flood that wait at a time; where each waits for hundreds of others, few.
#define CS_BACKLOG 6000u
#define CS_SMALL_BACKLOG 4u

typedef struct flood flood;
typedef struct scene scene;

typedef struct probe {
  scene *of;
  uint64_t submitted;
  uint64_t submitted_by_clock;
  uint64_t waited;
  uint64_t waited_by_clock;
  bool was_flooded;
  _Atomic bool begun;
} probe;

/// One sample. Its jobs may outlast the next one's beginning.
struct scene {
  flood *of;
  probe *probes;
  uint32_t probe_count;
  uint64_t deadline;
  /// The probes that have begun.
  sem_t begun;
  sem_t step;
  _Atomic uint32_t gates;
  _Atomic bool gates_open;
  _Atomic bool took_place;
  _Atomic bool is_unblocked;
  wp_blocking blocking;
};

struct flood {
  cs_pool_clock clock;
  wp_thread_pool *pool;
  uint32_t workers;
  cs_place place;
  uint32_t scene_count;
  scene *scenes;
  uint32_t probe_count;
  probe *probes;
  _Atomic uint32_t backlog;
  /// Signalled now and then while jobs of the flood run.
  sem_t flows;
  _Atomic uint64_t in;
  _Atomic uint64_t out;
  _Atomic bool over;
};

/// Spins for so long.
void cs_spin(uint64_t ns);

/// Says, right before they are submitted, that the probes of a scene will be.
void cs_flood_say_submitted(scene *s);
/// The job of a probe.
void cs_flood_begin_probe(void *probe);
/// Whether all probes of a scene have begun, or should have.
bool cs_flood_is_over(scene *s);

/// Puts the probes of a scene in their place.
void cs_flood_play(scene *s);

#endif
