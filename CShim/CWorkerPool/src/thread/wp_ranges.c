// Ranges: `wp_concurrent_perform`.
//
// On a machine with several nodes a range is cut first, once, in a share for each node that has workers, as large as
// their part of the workers, in the order of the nodes. So the same range is cut in the same way each time, and what a
// node's workers were the first to touch they find near the next time. The share of another node waits in that node's
// injector, in a part for each of its workers: whoever of them comes second has not to wait until the first cuts off
// something, and so looks no further. Within a part work goes from deque to deque as on any machine, and leaves the node
// only when the thieves' own has none left.
//
// There a worker keeps as many pieces in its deque as a node has workers, where on a machine of one node it keeps one:
// what is not cut off yet nobody sees. A neighbour that finds all pieces taken, a moment before the next is cut, would go
// to another node and take half of what is left there.
//
// A part that stands in another node's queue is out of its owner's reach, and the workers of that node may be long in coming:
// all of them may wait for parts of their own. So its cell is an invitation (as in wp_group.c): whoever claims the part runs it,
// and that is the owner before it sleeps. Parts stand on the heap, since an invitation may outlive the call.
//
// Rejected: binding each piece to a node (a node that is done would idle); cutting by the addresses of the elements
// (nobody knows here what an element is).

#include <stdlib.h>

#include "wp_enter.h"
#include "wp_help.h"
#include "wp_stack_job.h"

/// Beyond so many nodes a range is not cut by node, nor in more parts than that.
#define MOST_NODES 64u
#define MOST_PARTS 128u

/// More pieces than this in each deque are not worth their forks.
#define MOST_PIECES 16u

/// A whole `wp_concurrent_perform`.
typedef struct wp_perform {
  wp_range head;
  wp_borrowed_call call;
  wp_borrowed body;
  size_t grain;
  size_t count;
  /// How many pieces a worker keeps in its deque, as long as there are so many.
  size_t pieces;
} wp_perform;

/// Lazy binary splitting (A. Tzannes, G. Caragea, R. Barua, U. Vishkin, PPoPP 2010): goes on a grain at a time, and
/// forks off half of what is left whenever the own deque holds too little, which says that thieves are hungry. At most log2
/// of the count deep.
static void perform(wp_worker *self, wp_range *head, size_t begin, size_t end) {
  wp_perform *range = (wp_perform *)head;
  size_t grain = range->grain;
  while (end - begin > grain) {
    if (wp_deque_count(&self->deque) < range->pieces) {
      wp_stack_job job;
      job.range = head;
      job.begin = begin + (end - begin) / 2;
      job.end = end;
      if (wp_stack_job_fork(self, &job)) {
        perform(self, head, begin, job.begin);
        if (wp_stack_job_take_back(self, &job)) wp_stack_job_run(self, &job);
        return;
      }
    }
    range->call(range->body.first, range->body.second, begin, begin + grain);
    begin += grain;
  }
  if (begin < end) range->call(range->body.first, range->body.second, begin, end);
}

// MARK: Shares

#define PART_OPEN 0u
/// Nobody has the cell any more.
#define PART_DECLINED 1u
#define PART_CLAIMED 2u

/// A part of a share.
typedef struct wp_part {
  wp_engine_job head;
  struct wp_shares *shares;
  /// Whoever runs the part, by exchange, and whoever declines it.
  wp_atomic_u32 state;
  wp_stack_job job;
} wp_part;

/// The parts of all shares, the nearest node's first; `own` counts those of the own node.
typedef struct wp_shares {
  /// The owner, and each cell of a part: any thread.
  wp_atomic_u32 references;
  size_t own;
  size_t count;
  wp_part parts[];
} wp_shares;

/// How the workers are spread over the nodes: read once, since a pool may be resized at any time. `before[n]` counts those
/// of the nodes before `n`, and the last entry all.
typedef struct wp_spread {
  size_t before[MOST_NODES + 1];
} wp_spread;

static size_t count_workers(const wp_thread_pool *pool, wp_spread *spread) {
  size_t sum = 0;
  for (uint32_t n = 0; n < pool->node_count; n++) {
    spread->before[n] = sum;
    sum += wp_atomic_load(&pool->nodes[n].counts.wanted, wp_relaxed);
  }
  spread->before[pool->node_count] = sum;
  return sum;
}

/// Where the share begins that has `before` of `workers` workers before it: a multiple of the grain.
static size_t boundary(const wp_perform *range, size_t before, size_t workers) {
  if (before == workers) return range->count;
  size_t grains = (range->count - 1) / range->grain + 1;
  // grains * before / workers, which might not fit on the way
  return (grains / workers * before + grains % workers * before / workers) * range->grain;
}

static void let_go(wp_shares *shares) {
  if (wp_atomic_fetch_sub(&shares->references, 1, wp_acq_rel) == 1) free(shares);
}

static bool claim(wp_part *part) { return wp_atomic_exchange(&part->state, PART_CLAIMED, wp_relaxed) != PART_CLAIMED; }

/// What a part's cell calls.
static void accept(void *argument) {
  wp_part *part = (wp_part *)argument;
  wp_shares *shares = part->shares;
  if (claim(part)) wp_stack_job_run_stolen(&part->job);
  let_go(shares);
}

static void decline(void *argument) {
  wp_part *part = (wp_part *)argument;
  uint32_t state = PART_OPEN;
  wp_atomic_cas_strong(&part->state, &state, PART_DECLINED, wp_relaxed, wp_relaxed);
  let_go(part->shares);
}

/// Leaves a part to a node, without waking anybody.
static void leave_part(wp_thread_pool *pool, uint32_t node, wp_part *part) {
  wp_job cell;
  cell.code = (uintptr_t)accept | WP_JOB_ENGINE;
  cell.argument = part;
  size_t accepted;
  wp_stack_job_prepare(&part->job);
  wp_atomic_fetch_add(&part->shares->references, 1, wp_relaxed);
  if (wp_injector_push(&pool->nodes[node].injector, &cell, 1, &accepted) != WP_OK) decline(part);
}

/// In how many parts a node's share is cut at most: one for each of its workers.
static size_t count_parts(const wp_thread_pool *pool, uint32_t node, const wp_spread *spread) {
  size_t members = spread->before[node + 1] - spread->before[node];
  return MOST_PARTS / pool->node_count < members ? MOST_PARTS / pool->node_count : members;
}

/// Cuts a node's share and adds its parts.
static void cut_share(const wp_thread_pool *pool, uint32_t node, wp_perform *range, const wp_spread *spread,
                      wp_shares *shares) {
  size_t all = spread->before[pool->node_count];
  size_t first = spread->before[node], members = spread->before[node + 1] - first;
  size_t wanted = count_parts(pool, node, spread);
  for (size_t i = 0; i < wanted; i++) {
    wp_part *part = &shares->parts[shares->count];
    part->head.refuse = decline;
    part->shares = shares;
    wp_atomic_init(&part->state, PART_OPEN);
    part->job.range = &range->head;
    part->job.begin = boundary(range, first + members * i / wanted, all);
    part->job.end = boundary(range, first + members * (i + 1) / wanted, all);
    if (part->job.begin < part->job.end) shares->count++;
  }
}

/// A `wp_find_help`: a piece of a part that is being run, or a part that nobody will come for.
static bool find_piece_of_any(wp_worker *self, void *awaited, bool is_last, wp_job *found) {
  wp_shares *shares = (wp_shares *)awaited;
  for (size_t i = shares->own; i < shares->count; i++) {
    wp_part *part = &shares->parts[i];
    if (wp_latch_is_set(&part->job.latch)) continue;
    if (wp_stack_job_find_piece(self, &part->job, is_last, found)) return true;
    uint32_t state = wp_atomic_load(&part->state, wp_relaxed);
    if ((state == PART_DECLINED || (is_last && state == PART_OPEN)) && claim(part)) {
      *found = wp_stack_job_cell(&part->job);
      return true;
    }
  }
  return false;
}

static void perform_by_nodes(wp_worker *self, wp_perform *range, const wp_spread *spread, wp_shares *shares) {
  wp_thread_pool *pool = self->pool;
  const uint32_t *nearest = pool->nodes[self->node].nearest;
  cut_share(pool, self->node, range, spread, shares);
  shares->own = shares->count;
  for (uint32_t i = 1; i < pool->node_count; i++) {
    size_t first = shares->count;
    cut_share(pool, nearest[i], range, spread, shares);
    for (size_t k = first; k < shares->count; k++) leave_part(pool, nearest[i], &shares->parts[k]);
  }
  // The own node's parts, but for the first, and then the wakes, when everybody finds his own: who was woken sooner would
  // take his neighbour's. (ANNOUNCE: the pushes are before.)
  size_t forked = shares->own;
  while (forked > 1 && wp_stack_job_fork(self, &shares->parts[forked - 1].job)) forked--;
  for (uint32_t i = 1; i < pool->node_count; i++) wp_event_count_notify_one(&pool->nodes[nearest[i]].event_count);
  for (size_t i = 0; i < shares->own; i++) {
    wp_stack_job *job = &shares->parts[i].job;
    if (i < forked || wp_stack_job_take_back(self, job)) perform(self, &range->head, job->begin, job->end);
  }
  for (size_t i = shares->own; i < shares->count; i++) {
    wp_help_until_set(self, &shares->parts[i].job.latch, find_piece_of_any, shares);
  }
}

/// Room for the parts of all shares. NULL without memory.
static wp_shares *create_shares(const wp_thread_pool *pool, const wp_spread *spread) {
  size_t most = 0;
  for (uint32_t n = 0; n < pool->node_count; n++) most += count_parts(pool, n, spread);
  // One more, since a part that turns out empty is written as well.
  wp_shares *shares = (wp_shares *)malloc(sizeof(wp_shares) + (most + 1) * sizeof(wp_part));
  if (shares == NULL) return NULL;
  wp_atomic_init(&shares->references, 1u);
  shares->count = 0;
  return shares;
}

/// True when the range was cut by node and is done.
__attribute__((noinline)) static bool perform_shares(wp_worker *self, wp_perform *range) {
  const wp_thread_pool *pool = self->pool;
  wp_spread spread;
  if (pool->node_count > MOST_NODES) return false;
  size_t all = count_workers(pool, &spread);
  for (uint32_t n = 0; n < pool->node_count; n++) {
    size_t members = spread.before[n + 1] - spread.before[n];
    if (range->pieces < members) range->pieces = members < MOST_PIECES ? members : MOST_PIECES;
  }
  // Less than a grain for each worker is not worth waking another node.
  if (all == 0 || (range->count - 1) / range->grain < all) return false;
  wp_shares *shares = create_shares(pool, &spread);
  if (shares == NULL) return false;
  perform_by_nodes(self, range, &spread, shares);
  let_go(shares);
  return true;
}

static void perform_all(wp_worker *self, void *context) {
  wp_perform *range = (wp_perform *)context;
  if (self->pool->node_count > 1 && perform_shares(self, range)) return;
  perform(self, &range->head, 0, range->count);
}

wp_status wp_concurrent_perform(wp_thread_pool *pool, wp_borrowed_call call, wp_borrowed body, size_t count,
                                size_t grain) {
  if (count == 0) return WP_OK;
  wp_perform range;
  range.head.perform = perform;
  range.call = call;
  range.body = body;
  range.grain = grain == 0 ? 1 : grain;
  range.count = count;
  range.pieces = 1;
  return wp_enter(pool, perform_all, &range);
}
