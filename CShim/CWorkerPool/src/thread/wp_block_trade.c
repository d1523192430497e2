#include "wp_block_trade.h"

#include <stdlib.h>

/// What fits into malloc's smallest chunks of a 64-bit machine: 24, 40, 56, … bytes. Larger contexts are rare.
#define SMALLEST 24u
#define LARGEST 120u
#define SIZE_STEP 16u
/// So many blocks in a row may be others: a full cache of the thread gives away what it has, while the job's block has gone
/// past it. With the last of these it is empty.
#define OTHERS_MAX (WP_BLOCK_BATCH + 1)
/// It is tried every 2^10th time at least.
#define IMPATIENCE_MAX 10u

/// malloc, of which the compiler knows nothing: else it takes for granted that no block was there before.
static uintptr_t allocate(size_t size) {
  uintptr_t block = (uintptr_t)malloc(size);
  __asm__ volatile("" : "+r"(block));
  return block;
}

/// Learns the size of a block that was freed last, and takes it back. False if it was not, or is large.
static bool regain_first(wp_traded_code *known, uintptr_t block) {
  for (uint16_t size = SMALLEST; size <= LARGEST; size += SIZE_STEP) {
    uintptr_t given = allocate(size);
    if (given == block) {
      known->size = size;
      return true;
    }
    free((void *)given);
  }
  return false;
}

/// A block in exchange for one that may have been freed; 0 if it was not, as far as can be told.
static uintptr_t regain(wp_traded_code *known, uintptr_t block) {
  if (known->size == 0) {
    if (regain_first(known, block)) return block;
  } else {
    uintptr_t given = allocate(known->size);
    if (given == block) {
      known->others = 0;
      known->impatience = 0;
      return block;
    }
    if (given != 0 && ++known->others <= OTHERS_MAX) return given;
    free((void *)given);
  }
  known->others = 0;
  if (known->impatience < IMPATIENCE_MAX) known->impatience++;
  known->skipped = (uint16_t)((1u << known->impatience) - 1);
  return 0;
}

static wp_traded_code *find(wp_block_trade *trade, uintptr_t code) {
  wp_traded_code *known = &trade->codes[code / 16 % WP_TRADED_CODES];
  if (known->code != code) {
    known->code = code;
    known->size = 0;
    known->others = 0;
    known->impatience = 0;
    known->skipped = 0;
  }
  return known;
}

void wp_block_trade_collect(wp_block_trade *trade, wp_block_ring *ring, uintptr_t code, uintptr_t block) {
  if (!trade->serves_others || block == 0) return;
  wp_traded_code *known = find(trade, code);
  if (known->skipped > 0) {
    known->skipped--;
    return;
  }
  uintptr_t given = regain(known, block);
  if (given == 0) return;
  trade->batch.blocks[trade->count++] = (void *)given;
  if (trade->count < WP_BLOCK_BATCH) return;
  if (!wp_block_ring_put(ring, &trade->batch)) wp_block_batch_free(&trade->batch, trade->count);
  trade->count = 0;
}

void wp_block_trade_destroy(wp_block_trade *trade) {
  wp_block_batch_free(&trade->batch, trade->count);
  trade->count = 0;
}

/// Jobs for which the calling thread has not been given a block.
static WP_THREAD_LOCAL size_t unpaid;

void wp_block_trade_refund(wp_block_ring *ring, size_t count) {
  unpaid += count;
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
