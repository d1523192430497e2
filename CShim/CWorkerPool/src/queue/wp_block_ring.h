// Block ring: freed memory on its way back to the threads that allocate.
//
// Purpose. What a job owns was allocated by its submitter and is freed by its worker. An allocator with a cache for each
// thread then fills the worker's, and from there on each free and each malloc meet on the lines of the one arena that the
// memory came from: its lock and its free lists. Through a ring the memory goes home in batches, a cache line each
// (thread/wp_block_trade.h).
//
// Structure. A bounded queue of cells, each a cache line: a batch of addresses and the number of the turn that the cell is
// in, odd while it is full. It may be full, and then a batch is not taken; and who was preempted in the middle of a put
// or a take makes it seem full or empty to the others for that long. Nobody waits: it is a cache, and what it does not take
// its owner frees. What stands in it while a pool is idle is little: 224 blocks, of up to 120 bytes each.
//
// Sources. D. Vyukov, "Bounded MPMC queue" (2010). The idea of remote frees as messages: P. Liétar et al., "snmalloc: a
// message passing allocator" (ISMM 2019).
//
//              | put | take | destroy
//   put, take  |  ‖  |  ‖   |   ✗        ‖ may run beside each other (is_full, too), ✗ must not
//
// Edge CELL: put writes a batch, then releases the cell's turn; take acquires it, then reads, and releases the next turn,
// which the next put acquires. What was written to the blocks before put happens before what follows take.
#ifndef WP_BLOCK_RING_H
#define WP_BLOCK_RING_H

#include "wp_base.h"
#include "../base/wp_assert.h"
#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

/// With the turn a cache line; and what glibc's cache of a thread takes of one size.
#define WP_BLOCK_BATCH 7u
#ifndef WP_BLOCK_CELLS
#define WP_BLOCK_CELLS 32u
#endif

/// Memory that was got from malloc and belongs to whoever has the batch.
typedef struct wp_block_batch {
  void *blocks[WP_BLOCK_BATCH];
} wp_block_batch;

typedef struct wp_block_cell {
  /// Written by whoever claimed the cell's position, by put and take in turns.
  WP_ALIGNED(64) wp_atomic_uptr turn;
  wp_block_batch batch;
} wp_block_cell;

/// All zero: empty.
typedef struct wp_block_ring {
  /// Positions of the next put and of the next take: any thread, by CAS.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr put;
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr taken;
  wp_block_cell cells[WP_BLOCK_CELLS];
} wp_block_ring;

/// Takes a full batch over. False when there is no room. Any thread, O(1).
bool wp_block_ring_put(wp_block_ring *ring, const wp_block_batch *batch);
/// Whether a put would be refused now. Any thread, O(1).
bool wp_block_ring_is_full(wp_block_ring *ring);
/// Gives a batch away. False when there is none. Any thread, O(1).
bool wp_block_ring_take(wp_block_ring *ring, wp_block_batch *batch);
/// Frees what is left.
void wp_block_ring_destroy(wp_block_ring *ring);

/// Frees the first `count` blocks of a batch.
void wp_block_batch_free(const wp_block_batch *batch, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif
