#include "wp_block_trade.h"

#include <stdlib.h>

/// What fits into malloc's smallest chunks of a 64-bit machine: 24, 40, 56, … 120 bytes. Larger contexts are rare.
#define SMALLEST 24u
#define SIZE_STEP 16u
#define SIZES 7u
/// A guess is made every 2^10th time at least.
#define WRONG_MAX 10u
/// So often in a row may a guess that was right give another block.
#define DOUBTS_MAX 8u
/// So many jobs of another code take a code's place.
#define INTRUDERS_MAX 64u

/// malloc, of which the compiler knows nothing: else it takes for granted that no block was there before.
static uintptr_t allocate(size_t size) {
  uintptr_t block = (uintptr_t)malloc(size);
  __asm__ volatile("" : "+r"(block));
  return block;
}

/// The place of a code; NULL if another has it.
static wp_traded_code *find(wp_block_trade *trade, uintptr_t code) {
  wp_traded_code *known = &trade->codes[code * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (WP_TRADED_CODES - 1)];
  if (known->code == code) return known;
  if (known->code != 0 && ++known->intruders < INTRUDERS_MAX) return NULL;
  *known = (wp_traded_code){.code = code};
  return known;
}

static void add(wp_block_trade *trade, wp_block_ring *ring, uintptr_t block) {
  if (block == 0) return;
  trade->batch.blocks[trade->count++] = (void *)block;
  if (trade->count < WP_BLOCK_BATCH) return;
  if (!wp_block_ring_put(ring, &trade->batch)) wp_block_batch_free(&trade->batch, trade->count);
  trade->count = 0;
}

void wp_block_trade_collect(wp_block_trade *trade, wp_block_ring *ring, uintptr_t code, uintptr_t block) {
  if (!trade->serves_others || block == 0) return;
  wp_traded_code *known = find(trade, code);
  if (known == NULL) return;
  if (known->skipped > 0) {
    known->skipped--;
    return;
  }
  if (trade->count == 0 && wp_block_ring_is_full(ring)) return;
  size_t size = SMALLEST + known->size * SIZE_STEP;
  uintptr_t given = allocate(size);
  if (given == block) {
    *known = (wp_traded_code){.code = code, .size = known->size, .proven = true};
    add(trade, ring, given);
  } else if (known->doubts < (known->proven ? DOUBTS_MAX : 1u)) {
    known->doubts++;
    add(trade, ring, given);
    for (uint32_t i = 1; i < WP_BLOCK_BATCH; i++) add(trade, ring, allocate(size));
  } else {
    free((void *)given);
    uint32_t wrong = known->wrong < WRONG_MAX ? known->wrong + 1 : WRONG_MAX;
    *known = (wp_traded_code){
        .code = code, .size = (known->size + 1) % SIZES, .wrong = wrong, .skipped = (1u << wrong) - 1};
  }
}

void wp_block_trade_destroy(wp_block_trade *trade) {
  wp_block_batch_free(&trade->batch, trade->count);
  trade->count = 0;
}

/// Jobs for which the calling thread has not been given a block.
static WP_THREAD_LOCAL size_t unpaid;

/// Apart, so that most calls of a refund save no register.
__attribute__((noinline)) static void pay(wp_block_ring *ring) {
  while (unpaid >= WP_BLOCK_BATCH) {
    wp_block_batch batch;
    unpaid -= WP_BLOCK_BATCH;
    if (!wp_block_ring_take(ring, &batch)) {
      unpaid %= WP_BLOCK_BATCH;
      return;
    }
    // Another core wrote them last: all come at once, where free would fetch one after the other.
    for (uint32_t i = 0; i < WP_BLOCK_BATCH; i++) __builtin_prefetch(batch.blocks[i], 1);
    wp_block_batch_free(&batch, WP_BLOCK_BATCH);
  }
}

void wp_block_trade_refund(wp_block_ring *ring, size_t count) {
  unpaid += count;
  if (unpaid >= WP_BLOCK_BATCH) pay(ring);
}
