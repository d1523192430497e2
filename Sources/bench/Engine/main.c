// The engine's inner structures by themselves, as subjects of the benchmarks (the protocol is in ../Peers/README.md):
//   engine-bench ours|mutex-queue|condvar <bench> <workers> <n>
// How many threads take part is in the bench's name, and `workers` must say the same.
//   queue            one thread pushes n jobs, another pops them; an operation is a push and a pop
//   queue-contended  two and two
//   deque            the owner pushes and takes back, 64 at a time, alone
//   deque-steal      the owner pushes n jobs, one thief steals them
//   event-count      two threads that sleep in turn; an operation is a round trip of two wake-ups
//
// Edges, beside those of what is measured:
//   PRODUCED  a producer's last push comes before its release of `producing`; who acquires 0 there finds every job.
//   ANNOUNCE  that of the event count, whose work here is a turn.
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../../CShim/CWorkerPool/src/base/wp_atomic.h"
#include "../../../CShim/CWorkerPool/src/park/wp_event_count.h"
#include "../../../CShim/CWorkerPool/src/queue/wp_deque.h"
#include "../../../CShim/CWorkerPool/src/queue/wp_injector.h"
#include "mutex_ring.h"

#define BURST 64u
#define MAX_THREADS 4u

/// A sleeper of either kind and what it waits for: that `turn` reaches a number.
typedef struct side {
  wp_event_count event_count;
  wp_waiter waiter;
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 turn;
  pthread_mutex_t lock;
  pthread_cond_t changed;
} side;

typedef struct run {
  wp_injector injector;
  wp_deque deque;
  mutex_ring ring;
  side sides[2];
  bool ours;
  uint64_t n;
  uint32_t producers;
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 producing;
  wp_atomic_u64 sum;  // read when the threads are joined
} run;

typedef struct thread {
  run *run;
  uint32_t index;
  void (*body)(run *, uint32_t index);
  pthread_t handle;
} thread;

typedef struct bench {
  const char *name;
  bool (*offered)(const char *subject);
  void (*body)(run *, uint32_t index);
  uint32_t threads, producers;
} bench;

_Noreturn static void fail(int status, const char *message) {
  printf("{\"error\": \"%s\"}\n", message);
  fflush(stdout);
  exit(status);
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/// Spins a little, then lets another thread have the core: four threads may share two.
static void back_off(uint32_t *spins) {
  if (++*spins % 64 == 0) {
    sched_yield();
  } else {
    wp_cpu_relax();
  }
}

static wp_job numbered(uint64_t number) { return (wp_job){1, (void *)(uintptr_t)number}; }

// Queues

static void produce(run *r, uint32_t index) {
  for (uint64_t i = index; i < r->n; i += r->producers) {
    wp_job job = numbered(i);
    size_t accepted;
    if (!r->ours) {
      mutex_ring_push(&r->ring, job);
    } else if (wp_injector_push(&r->injector, &job, 1, &accepted) != WP_OK) {
      abort();
    }
  }
  wp_atomic_fetch_sub(&r->producing, 1, wp_release);  // PRODUCED
}

static void consume(run *r) {
  uint64_t sum = 0;
  uint32_t spins = 0;
  for (;;) {
    bool producing = wp_atomic_load(&r->producing, wp_acquire) != 0;  // PRODUCED; before the pop, so empty is final
    wp_job job;
    bool found = r->ours ? wp_injector_pop(&r->injector, &job, 1, 1, NULL) == 1 : mutex_ring_pop(&r->ring, false, &job);
    if (found) {
      sum += (uintptr_t)job.argument;
    } else if (producing) {
      back_off(&spins);
    } else {
      break;
    }
  }
  wp_atomic_fetch_add(&r->sum, sum, wp_relaxed);
}

static void queue_body(run *r, uint32_t index) {
  if (index < r->producers) {
    produce(r, index);
  } else {
    consume(r);
  }
}

// Deques

static void deque_body(run *r, uint32_t index) {
  (void)index;
  uint64_t sum = 0;
  for (uint64_t begin = 0; begin < r->n; begin += BURST) {
    uint64_t end = begin + BURST < r->n ? begin + BURST : r->n;
    wp_job job;
    for (uint64_t i = begin; i < end; i++) {
      job = numbered(i);
      if (!r->ours) {
        mutex_ring_push(&r->ring, job);
      } else if (wp_deque_push(&r->deque, &job, 1) != 1) {
        abort();
      }
    }
    while (r->ours ? wp_deque_take(&r->deque, &job) : mutex_ring_pop(&r->ring, true, &job)) {
      sum += (uintptr_t)job.argument;
    }
  }
  wp_atomic_fetch_add(&r->sum, sum, wp_relaxed);
}

static void own(run *r) {
  uint32_t spins = 0;
  for (uint64_t i = 0; i < r->n; i++) {
    wp_job job = numbered(i);
    if (r->ours) {
      while (wp_deque_push(&r->deque, &job, 1) == 0) back_off(&spins);  // at its limit until the thief has been there
    } else {
      mutex_ring_push(&r->ring, job);
    }
  }
}

static void rob(run *r) {
  uint64_t sum = 0;
  uint32_t spins = 0;
  for (uint64_t stolen = 0; stolen < r->n;) {
    wp_job job;
    bool found = r->ours ? wp_deque_steal(&r->deque, &job) == WP_STEAL_TAKEN : mutex_ring_pop(&r->ring, false, &job);
    if (found) {
      sum += (uintptr_t)job.argument;
      stolen++;
    } else {
      back_off(&spins);
    }
  }
  wp_atomic_fetch_add(&r->sum, sum, wp_relaxed);
}

static void steal_body(run *r, uint32_t index) {
  if (index == 0) {
    own(r);
  } else {
    rob(r);
  }
}

// Sleeping

static void announce(run *r, side *other, uint64_t turn) {
  if (r->ours) {
    wp_atomic_store(&other->turn, turn, wp_seq_cst);  // ANNOUNCE
    wp_event_count_notify_one(&other->event_count);
  } else {
    pthread_mutex_lock(&other->lock);
    wp_atomic_store(&other->turn, turn, wp_relaxed);
    pthread_mutex_unlock(&other->lock);
    pthread_cond_signal(&other->changed);
  }
}

/// Returns the turn that it was woken for.
static uint64_t await_turn(run *r, side *self, uint64_t turn) {
  if (!r->ours) {
    pthread_mutex_lock(&self->lock);
    while (wp_atomic_load(&self->turn, wp_relaxed) < turn) {
      pthread_cond_wait(&self->changed, &self->lock);
    }
    uint64_t seen = wp_atomic_load(&self->turn, wp_relaxed);
    pthread_mutex_unlock(&self->lock);
    return seen;
  }
  bool searching = false;
  while (wp_atomic_load(&self->turn, wp_acquire) < turn) {
    wp_event_count_prepare(&self->event_count, 0, searching);
    searching = false;
    bool is_there = wp_atomic_load(&self->turn, wp_seq_cst) >= turn;  // ANNOUNCE
    if (is_there && wp_event_count_retract(&self->event_count, 0)) break;
    searching = wp_event_count_wait(&self->event_count, 0) == WP_WAKE_SEARCHING;
  }
  if (searching) wp_event_count_end_search(&self->event_count);
  return wp_atomic_load(&self->turn, wp_relaxed);
}

static void sleep_body(run *r, uint32_t index) {
  side *self = &r->sides[index], *other = &r->sides[1 - index];
  uint64_t sum = 0;
  for (uint64_t turn = 1; turn <= r->n; turn++) {
    if (index == 1) await_turn(r, self, turn);
    announce(r, other, turn);
    if (index == 0) sum += await_turn(r, self, turn) - 1;
  }
  wp_atomic_fetch_add(&r->sum, sum, wp_relaxed);
}

// Rounds

static void *thread_main(void *argument) {
  thread *self = (thread *)argument;
  self->body(self->run, self->index);
  return NULL;
}

/// Everything anew, since a queue that has grown is another one.
static run *make_run(bool ours, uint64_t n, uint32_t producers) {
  run *r = (run *)aligned_alloc(WP_CACHE_LINE, sizeof *r);
  if (r == NULL) abort();
  memset(r, 0, sizeof *r);
  if (!wp_injector_init(&r->injector)) abort();
  wp_deque_init(&r->deque);
  if (!wp_deque_reserve(&r->deque)) abort();
  mutex_ring_init(&r->ring);
  for (size_t i = 0; i < 2; i++) {
    wp_event_count_init(&r->sides[i].event_count, &r->sides[i].waiter);
    if (pthread_mutex_init(&r->sides[i].lock, NULL) != 0 || pthread_cond_init(&r->sides[i].changed, NULL) != 0) abort();
  }
  r->ours = ours;
  r->n = n;
  r->producers = producers;
  wp_atomic_init(&r->producing, producers);
  wp_atomic_init(&r->sum, 0);
  return r;
}

static void free_run(run *r) {
  wp_injector_destroy(&r->injector);
  wp_deque_destroy(&r->deque);
  mutex_ring_destroy(&r->ring);
  for (size_t i = 0; i < 2; i++) {
    pthread_mutex_destroy(&r->sides[i].lock);
    pthread_cond_destroy(&r->sides[i].changed);
  }
  free(r);
}

/// One round; to start its threads is part of it, and little against n.
static void round_of(const bench *b, bool ours, uint64_t n, bool report) {
  run *r = make_run(ours, n, b->producers);
  thread threads[MAX_THREADS];
  int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
  for (uint32_t i = 0; i < b->threads; i++) {
    threads[i] = (thread){.run = r, .index = i, .body = b->body};
    if (pthread_create(&threads[i].handle, NULL, thread_main, &threads[i]) != 0) abort();
  }
  for (uint32_t i = 0; i < b->threads; i++) pthread_join(threads[i].handle, NULL);
  wall = now(CLOCK_MONOTONIC) - wall;
  cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  uint64_t sum = wp_atomic_load(&r->sum, wp_relaxed), expected = n * (n - 1) / 2;
  free_run(r);
  if (sum != expected) {
    char message[96];
    snprintf(message, sizeof message, "got %" PRIu64 ", expected %" PRIu64, sum, expected);
    fail(1, message);
  }
  if (report) printf("{\"wall_ns\": %" PRId64 ", \"cpu_ns\": %" PRId64 "}\n", wall, cpu);
  fflush(stdout);
}

static bool is_ours(const char *subject) { return strcmp(subject, "ours") == 0; }
static bool is_queue(const char *subject) { return is_ours(subject) || strcmp(subject, "mutex-queue") == 0; }
static bool is_sleep(const char *subject) { return is_ours(subject) || strcmp(subject, "condvar") == 0; }

static uint64_t number(const char *name, const char *text, uint64_t most) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < 1 || value > most) {
    char message[160];
    snprintf(message, sizeof message, "%s is '%.64s', but must be from 1 to %" PRIu64, name, text, most);
    fail(1, message);
  }
  return value;
}

static void check_workers(const bench *b, const char *text) {
  uint64_t workers = number("workers", text, 1024);
  if (workers != b->threads) {
    char message[96];
    snprintf(message, sizeof message, "workers is %" PRIu64 ", but %s has %" PRIu32, workers, b->name, b->threads);
    fail(1, message);
  }
}

int main(int count, char **arguments) {
  static const bench benches[] = {
      {"queue", is_queue, queue_body, 2, 1},        {"queue-contended", is_queue, queue_body, 4, 2},
      {"deque", is_queue, deque_body, 1, 1},        {"deque-steal", is_queue, steal_body, 2, 1},
      {"event-count", is_sleep, sleep_body, 2, 1},
  };
  if (count != 5) fail(1, "there must be 4 arguments: subject bench workers n");
  const char *subject = arguments[1];
  if (!is_queue(subject) && !is_sleep(subject)) fail(1, "the subject must be ours, mutex-queue or condvar");
  uint64_t n = number("n", arguments[4], 1000000000);
  const bench *b = NULL;
  for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
    if (strcmp(benches[i].name, arguments[2]) == 0 && benches[i].offered(subject)) b = &benches[i];
  }
  if (b == NULL) fail(2, "unsupported");
  check_workers(b, arguments[3]);
  bool ours = is_ours(subject);
  round_of(b, ours, n, false);
  puts("ready");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "go\n") != 0) fail(1, "a line on stdin must be 'go'");
    round_of(b, ours, n, true);
  }
  return 0;
}
