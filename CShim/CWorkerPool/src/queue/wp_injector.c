#include "wp_injector.h"

#include <stdlib.h>

// A cell goes  EMPTY ──push──▶ code of a job          (read by the one worker that claimed it)
//                    └─pop───▶ BURNT                  (the submitter takes another ticket)
// in a single CAS and never changes again until its segment is recycled.
#define CELL_EMPTY ((uintptr_t)0)
#define CELL_BURNT ((uintptr_t)1)

// `enqueue` counts tickets and carries this flag; tickets taken after it was set are void.
#define TICKETS_CLOSED ((uint64_t)1 << 63)

// `next` goes  NULL ─▶ segment   or   NULL ─▶ NEXT_CLOSED,  once.
#define NEXT_NONE ((uintptr_t)0)
#define NEXT_CLOSED ((uintptr_t)1)

// How often a worker looks at a claimed, unpublished cell before it burns it: about as long as a submitter that
// is running needs from ticket to publication.
#define BURN_PATIENCE 64

typedef struct wp_cell {
  wp_atomic_uptr code;
  // Written by the holder of the ticket before PUBLISH, read by the holder of the claim after it.
  void *argument;
} wp_cell;

struct wp_segment {
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 enqueue;
  // Never exceeds the tickets that were given out, nor WP_SEGMENT_CELLS.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 dequeue;
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_uptr next;
  // Owned by whoever retired the segment.
  wp_segment *retired_next;
  /// Ticket of the first cell, counted over all segments. Constant while the segment is linked: edge LINK.
  uint64_t base;
  WP_ALIGNED(WP_CACHE_LINE) wp_cell cells[WP_SEGMENT_CELLS];
};

WP_STATIC_ASSERT(sizeof(wp_cell) == 2 * sizeof(uintptr_t), "a cell is two words");
WP_STATIC_ASSERT(WP_SEGMENT_CELLS >= 2, "a segment needs room");

static wp_segment *as_segment(uintptr_t word) { return (wp_segment *)word; }
static uintptr_t as_word(const wp_segment *segment) { return (uintptr_t)segment; }

// MARK: Segments

static void segment_reset(wp_segment *segment) {
  wp_atomic_store(&segment->enqueue, 0, wp_relaxed);
  wp_atomic_store(&segment->dequeue, 0, wp_relaxed);
  wp_atomic_store(&segment->next, NEXT_NONE, wp_relaxed);
  for (size_t i = 0; i < WP_SEGMENT_CELLS; i++) {
    wp_atomic_store(&segment->cells[i].code, CELL_EMPTY, wp_relaxed);
  }
}

static wp_segment *segment_take(wp_injector *injector) {
  uintptr_t spare = wp_atomic_exchange(&injector->spare, 0, wp_acquire);  // edge RETURN
  if (spare != 0) return as_segment(spare);
  wp_segment *segment = (wp_segment *)aligned_alloc(WP_CACHE_LINE, sizeof(wp_segment));
  if (segment != NULL) segment_reset(segment);
  return segment;
}

/// Only for segments that no thread can reach or hold.
static void segment_give_back(wp_injector *injector, wp_segment *segment) {
  if (wp_atomic_load(&injector->spare, wp_relaxed) != 0) {
    free(segment);
    return;
  }
  segment_reset(segment);
  uintptr_t none = 0;
  if (!wp_atomic_cas_strong(&injector->spare, &none, as_word(segment), wp_release, wp_relaxed)) free(segment);
}

// MARK: Hazards

/// Spreads threads over hazard slots, so that each mostly finds the slot it used last.
static uint32_t thread_stripe(void) {
  static wp_atomic_u32 next_stripe;
  static WP_THREAD_LOCAL uint32_t stripe = UINT32_MAX;
  if (stripe == UINT32_MAX) stripe = wp_atomic_fetch_add(&next_stripe, 1, wp_relaxed) & 0xffff;
  return stripe;
}

static bool hazard_try(wp_hazard *hazard, uintptr_t word) {
  if (wp_atomic_load(&hazard->segment, wp_relaxed) != 0) return false;
  uintptr_t free_slot = 0;
  // edge SHIELD, reader's store
  return wp_atomic_cas_strong(&hazard->segment, &free_slot, word, wp_seq_cst, wp_relaxed);
}

/// The block behind, which is made if there is none. NULL only without memory.
static wp_hazard_block *hazard_block_behind(wp_hazard_block *block) {
  uintptr_t next = wp_atomic_load(&block->next, wp_acquire);
  if (next != 0) return (wp_hazard_block *)next;
  wp_hazard_block *fresh = (wp_hazard_block *)aligned_alloc(WP_CACHE_LINE, sizeof(wp_hazard_block));
  if (fresh == NULL) return NULL;
  for (uint32_t i = 0; i < WP_HAZARD_SLOTS; i++) wp_atomic_init(&fresh->slots[i].segment, (uintptr_t)0);
  wp_atomic_init(&fresh->next, (uintptr_t)0);
  if (wp_atomic_cas_strong(&block->next, &next, (uintptr_t)fresh, wp_seq_cst, wp_acquire)) return fresh;
  free(fresh);
  return (wp_hazard_block *)next;
}

/// Not inlined: what a compiler prepares for the search would cost each submission more than the rest of it.
__attribute__((cold, noinline)) static wp_hazard *hazard_search(wp_injector *injector, uint32_t stripe, uintptr_t word) {
  for (wp_hazard_block *block = &injector->hazards; block != NULL; block = hazard_block_behind(block)) {
    for (uint32_t i = 0; i < WP_HAZARD_SLOTS; i++) {
      wp_hazard *hazard = &block->slots[(stripe + i) % WP_HAZARD_SLOTS];
      if (hazard_try(hazard, word)) return hazard;
    }
  }
  return NULL;
}

/// Claims a free slot and puts `word` in it: the thread's own, as a rule. NULL only without memory for another block.
static wp_hazard *hazard_claim(wp_injector *injector, uintptr_t word) {
  uint32_t stripe = thread_stripe();
  wp_hazard *own = &injector->hazards.slots[stripe % WP_HAZARD_SLOTS];
  return hazard_try(own, word) ? own : hazard_search(injector, stripe, word);
}

/// Loads `*source` into the slot until it stays there: the segment it returns cannot be recycled before the slot
/// changes.
static wp_segment *hazard_follow(wp_hazard *hazard, wp_atomic_uptr *source, uintptr_t word) {
  for (;;) {
    uintptr_t current = wp_atomic_load(source, wp_seq_cst);  // edge SHIELD, reader's check; edge LINK
    if (current == word) return as_segment(word);
    word = current;
    wp_atomic_store(&hazard->segment, word, wp_seq_cst);  // edge SHIELD, reader's store
  }
}

static wp_hazard *hazard_begin(wp_injector *injector, wp_atomic_uptr *source, wp_segment **segment) {
  uintptr_t word = wp_atomic_load(source, wp_relaxed);
  wp_hazard *hazard = hazard_claim(injector, word);
  if (hazard != NULL) *segment = hazard_follow(hazard, source, word);
  return hazard;
}

static void hazard_end(wp_hazard *hazard) {
  wp_atomic_store(&hazard->segment, (uintptr_t)0, wp_release);  // edge RETURN
}

static bool hazard_holds(wp_injector *injector, const wp_segment *segment) {
  for (wp_hazard_block *block = &injector->hazards; block != NULL;
       block = (wp_hazard_block *)wp_atomic_load(&block->next, wp_seq_cst)) {
    for (uint32_t i = 0; i < WP_HAZARD_SLOTS; i++) {
      // edge SHIELD, reclaimer's check; edge RETURN
      if (wp_atomic_load(&block->slots[i].segment, wp_seq_cst) == as_word(segment)) return true;
    }
  }
  return false;
}

/// Takes a segment that left the list, and every other one that waits, and recycles those that nobody holds.
static void retire(wp_injector *injector, wp_segment *segment) {
  // edge RETURN among reclaimers: what one put back, the next takes over.
  segment->retired_next = as_segment(wp_atomic_exchange(&injector->retired, (uintptr_t)0, wp_acquire));
  wp_segment *kept = NULL;
  wp_segment *last_kept = NULL;
  for (wp_segment *next; segment != NULL; segment = next) {
    next = segment->retired_next;
    if (hazard_holds(injector, segment)) {
      segment->retired_next = kept;
      if (kept == NULL) last_kept = segment;
      kept = segment;
    } else {
      segment_give_back(injector, segment);
    }
  }
  if (kept == NULL) return;
  uintptr_t top = wp_atomic_load(&injector->retired, wp_relaxed);
  do {
    last_kept->retired_next = as_segment(top);
  } while (!wp_atomic_cas_weak(&injector->retired, &top, as_word(kept), wp_release, wp_relaxed));
}

// MARK: Life cycle

bool wp_injector_init(wp_injector *injector) {
  wp_atomic_init(&injector->spare, (uintptr_t)0);
  wp_atomic_init(&injector->retired, (uintptr_t)0);
  wp_atomic_init(&injector->hazards.next, (uintptr_t)0);
  for (uint32_t i = 0; i < WP_HAZARD_SLOTS; i++) wp_atomic_init(&injector->hazards.slots[i].segment, (uintptr_t)0);
  wp_injector_tell(injector, NULL, NULL);
  wp_segment *first = segment_take(injector);
  if (first != NULL) first->base = 0;
  wp_atomic_init(&injector->head, as_word(first));
  wp_atomic_init(&injector->tail, as_word(first));
  return first != NULL;
}

void wp_injector_tell(wp_injector *injector, wp_injector_grown grown, void *context) {
  injector->grown = grown;
  injector->context = context;
}

void wp_injector_destroy(wp_injector *injector) {
  uintptr_t word = wp_atomic_load(&injector->head, wp_acquire);
  while (word != NEXT_NONE && word != NEXT_CLOSED) {
    wp_segment *segment = as_segment(word);
    word = wp_atomic_load(&segment->next, wp_acquire);
    free(segment);
  }
  for (wp_segment *segment = as_segment(wp_atomic_load(&injector->retired, wp_acquire)); segment != NULL;) {
    wp_segment *next = segment->retired_next;
    free(segment);
    segment = next;
  }
  free(as_segment(wp_atomic_load(&injector->spare, wp_acquire)));
  for (uintptr_t block = wp_atomic_load(&injector->hazards.next, wp_acquire); block != 0;) {
    uintptr_t next = wp_atomic_load(&((wp_hazard_block *)block)->next, wp_acquire);
    free((wp_hazard_block *)block);
    block = next;
  }
}

// MARK: Push

/// Fills the cells of the tickets that the caller holds. Returns how many jobs found a cell.
static size_t fill_cells(wp_segment *segment, uint64_t ticket, const wp_job *jobs, size_t count) {
  uint64_t end = ticket + count < WP_SEGMENT_CELLS ? ticket + count : WP_SEGMENT_CELLS;
  size_t filled = 0;
  for (; ticket < end; ticket++) {
    wp_cell *cell = &segment->cells[ticket];
    cell->argument = jobs[filled].argument;
    uintptr_t expected = CELL_EMPTY;
    // edge PUBLISH
    if (wp_atomic_cas_strong(&cell->code, &expected, jobs[filled].code, wp_release, wp_relaxed)) filled++;
  }
  return filled;
}

/// Links a new segment that already holds as many of the jobs as fit. The caller holds a hazard on `last`.
static wp_status append_segment(wp_injector *injector, wp_segment *last, const wp_job *jobs, size_t count,
                                size_t *filled) {
  wp_segment *fresh = segment_take(injector);
  if (fresh == NULL) return WP_SYSTEM_CALL_FAILED;
  size_t fits = count < WP_SEGMENT_CELLS ? count : WP_SEGMENT_CELLS;
  for (size_t i = 0; i < fits; i++) {
    fresh->cells[i].argument = jobs[i].argument;
    wp_atomic_store(&fresh->cells[i].code, jobs[i].code, wp_relaxed);
  }
  wp_atomic_store(&fresh->enqueue, (uint64_t)fits, wp_relaxed);
  fresh->base = last->base + WP_SEGMENT_CELLS;
  uintptr_t expected = NEXT_NONE;
  // edges LINK and ANNOUNCE
  if (wp_atomic_cas_strong(&last->next, &expected, as_word(fresh), wp_seq_cst, wp_relaxed)) {
    *filled = fits;
    if (injector->grown != NULL) injector->grown(injector->context);
  } else {
    *filled = 0;  // somebody else linked or closed: the caller looks again
    segment_give_back(injector, fresh);
  }
  return WP_OK;
}

wp_status wp_injector_push(wp_injector *injector, const wp_job *jobs, size_t count, size_t *accepted) {
  *accepted = 0;
  wp_segment *segment;
  wp_hazard *hazard = hazard_begin(injector, &injector->tail, &segment);
  if (hazard == NULL) return WP_SYSTEM_CALL_FAILED;
  wp_status status = WP_OK;
  while (*accepted < count) {
    const wp_job *rest = jobs + *accepted;
    size_t remaining = count - *accepted;
    // The look before the ticket keeps refused submitters from running the counter on for ever.
    uint64_t ticket = wp_atomic_load(&segment->enqueue, wp_relaxed);
    if (ticket < WP_SEGMENT_CELLS) {
      ticket = wp_atomic_fetch_add(&segment->enqueue, (uint64_t)remaining, wp_seq_cst);  // edge ANNOUNCE
    }
    if ((ticket & TICKETS_CLOSED) != 0) {
      status = WP_SHUT_DOWN;
      break;
    }
    if (ticket < WP_SEGMENT_CELLS) {
      *accepted += fill_cells(segment, ticket, rest, remaining);
      continue;
    }
    uintptr_t next = wp_atomic_load(&segment->next, wp_acquire);  // edge LINK
    if (next == NEXT_NONE) {
      size_t filled;
      status = append_segment(injector, segment, rest, remaining, &filled);
      if (status != WP_OK) break;
      *accepted += filled;
      next = wp_atomic_load(&segment->next, wp_acquire);
    }
    if (next == NEXT_CLOSED) {
      status = WP_SHUT_DOWN;
      break;
    }
    uintptr_t old_tail = as_word(segment);
    wp_atomic_cas_strong(&injector->tail, &old_tail, next, wp_seq_cst, wp_relaxed);
    segment = hazard_follow(hazard, &injector->tail, as_word(segment));
  }
  hazard_end(hazard);
  return status;
}

// MARK: Pop

/// Reads a cell that the caller has claimed. False when it had to be burnt.
static bool take_cell(wp_cell *cell, wp_job *job) {
  uintptr_t code = wp_atomic_load(&cell->code, wp_acquire);  // edge PUBLISH
  for (int i = 0; code == CELL_EMPTY && i < BURN_PATIENCE; i++) {
    wp_cpu_relax();
    code = wp_atomic_load(&cell->code, wp_acquire);  // edge PUBLISH
  }
  if (code == CELL_EMPTY && wp_atomic_cas_strong(&cell->code, &code, CELL_BURNT, wp_acquire, wp_acquire)) return false;
  job->code = code;
  job->argument = cell->argument;
  return true;
}

static uint64_t ticket_count(uint64_t enqueue) {
  uint64_t tickets = enqueue & ~TICKETS_CLOSED;
  return tickets < WP_SEGMENT_CELLS ? tickets : WP_SEGMENT_CELLS;
}

/// Moves `head` past a segment whose cells are all claimed. False when there is nothing behind it.
static bool advance_head(wp_injector *injector, wp_hazard *hazard, wp_segment **segment) {
  wp_segment *drained = *segment;
  uintptr_t next = wp_atomic_load(&drained->next, wp_seq_cst);  // edges LINK and ANNOUNCE
  if (next == NEXT_NONE || next == NEXT_CLOSED) return false;
  // `tail` leaves first, so that a segment which `head` has left can be reached from nowhere. Where another thread
  // moved it, acquiring that move puts it before our look at the slots: edge SHIELD holds for readers of `tail` too.
  uintptr_t word = as_word(drained);
  wp_atomic_cas_strong(&injector->tail, &word, next, wp_seq_cst, wp_acquire);
  word = as_word(drained);
  bool unlinked = wp_atomic_cas_strong(&injector->head, &word, next, wp_seq_cst, wp_relaxed);  // edge SHIELD
  *segment = hazard_follow(hazard, &injector->head, as_word(drained));
  if (unlinked) retire(injector, drained);
  return true;
}

size_t wp_injector_pop(wp_injector *injector, wp_job *jobs, size_t max, size_t share, wp_popped *popped) {
  wp_segment *segment;
  wp_hazard *hazard = hazard_begin(injector, &injector->head, &segment);
  if (hazard == NULL) return 0;
  size_t taken = 0;
  while (taken == 0) {
    uint64_t first = wp_atomic_load(&segment->dequeue, wp_relaxed);
    if (first == WP_SEGMENT_CELLS) {
      if (!advance_head(injector, hazard, &segment)) break;
      continue;
    }
    uint64_t tickets = ticket_count(wp_atomic_load(&segment->enqueue, wp_seq_cst));  // edge ANNOUNCE
    if (first >= tickets) break;
    uint64_t claim = (tickets - first + share - 1) / share;
    if (claim > max) claim = max;
    // The claim transfers nothing by itself (each cell has its own PUBLISH), so it needs no order.
    if (!wp_atomic_cas_weak(&segment->dequeue, &first, first + claim, wp_relaxed, wp_relaxed)) continue;
    if (popped != NULL) {
      popped->ticket = segment->base + first;
      popped->left = (size_t)(tickets - first - claim);
    }
    for (uint64_t i = first; i < first + claim; i++) {
      if (take_cell(&segment->cells[i], &jobs[taken])) taken++;
    }
  }
  hazard_end(hazard);
  return taken;
}

size_t wp_injector_backlog(wp_injector *injector) {
  wp_segment *segment;
  wp_hazard *hazard = hazard_begin(injector, &injector->head, &segment);
  if (hazard == NULL) return 1;
  uint64_t first = wp_atomic_load(&segment->dequeue, wp_relaxed);
  size_t backlog;
  if (first == WP_SEGMENT_CELLS) {
    uintptr_t next = wp_atomic_load(&segment->next, wp_seq_cst);  // edge ANNOUNCE
    backlog = next == NEXT_NONE || next == NEXT_CLOSED ? 0 : 1;
  } else {
    uint64_t tickets = ticket_count(wp_atomic_load(&segment->enqueue, wp_seq_cst));  // edge ANNOUNCE
    backlog = first < tickets ? (size_t)(tickets - first) : 0;
  }
  hazard_end(hazard);
  return backlog;
}

static uint64_t end_ticket(wp_injector *injector, wp_atomic_uptr *source, bool of_submitters) {
  wp_segment *segment;
  wp_hazard *hazard = hazard_begin(injector, source, &segment);
  if (hazard == NULL) return 0;
  uint64_t ticket = of_submitters ? ticket_count(wp_atomic_load(&segment->enqueue, wp_relaxed))
                                  : wp_atomic_load(&segment->dequeue, wp_relaxed);
  ticket += segment->base;
  hazard_end(hazard);
  return ticket;
}

size_t wp_injector_length(wp_injector *injector) {
  uint64_t first = end_ticket(injector, &injector->head, false);
  uint64_t end = end_ticket(injector, &injector->tail, true);
  return end > first ? (size_t)(end - first) : 0;
}

bool wp_injector_is_empty(wp_injector *injector) { return wp_injector_backlog(injector) == 0; }

// MARK: Close

void wp_injector_close(wp_injector *injector) {
  wp_segment *segment;
  wp_hazard *hazard;
  // Without memory for a hazard slot somebody else holds all others for a moment; closing must not fail.
  while ((hazard = hazard_begin(injector, &injector->tail, &segment)) == NULL) wp_cpu_relax();
  for (;;) {
    // From here on this segment gives no valid ticket…
    wp_atomic_fetch_or(&segment->enqueue, TICKETS_CLOSED, wp_seq_cst);
    uintptr_t next = NEXT_NONE;
    // …and here it can have no successor: if this succeeds, the queue is closed.
    if (wp_atomic_cas_strong(&segment->next, &next, NEXT_CLOSED, wp_seq_cst, wp_acquire)) break;
    if (next == NEXT_CLOSED) break;
    uintptr_t old_tail = as_word(segment);
    wp_atomic_cas_strong(&injector->tail, &old_tail, next, wp_seq_cst, wp_relaxed);
    segment = hazard_follow(hazard, &injector->tail, as_word(segment));
  }
  hazard_end(hazard);
}
