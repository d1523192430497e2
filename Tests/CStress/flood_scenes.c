// What puts a job in each of the places.
#include "flood.h"

#include <sched.h>
#include <stdlib.h>

#include "wp_fork_join.h"
#include "wp_thread_pool.h"

static void submit(wp_thread_pool *pool, wp_job_function function, void *argument) {
  wp_job job = {(uintptr_t)function, argument};
  if (wp_thread_pool_submit(pool, job) != WP_OK) abort();
}

static void wait_for(sem_t *semaphore) {
  while (sem_wait(semaphore) != 0) continue;
}

static void spin_until_begun(void *argument) {
  scene *s = (scene *)argument;
  while (!cs_flood_is_over(s)) sched_yield();
}

/// Submits the probe of a scene that has one.
static void submit_probe(scene *s) {
  cs_flood_say_submitted(s);
  submit(s->of->pool, cs_flood_begin_probe, s->probes);
}

// MARK: On a worker

static void chain(void *argument) {
  scene *s = (scene *)argument;
  cs_spin(CS_SHORT_NS);
  if (!cs_flood_is_over(s)) submit(s->of->pool, chain, s);
}

static void below_chain(void *argument) {
  scene *s = (scene *)argument;
  submit_probe(s);
  submit(s->of->pool, chain, s);
}

static void in_long_job(void *argument) {
  submit_probe((scene *)argument);
  spin_until_begun(argument);
}

static void in_blocked_job(void *argument) {
  scene *s = (scene *)argument;
  wp_blocking_begin(&s->blocking, WP_BLOCKED_FOR_OTHERS, NULL);
  submit_probe(s);
  wp_blocking_wait(&s->blocking, UINT64_MAX);
  wp_blocking_end(&s->blocking);
}

static void block(void *argument) {
  scene *s = (scene *)argument;
  wp_blocking_begin(&s->blocking, WP_BLOCKED_FOR_OTHERS, NULL);
  sem_post(&s->step);
  wp_blocking_wait(&s->blocking, UINT64_MAX);
  wp_blocking_end(&s->blocking);
  atomic_store(&s->is_unblocked, true);
}

/// On a spare, which is not needed any more when this returns.
static void on_spare(void *argument) {
  scene *s = (scene *)argument;
  if (wp_thread_pool_current_worker(s->of->pool) >= (int32_t)WP_THREAD_POOL_FIRST_SPARE) {
    wp_blocking_wake(&s->blocking);
    while (!atomic_load(&s->is_unblocked)) sched_yield();
    submit_probe(s);
    atomic_store(&s->took_place, true);
  }
  sem_post(&s->step);
}

/// On the last worker, which is not wanted any more when this returns.
static void on_last(void *argument) {
  scene *s = (scene *)argument;
  if (wp_thread_pool_current_worker(s->of->pool) == (int32_t)s->of->workers) {
    wp_thread_pool_resize(s->of->pool, s->of->workers, NULL);
    submit_probe(s);
    atomic_store(&s->took_place, true);
  }
  sem_post(&s->step);
}

static void half_above_fork(void *first, void *second, size_t begin, size_t end) {
  (void)begin, (void)end;
  if (second == NULL) submit_probe((scene *)first);
}

static void half_in_long_job(void *first, void *second, size_t begin, size_t end) {
  (void)begin, (void)end;
  scene *s = (scene *)first;
  if (second != NULL) {
    cs_flood_begin_probe(s->probes);
  } else {
    spin_until_begun(s);
  }
}

static void join(void *argument) {
  scene *s = (scene *)argument;
  wp_borrowed own = {s, NULL}, other = {s, s};
  if (s->of->place == CS_FORK) cs_flood_say_submitted(s);
  wp_join(s->of->pool, s->of->place == CS_FORK ? half_in_long_job : half_above_fork, own, other);
}

static void long_job(void *argument) {
  (void)argument;
  cs_spin(CS_LONG_NS);
}

static void gate(void *argument) {
  scene *s = (scene *)argument;
  atomic_fetch_add(&s->gates, 1);
  while (!atomic_load(&s->gates_open)) sched_yield();
}

// MARK: From outside

/// Stops the flood until all of it has run.
static void dam(flood *f) {
  atomic_store(&f->backlog, 0);
  uint64_t in;
  do {
    sched_yield();
    in = atomic_load(&f->in);
  } while (atomic_load(&f->out) != in || in != atomic_load(&f->in));
}

/// Submits a job again and again until it has found itself on the right thread.
static void submit_until_in_place(scene *s, wp_job_function function) {
  while (!atomic_load(&s->took_place)) {
    submit(s->of->pool, function, s);
    wait_for(&s->step);
  }
}

static void benched(scene *s) {
  submit(s->of->pool, block, s);
  wait_for(&s->step);
  submit_until_in_place(s, on_spare);
}

static void ended(scene *s) {
  if (wp_thread_pool_resize(s->of->pool, s->of->workers + 1, NULL) != WP_OK) abort();
  submit_until_in_place(s, on_last);
}

/// A job that waits for those behind it, all of which come from outside; with the flood behind them.
static void behind_long_job(scene *s) {
  flood *f = s->of;
  dam(f);
  for (uint32_t i = 0; i < f->workers; i++) submit(f->pool, gate, s);
  while (atomic_load(&s->gates) < f->workers) sched_yield();
  submit(f->pool, spin_until_begun, s);
  for (uint32_t i = 0; i < s->probe_count; i++) submit(f->pool, cs_flood_begin_probe, &s->probes[i]);
  uint64_t before = atomic_load(&f->in);
  atomic_store(&f->backlog, CS_BACKLOG);
  sem_post(&f->flows);
  while (atomic_load(&f->in) < before + CS_BACKLOG) sched_yield();
  cs_flood_say_submitted(s);
  atomic_store(&s->gates_open, true);
}

/// Long jobs, some of which come as the first of a batch, whose rest goes back.
static void put_back(scene *s) {
  cs_flood_say_submitted(s);
  for (uint32_t i = 0; i < s->probe_count; i++) {
    submit(s->of->pool, long_job, s);
    submit(s->of->pool, cs_flood_begin_probe, &s->probes[i]);
  }
}

static void on_other_node(scene *s) {
  cs_flood_say_submitted(s);
  wp_job job = {(uintptr_t)cs_flood_begin_probe, s->probes};
  if (wp_thread_pool_submit_on(s->of->pool, 2, job) != WP_OK) abort();
}

static void below_chains(scene *s) {
  for (uint32_t i = 0; i < s->of->workers; i++) submit(s->of->pool, chain, s);
  submit_probe(s);
}

void cs_flood_play(scene *s) {
  wp_thread_pool *pool = s->of->pool;
  switch (s->of->place) {
  case CS_OWN_OLDEST: submit(pool, below_chain, s); break;
  case CS_INJECTOR: below_chains(s); break;
  case CS_OTHER_NODE: on_other_node(s); break;
  case CS_OF_LONG_JOB: submit(pool, in_long_job, s); break;
  case CS_OF_BLOCKED: submit(pool, in_blocked_job, s); break;
  case CS_OF_BENCHED: benched(s); break;
  case CS_OF_ENDED: ended(s); break;
  case CS_ASIDE:
  case CS_FORK: submit(pool, join, s); break;
  case CS_BEHIND_LONG_JOB: behind_long_job(s); break;
  case CS_PUT_BACK: put_back(s); break;
  }
}
