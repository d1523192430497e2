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
// Rejected: binding each piece to a node (a node that is done would idle); cutting by the addresses of the elements
// (nobody knows here what an element is).

#include "wp_enter.h"
#include "wp_help.h"
#include "wp_stack_job.h"

/// Beyond so many nodes a range is not cut by node, nor in more parts than that, which stand on the caller's stack.
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

/// The parts of all shares, the nearest node's first; `own` counts those of the own node.
typedef struct wp_shares {
  wp_stack_job jobs[MOST_PARTS];
  size_t own;
  size_t count;
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

/// Leaves a part to a node, without waking anybody. If it cannot be left there it counts as given back at once.
static void leave_part(wp_thread_pool *pool, uint32_t node, wp_stack_job *job) {
  wp_job cell = wp_stack_job_cell(job);
  size_t accepted;
  wp_stack_job_prepare(job);
  if (wp_injector_push(&pool->nodes[node].injector, &cell, 1, &accepted) != WP_OK) wp_latch_give_back(&job->latch);
}

/// Cuts a node's share in a part for each of its workers. Returns how many.
static size_t cut_share(const wp_thread_pool *pool, uint32_t node, wp_perform *range, const wp_spread *spread,
                        wp_stack_job *parts) {
  size_t all = spread->before[pool->node_count];
  size_t first = spread->before[node], members = spread->before[node + 1] - first;
  size_t wanted = MOST_PARTS / pool->node_count < members ? MOST_PARTS / pool->node_count : members;
  size_t count = 0;
  for (size_t part = 0; part < wanted; part++) {
    wp_stack_job *job = &parts[count];
    job->range = &range->head;
    job->begin = boundary(range, first + members * part / wanted, all);
    job->end = boundary(range, first + members * (part + 1) / wanted, all);
    if (job->begin < job->end) count++;
  }
  return count;
}

static bool find_piece_of_any(wp_worker *self, void *awaited, wp_job *found) {
  wp_shares *shares = (wp_shares *)awaited;
  for (size_t i = shares->own; i < shares->count; i++) {
    wp_stack_job *job = &shares->jobs[i];
    if (!wp_latch_is_set(&job->latch) && wp_stack_job_find_piece(self, job, found)) return true;
  }
  return false;
}

static void perform_by_nodes(wp_worker *self, wp_perform *range, const wp_spread *spread) {
  wp_thread_pool *pool = self->pool;
  const uint32_t *nearest = pool->nodes[self->node].nearest;
  wp_shares shares;
  shares.own = shares.count = cut_share(pool, self->node, range, spread, shares.jobs);
  for (uint32_t i = 1; i < pool->node_count; i++) {
    size_t count = cut_share(pool, nearest[i], range, spread, &shares.jobs[shares.count]);
    for (size_t end = shares.count + count; shares.count < end; shares.count++) {
      leave_part(pool, nearest[i], &shares.jobs[shares.count]);
    }
  }
  // The own node's parts, but for the first, and then the wakes, when everybody finds his own: who was woken sooner would
  // take his neighbour's. (ANNOUNCE: the pushes are before.)
  size_t forked = shares.own;
  while (forked > 1 && wp_stack_job_fork(self, &shares.jobs[forked - 1])) forked--;
  for (uint32_t i = 1; i < pool->node_count; i++) wp_event_count_notify_one(&pool->nodes[nearest[i]].event_count);
  for (size_t i = 0; i < shares.own; i++) {
    wp_stack_job *job = &shares.jobs[i];
    if (i < forked || wp_stack_job_take_back(self, job)) perform(self, &range->head, job->begin, job->end);
  }
  for (size_t i = shares.own; i < shares.count; i++) {
    wp_stack_job *job = &shares.jobs[i];
    wp_help_until_set(self, &job->latch, find_piece_of_any, &shares);
    if (wp_latch_is_given_back(&job->latch)) perform(self, &range->head, job->begin, job->end);
  }
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
  perform_by_nodes(self, range, &spread);
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
