#include "stress_support.h"

#include <sched.h>
#include <string.h>

#include "../../CShim/CWorkerPool/src/queue/wp_injector.h"
#include "../../CShim/CWorkerPool/src/thread/wp_block_trade.h"

// MARK: The ring, with numbers for blocks

typedef struct ring_run {
  wp_block_ring ring;
  uint32_t putters;
  uint64_t batches;
  atomic_ullong accepted;
  atomic_uint putting;
  atomic_uchar *seen;
} ring_run;

static void put_all(ring_run *r, uint32_t index) {
  for (uint64_t number = index; number < r->batches; number += r->putters) {
    wp_block_batch batch;
    for (uint32_t i = 0; i < WP_BLOCK_BATCH; i++) batch.blocks[i] = (void *)(uintptr_t)(number * WP_BLOCK_BATCH + i + 1);
    if (wp_block_ring_put(&r->ring, &batch)) {
      atomic_fetch_add(&r->accepted, WP_BLOCK_BATCH);
    } else {
      sched_yield();
    }
  }
  atomic_fetch_sub(&r->putting, 1);
}

static void take_all(ring_run *r) {
  for (;;) {
    bool putting = atomic_load(&r->putting) != 0;
    wp_block_batch batch;
    if (wp_block_ring_take(&r->ring, &batch)) {
      for (uint32_t i = 0; i < WP_BLOCK_BATCH; i++) {
        atomic_fetch_add_explicit(&r->seen[(uintptr_t)batch.blocks[i] - 1], 1, memory_order_relaxed);
      }
    } else if (!putting) {
      return;
    } else {
      sched_yield();
    }
  }
}

static void ring_body(void *argument, uint32_t index) {
  ring_run *r = (ring_run *)argument;
  if (index < r->putters) {
    put_all(r, index);
  } else {
    take_all(r);
  }
}

static void *allocate_run(size_t size) {
  size_t lines = (size + WP_CACHE_LINE - 1) / WP_CACHE_LINE;
  void *run = aligned_alloc(WP_CACHE_LINE, lines * WP_CACHE_LINE);
  if (run == NULL) abort();
  memset(run, 0, size);
  return run;
}

cs_tally cs_block_ring_stress(uint32_t putters, uint32_t takers, uint64_t batches) {
  ring_run *r = (ring_run *)allocate_run(sizeof *r);
  r->putters = putters;
  r->batches = batches;
  atomic_init(&r->putting, putters);
  r->seen = (atomic_uchar *)calloc(batches * WP_BLOCK_BATCH, sizeof *r->seen);
  cs_run_threads(putters + takers, ring_body, r);
  cs_tally tally = cs_count(r->seen, batches * WP_BLOCK_BATCH, atomic_load(&r->accepted), 0);
  free(r->seen);
  free(r);
  return tally;
}

// MARK: The trade, with memory that tells when two own it

#define CODES 3u
#define KEPT 64u

typedef struct trade_run {
  wp_block_ring ring;
  wp_injector injector;
  uint32_t submitters;
  uint64_t items;
  uint32_t keep_every;
  atomic_uint submitting;
  atomic_ullong corrupted;
} trade_run;

static size_t size_of_code(uintptr_t code) {
  static const size_t sizes[CODES] = {24, 56, 100};
  return sizes[code / 16 % CODES];
}

static void fill(unsigned char *block, size_t size) { memset(block, (int)((uintptr_t)block / 16 % 255), size); }

static bool is_filled(const unsigned char *block, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (block[i] != (uintptr_t)block / 16 % 255) return false;
  }
  return true;
}

static void submit_all(trade_run *r, uint32_t index) {
  for (uint64_t item = index; item < r->items; item += r->submitters) {
    uintptr_t code = (uintptr_t)(item % CODES + 1) * 16;
    wp_job job = {code, malloc(size_of_code(code))};
    if (job.argument == NULL) abort();
    fill((unsigned char *)job.argument, size_of_code(code));
    size_t accepted;
    if (wp_injector_push(&r->injector, &job, 1, &accepted) != WP_OK) abort();
    wp_block_trade_refund(&r->ring, 1);
    while (wp_injector_backlog(&r->injector) > 1000) sched_yield();
  }
  atomic_fetch_sub(&r->submitting, 1);
}

static void check_and_free(trade_run *r, wp_job job) {
  if (!is_filled((unsigned char *)job.argument, size_of_code(job.code))) atomic_fetch_add(&r->corrupted, 1);
  free(job.argument);
}

/// Frees what it takes, but now and then later than it says so.
static void serve(trade_run *r) {
  wp_block_trade trade;
  wp_job kept[KEPT] = {{0, NULL}};
  memset(&trade, 0, sizeof trade);
  trade.serves_others = true;
  for (uint64_t served = 0;;) {
    bool submitting = atomic_load(&r->submitting) != 0;
    wp_job job;
    if (wp_injector_pop(&r->injector, &job, 1, 1, NULL) == 0) {
      if (!submitting) break;
      sched_yield();
      continue;
    }
    served++;
    uintptr_t block = (uintptr_t)job.argument;
    if (r->keep_every > 0 && served % r->keep_every == 0) {
      wp_job *place = &kept[served / r->keep_every % KEPT];
      if (place->argument != NULL) check_and_free(r, *place);
      *place = job;
    } else {
      check_and_free(r, job);
    }
    wp_block_trade_collect(&trade, &r->ring, job.code, block);
  }
  for (uint32_t i = 0; i < KEPT; i++) {
    if (kept[i].argument != NULL) check_and_free(r, kept[i]);
  }
  wp_block_trade_destroy(&trade);
}

static void trade_body(void *argument, uint32_t index) {
  trade_run *r = (trade_run *)argument;
  if (index < r->submitters) {
    submit_all(r, index);
  } else {
    serve(r);
  }
}

uint64_t cs_block_trade_stress(uint32_t submitters, uint32_t workers, uint64_t items, uint32_t keep_every) {
  trade_run *r = (trade_run *)allocate_run(sizeof *r);
  if (!wp_injector_init(&r->injector)) abort();
  r->submitters = submitters;
  r->items = items;
  r->keep_every = keep_every;
  atomic_init(&r->submitting, submitters);
  cs_run_threads(submitters + workers, trade_body, r);
  uint64_t corrupted = atomic_load(&r->corrupted);
  wp_block_ring_destroy(&r->ring);
  wp_injector_destroy(&r->injector);
  free(r);
  return corrupted;
}

uint64_t cs_block_trade_sequential(uint64_t rounds) {
  wp_block_ring *ring = (wp_block_ring *)allocate_run(sizeof *ring);
  wp_block_trade trade;
  memset(&trade, 0, sizeof trade);
  trade.serves_others = true;
  for (uint64_t round = 0; round < rounds; round++) {
    void *volatile blocks[WP_BLOCK_BATCH];
    for (uint32_t i = 0; i < WP_BLOCK_BATCH; i++) blocks[i] = malloc(40);
    for (uint32_t i = 0; i < WP_BLOCK_BATCH; i++) {
      uintptr_t block = (uintptr_t)blocks[i];
      free(blocks[i]);
      wp_block_trade_collect(&trade, ring, 16, block);
    }
    wp_block_trade_refund(ring, WP_BLOCK_BATCH);
  }
  uint64_t refunded = wp_atomic_load(&ring->taken, wp_relaxed);
  wp_block_trade_destroy(&trade);
  wp_block_ring_destroy(ring);
  free(ring);
  return refunded;
}

/// Not inlined into a caller that knows where its blocks are.
__attribute__((noinline)) static uintptr_t address_of_next(size_t size) {
  void *volatile block = malloc(size);
  uintptr_t address = (uintptr_t)block;
  free(block);
  return address;
}

bool cs_allocator_gives_back(void) {
  uintptr_t first = address_of_next(40);
  return address_of_next(40) == first;
}
