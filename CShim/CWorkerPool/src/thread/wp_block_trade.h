// Block trade: how a worker gets hold of the memory that a job's end has freed, and how submitters get it back.
//
// A closure's context is freed inside its language's runtime: nobody can ask that for the block. But malloc can be asked
// for one, at once, on the same thread and of the same size; and an allocator with a cache for each thread gives the block
// that was freed last. That it is the same address says that it was freed indeed, and not merely let go of by one of several
// owners. If the cache was full the block went past it, and malloc gives another: then the worker takes what the cache
// has, and the next block finds room. If that one is not given either, the guess is wrong: that jobs of this code leave a
// block behind, or of which size. The next guess is made some jobs later, each time twice as many. A guess that was right
// before is doubted longer.
//
// What malloc gives belongs to the worker, whatever it is. So this is sound with any allocator, and of use with most.
//
// Blocks go to the ring of the worker's node seven at a time, and from there to whoever submits to that node, seven for
// each seven jobs: those that the jobs' owners need next. Memory that its worker allocated stays with it.
#ifndef WP_BLOCK_TRADE_H
#define WP_BLOCK_TRADE_H

#include "../queue/wp_block_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

/// How many different codes a worker remembers.
#define WP_TRADED_CODES 8u

/// What a worker knows of the blocks that jobs of one code leave behind: the closures that one place in a program makes are
/// of one size.
typedef struct wp_traded_code {
  uintptr_t code;
  /// The guess, in steps above the smallest size; whether it has been right; how often since another block was given.
  uint32_t size;
  bool proven;
  uint32_t doubts;
  /// How many guesses in a row were wrong, and how many jobs go by before the next.
  uint32_t wrong;
  uint32_t skipped;
  /// How many jobs of another code, which would stand here, came since the last right guess.
  uint32_t intruders;
} wp_traded_code;

/// One worker's; only it touches it. All zero: empty.
typedef struct wp_block_trade {
  wp_traded_code codes[WP_TRADED_CODES];
  wp_block_batch batch;
  uint32_t count;
  /// Whether the jobs at hand came from others, who allocated what they own.
  bool serves_others;
} wp_block_trade;

/// After the end of a job: collects `block` if it has just been freed. A full batch goes to `ring`.
void wp_block_trade_collect(wp_block_trade *trade, wp_block_ring *ring, uintptr_t code, uintptr_t block);
/// Frees what was collected and is not in a ring.
void wp_block_trade_destroy(wp_block_trade *trade);

/// After a submission of `count` jobs: gives the calling thread's allocator as many blocks, if there are some. Any thread.
void wp_block_trade_refund(wp_block_ring *ring, size_t count);

#ifdef __cplusplus
}
#endif

#endif
