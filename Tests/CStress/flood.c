// How long jobs wait in each place where a job can stand (thread/wp_fairness.h), while others come without end.
//
// A thread outside keeps the injector from being empty. For each sample a scene puts a job, the probe, in the place, and says
// so right before; the probe says when it begins. Time is the pool's own (pool_clock.h), by worker.
#include "flood.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "wp_wait.h"

#define BATCH 50u
/// After so long a probe counts as lost, and its scene is given up.
#define PATIENCE_NS 2000000000u
/// With fewer than so many the injector may have been empty, since the flood's own thread did not run: the sample does not count.
#define LEAST_WAITING 200u
#define MOST_TRIES 20u

void cs_spin(uint64_t ns) {
  uint64_t end = wp_monotonic_now() + ns;
  while (wp_monotonic_now() < end) continue;
}

// MARK: The flood

static void short_job(void *argument) {
  flood *f = (flood *)argument;
  cs_spin(CS_SHORT_NS);
  if (atomic_fetch_add(&f->out, 1) % BATCH == 0 || f->place == CS_INJECTOR) sem_post(&f->flows);
}

static void *pour(void *argument) {
  flood *f = (flood *)argument;
  wp_job batch[BATCH];
  for (uint32_t i = 0; i < BATCH; i++) batch[i] = (wp_job){(uintptr_t)short_job, f};
  while (!atomic_load(&f->over)) {
    uint64_t backlog = atomic_load(&f->backlog);
    uint64_t waiting = atomic_load(&f->in) - atomic_load(&f->out);
    size_t count = waiting >= backlog ? 0 : backlog - waiting < BATCH ? backlog - waiting : BATCH;
    atomic_fetch_add(&f->in, count);
    size_t accepted = 0;
    if (count > 0 && wp_thread_pool_submit_batch(f->pool, batch, count, &accepted) != WP_OK) abort();
    // Asleep, so that it runs at once when there is room.
    if (count == 0) sem_wait(&f->flows);
  }
  return NULL;
}

static bool is_flooded(flood *f) {
  uint64_t out = atomic_load(&f->out);
  return f->place == CS_INJECTOR || atomic_load(&f->in) - out >= LEAST_WAITING;
}

// MARK: Probes

void cs_flood_say_submitted(scene *s) {
  bool flooded = is_flooded(s->of);
  uint64_t now = cs_pool_clock_now(&s->of->clock), by_clock = wp_monotonic_now();
  for (uint32_t i = 0; i < s->probe_count; i++) {
    s->probes[i].was_flooded = flooded;
    s->probes[i].submitted = now;
    s->probes[i].submitted_by_clock = by_clock;
  }
}

void cs_flood_begin_probe(void *argument) {
  probe *p = (probe *)argument;
  flood *f = p->of->of;
  p->waited_by_clock = wp_monotonic_now() - p->submitted_by_clock;
  p->waited = (cs_pool_clock_now(&f->clock) - p->submitted) / f->workers;
  p->was_flooded = p->was_flooded && is_flooded(f);
  if (f->place == CS_OF_BLOCKED) wp_blocking_wake(&p->of->blocking);
  atomic_store(&p->begun, true);
  sem_post(&p->of->begun);
}

bool cs_flood_is_over(scene *s) {
  for (uint32_t i = 0; i < s->probe_count; i++) {
    if (!atomic_load(&s->probes[i].begun)) return wp_monotonic_now() > s->deadline;
  }
  return true;
}

/// Whether all probes have begun in time.
static bool watch(scene *s) {
  struct timespec limit = {(time_t)(s->deadline / 1000000000u), (long)(s->deadline % 1000000000u)};
  for (uint32_t i = 0; i < s->probe_count; i++) {
    int failure;
    while ((failure = sem_clockwait(&s->begun, CLOCK_MONOTONIC, &limit)) != 0 && errno == EINTR) continue;
    if (failure != 0) return false;
  }
  return true;
}

// MARK: The whole

static void init_scenes(flood *f, uint32_t scenes) {
  uint32_t each = f->place == CS_BEHIND_LONG_JOB ? 40 : f->place == CS_PUT_BACK ? 64 : 1;
  f->scene_count = scenes;
  f->probe_count = scenes * each;
  f->scenes = (scene *)calloc(scenes, sizeof(scene));
  f->probes = (probe *)calloc(f->probe_count, sizeof(probe));
  if (f->scenes == NULL || f->probes == NULL) abort();
  for (uint32_t i = 0; i < scenes; i++) {
    scene *s = &f->scenes[i];
    s->of = f;
    s->probes = &f->probes[i * each];
    s->probe_count = each;
    sem_init(&s->begun, 0, 0);
    sem_init(&s->step, 0, 0);
    for (uint32_t k = 0; k < each; k++) s->probes[k].of = s;
  }
}

static flood *begin(cs_place place, uint32_t workers, uint32_t scenes, const void *machine) {
  flood *f = (flood *)calloc(1, sizeof(flood));
  if (f == NULL) abort();
  wp_thread_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = f->workers = workers;
  config.machine = (const wp_topology_source *)machine;
  cs_pool_clock_init(&f->clock, &config.hooks);
  if (wp_thread_pool_create(&config, &f->pool, NULL) != WP_OK) abort();
  f->place = place;
  init_scenes(f, scenes);
  sem_init(&f->flows, 0, 0);
  atomic_store(&f->backlog, place == CS_INJECTOR ? CS_SMALL_BACKLOG : CS_BACKLOG);
  return f;
}

/// Waits for all jobs, so that nobody uses the flood any more.
static void end(flood *f) {
  wp_thread_pool_close(f->pool);
  wp_thread_pool_join(f->pool);
  wp_thread_pool_release(f->pool);
  cs_pool_clock_destroy(&f->clock);
  for (uint32_t i = 0; i < f->scene_count; i++) {
    sem_destroy(&f->scenes[i].begun);
    sem_destroy(&f->scenes[i].step);
  }
  sem_destroy(&f->flows);
  free(f->scenes);
  free(f->probes);
  free(f);
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y ? 1 : 0;
}

/// Of the probes of so many scenes.
static cs_waits sum_up(const flood *f, uint32_t scenes) {
  cs_waits waits = {0, 0, 0, 0, 0, 0};
  uint32_t count = scenes * f->scenes[0].probe_count;
  uint64_t *own = (uint64_t *)calloc(count, sizeof(uint64_t));
  uint64_t *by_clock = (uint64_t *)calloc(count, sizeof(uint64_t));
  if (own == NULL || by_clock == NULL) abort();
  for (uint32_t i = 0; i < count; i++) {
    const probe *p = &f->probes[i];
    bool begun = atomic_load(&p->begun);
    if (begun && !p->was_flooded) continue;
    own[waits.counted] = begun ? p->waited : UINT64_MAX;
    by_clock[waits.counted++] = begun ? p->waited_by_clock : UINT64_MAX;
    waits.lost += begun ? 0 : 1;
  }
  if (waits.counted > 0) {
    qsort(own, waits.counted, sizeof *own, compare);
    qsort(by_clock, waits.counted, sizeof *by_clock, compare);
    waits.median_ms = (double)own[waits.counted / 2] / 1e6;
    waits.worst_ms = (double)own[waits.counted - 1] / 1e6;
    waits.median_by_clock_ms = (double)by_clock[waits.counted / 2] / 1e6;
  }
  waits.flood = atomic_load(&f->out);
  free(own);
  free(by_clock);
  return waits;
}

/// Plays scenes until so many count, or one has lost a probe, which says enough and costs seconds. Returns how many.
static uint32_t play_all(flood *f, uint32_t samples) {
  uint32_t played = 0, counted = 0;
  bool in_time = true;
  while (in_time && counted < samples && played < f->scene_count) {
    scene *s = &f->scenes[played++];
    // Its own thread may have to wait for a CPU.
    while (atomic_load(&f->in) - atomic_load(&f->out) < atomic_load(&f->backlog) / 2) sched_yield();
    s->deadline = wp_monotonic_now() + PATIENCE_NS;
    cs_flood_play(s);
    in_time = watch(s);
    const probe *last = &s->probes[s->probe_count - 1];
    // ThreadSanitizer does not know sem_clockwait: what the probe wrote is read behind its mark.
    if (in_time && atomic_load(&last->begun) && last->was_flooded) counted++;
  }
  return played;
}

cs_waits cs_flood_and_wait(cs_place place, uint32_t workers, uint32_t samples, const void *machine) {
  flood *f = begin(place, workers, samples * MOST_TRIES, machine);
  pthread_t pourer;
  if (pthread_create(&pourer, NULL, pour, f) != 0) abort();
  while (atomic_load(&f->out) < CS_BACKLOG) sched_yield();
  uint32_t played = play_all(f, samples);
  // While the flood goes on: what has not begun by now is lost.
  cs_waits waits = sum_up(f, played);
  atomic_store(&f->over, true);
  sem_post(&f->flows);
  pthread_join(pourer, NULL);
  end(f);
  return waits;
}
