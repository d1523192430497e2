#include "wp_block_ring.h"

#include <stdlib.h>

WP_STATIC_ASSERT(sizeof(wp_block_cell) == 64, "a cell is a cache line");

/// The turn that the cell of a position is in when it is to be filled at that.
static uintptr_t turn_of(uintptr_t position) { return position / WP_BLOCK_CELLS * 2; }

/// Claims the next position whose cell is `full` or not. NULL when the next cell is not that. `turn` is then the cell's.
static wp_block_cell *claim(wp_block_ring *ring, wp_atomic_uptr *next, uintptr_t full, uintptr_t *turn) {
  uintptr_t position = wp_atomic_load(next, wp_relaxed);
  for (;;) {
    wp_block_cell *cell = &ring->cells[position % WP_BLOCK_CELLS];
    *turn = turn_of(position) + full;
    if (wp_atomic_load(&cell->turn, wp_acquire) != *turn) {  // edge CELL
      uintptr_t now = wp_atomic_load(next, wp_relaxed);
      if (now == position) return NULL;
      position = now;  // somebody else was faster
    } else if (wp_atomic_cas_weak(next, &position, position + 1, wp_relaxed, wp_relaxed)) {
      return cell;
    }
  }
}

bool wp_block_ring_is_full(wp_block_ring *ring) {
  uintptr_t position = wp_atomic_load(&ring->put, wp_relaxed);
  return wp_atomic_load(&ring->cells[position % WP_BLOCK_CELLS].turn, wp_relaxed) != turn_of(position);
}

bool wp_block_ring_put(wp_block_ring *ring, const wp_block_batch *batch) {
  uintptr_t turn;
  wp_block_cell *cell = claim(ring, &ring->put, 0, &turn);
  if (cell == NULL) return false;
  cell->batch = *batch;
  wp_atomic_store(&cell->turn, turn + 1, wp_release);  // edge CELL
  return true;
}

bool wp_block_ring_take(wp_block_ring *ring, wp_block_batch *batch) {
  uintptr_t turn;
  wp_block_cell *cell = claim(ring, &ring->taken, 1, &turn);
  if (cell == NULL) return false;
  *batch = cell->batch;
  wp_atomic_store(&cell->turn, turn + 1, wp_release);  // edge CELL
  return true;
}

void wp_block_ring_destroy(wp_block_ring *ring) {
  wp_block_batch batch;
  while (wp_block_ring_take(ring, &batch)) wp_block_batch_free(&batch, WP_BLOCK_BATCH);
}

void wp_block_batch_free(const wp_block_batch *batch, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) free(batch->blocks[i]);
}
