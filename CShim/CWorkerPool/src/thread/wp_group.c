// Groups: any number of calls of one function that one thread waits for.
//
// The calls are counted, and nothing more: each is like the others. A cell in a queue is an invitation to make one. Whoever
// takes an invitation claims a call, if one is left; and so does the owner at the end, until none is left, wherever the
// invitations stand. So the owner reaches all that it waits for, and never has to clear its way through a queue. What it
// makes on its stack are calls of its own group, and those can wait for nothing below but in a cycle.
//
// Counts and invitations outlive the owner's frame: they stand in a core on the heap, which goes with the last invitation.
//
//   the word:  63      43 42      27 26          1      0
//             [ invited  ][ running  ][ unstarted ][ owned ]   any thread, by one atomic operation for each step
//
//   spawn      unstarted + 1, invited + 1      then an invitation into a queue, then a look whether the owner is PARKED
//   claim      unstarted - 1, running + 1
//   finish     running - 1                     (and invited - 1 where an invitation is used up)
//   The group is over when nothing runs and nothing is unstarted: only what runs, or the owner's own body, spawns.
//   The core is freed by whoever brings `invited` and `owned` to 0.
//
// Edges:
//   CALLS   each finish releases, and the owner's look at the end acquires: what all calls did happens before.
//   PARK    the owner stores PARKED and then looks at the word; who spawns or finishes changes the word and then looks for
//           PARKED. All four are sequentially consistent, so one of the two sees the other.
//
// Sources. Counting calls in place of listing them: OpenMP's task reductions and Cilk's sync counters. Rejected: calls that
// can be found by their cells alone (an owner without a spare then hangs when its call stands below another's job).
#include "wp_fork_join.h"

#include <stdlib.h>

#include "wp_blocked.h"
#include "wp_help.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_futex.h"

#define OWNED ((uint64_t)1)
#define UNSTARTED ((uint64_t)1 << 1)
#define UNSTARTED_MASK (((uint64_t)1 << 27) - 2)
#define RUNNING ((uint64_t)1 << 27)
#define RUNNING_MASK ((((uint64_t)1 << 16) - 1) << 27)
#define INVITED ((uint64_t)1 << 43)
#define INVITED_MASK ((((uint64_t)1 << 21) - 1) << 43)
// More invitations than this bring nobody who would not come. With more calls than that waiting, who spawns makes some.
#define MOST_INVITED (((uint64_t)1 << 20) << 43)
#define MOST_UNSTARTED (((uint64_t)1 << 25) << 1)

#define OWNER_AWAKE 0u
#define OWNER_PARKED 1u

#define LOOKS_PER_CLOCK 16

typedef struct wp_group_core {
  wp_engine_job head;
  // Constant after init; edge PUBLISH of the queue carries them to who takes an invitation.
  wp_thread_pool *pool;
  wp_job_function call;
  void *context;
  wp_atomic_u64 word;
  /// The owner, and whoever wakes it, by exchange.
  wp_atomic_u32 owner;
} wp_group_core;

typedef struct wp_group_state {
  wp_group_core *core;
  wp_worker *owner;
} wp_group_state;

WP_STATIC_ASSERT(sizeof(wp_group_state) <= sizeof(wp_group), "there is room for one");

static wp_group_state *state_of(wp_group *group) { return (wp_group_state *)(void *)group; }

static bool is_over(uint64_t word) { return (word & (UNSTARTED_MASK | RUNNING_MASK)) == 0; }

static void wake_owner(wp_group_core *core) {
  if (wp_atomic_load(&core->owner, wp_seq_cst) != OWNER_PARKED) return;  // edge PARK
  if (wp_atomic_exchange(&core->owner, OWNER_AWAKE, wp_seq_cst) == OWNER_PARKED) {
    wp_futex_wake(&core->owner, 1, WP_FUTEX_PRIVATE);
  }
}

/// Takes counts off the word, and frees the core if that was the last of it.
static void let_go(wp_group_core *core, uint64_t counts) {
  uint64_t left = wp_atomic_fetch_sub(&core->word, counts, wp_acq_rel) - counts;
  if ((left & (INVITED_MASK | OWNED)) == 0) free(core);
}

static bool claim(wp_group_core *core) {
  uint64_t word = wp_atomic_load(&core->word, wp_relaxed);
  while ((word & UNSTARTED_MASK) != 0) {
    if (wp_atomic_cas_weak(&core->word, &word, word - UNSTARTED + RUNNING, wp_acq_rel, wp_relaxed)) return true;
  }
  return false;
}

/// Says that a call has ended. The core stays: the caller owns the group or holds an invitation.
static void finish(wp_group_core *core) {
  uint64_t left = wp_atomic_fetch_sub(&core->word, RUNNING, wp_seq_cst) - RUNNING;  // edges CALLS and PARK
  if (is_over(left)) wake_owner(core);
}

/// Makes a call, if one is left.
static bool make_call(wp_group_core *core) {
  if (!claim(core)) return false;
  core->call(core->context);
  finish(core);
  return true;
}

/// What the cell of an invitation calls.
static void accept(void *argument) {
  wp_group_core *core = (wp_group_core *)argument;
  make_call(core);
  let_go(core, INVITED);
}

/// The owner makes the call.
static void decline(void *argument) { let_go((wp_group_core *)argument, INVITED); }

bool wp_group_begin(wp_group *group, wp_thread_pool *pool, wp_job_function call, void *context) {
  wp_worker *self = wp_worker_current();
  if (self == NULL || self->pool != pool) return false;
  wp_group_core *core = (wp_group_core *)malloc(sizeof(wp_group_core));
  if (core == NULL) return false;
  core->head.refuse = decline;
  core->pool = pool;
  core->call = call;
  core->context = context;
  wp_atomic_init(&core->word, OWNED);
  wp_atomic_init(&core->owner, OWNER_AWAKE);
  state_of(group)->core = core;
  state_of(group)->owner = self;
  self->scopes++;
  return true;
}

/// Puts an invitation where the caller's work goes.
static void invite(wp_group_core *core) {
  wp_job job;
  job.code = (uintptr_t)accept | WP_JOB_ENGINE;
  job.argument = core;
  wp_worker *self = wp_worker_current();
  // The own deque takes it also when the pool is draining: its owner empties it before it ends.
  if (self != NULL && self->pool == core->pool && wp_deque_push_one(&self->deque, job)) {
    wp_event_count_notify_one(self->event_count);
  } else if (wp_thread_pool_submit(core->pool, job) != WP_OK) {
    decline(core);
  }
}

/// Whether the calling thread makes calls to get below MOST_UNSTARTED: those that they spawn wait for that.
static WP_THREAD_LOCAL bool makes_room;

/// Makes calls until fewer wait. Not inside one of them: a chain of spawns would go down the stack for ever.
__attribute__((cold, noinline)) static void make_room(wp_group_core *core) {
  if (makes_room) return;
  makes_room = true;
  while ((wp_atomic_load(&core->word, wp_relaxed) & UNSTARTED_MASK) >= MOST_UNSTARTED && make_call(core)) continue;
  makes_room = false;
}

void wp_group_spawn(wp_group *group) {
  wp_group_core *core = state_of(group)->core;
  uint64_t before = wp_atomic_fetch_add(&core->word, UNSTARTED + INVITED, wp_seq_cst);  // edge PARK
  // The spawner is a call of the group or its owner: the core outlives this.
  if ((before & INVITED_MASK) >= MOST_INVITED) {
    wp_atomic_fetch_sub(&core->word, INVITED, wp_relaxed);
  } else {
    invite(core);
  }
  wake_owner(core);
  if ((before & UNSTARTED_MASK) >= MOST_UNSTARTED) make_room(core);
}

/// Looks for the pool's budget whether there is a call to make or the end has come. Returns the word.
static uint64_t spin(wp_group_core *core) {
  uint64_t deadline = wp_clock_now() + core->pool->spin_ns;
  uint64_t word;
  do {
    for (int i = 0; i < LOOKS_PER_CLOCK; i++) wp_cpu_relax();
    word = wp_atomic_load(&core->word, wp_acquire);
  } while ((word & UNSTARTED_MASK) == 0 && !is_over(word) && wp_clock_now() < deadline);
  return word;
}

/// Sleeps until there is a call to make or the end has come.
static void park(wp_group_core *core, uint64_t deadline_ns) {
  wp_atomic_store(&core->owner, OWNER_PARKED, wp_seq_cst);  // edge PARK
  uint64_t word = wp_atomic_load(&core->word, wp_seq_cst);  // edge PARK
  bool in_time = (word & UNSTARTED_MASK) == 0 && !is_over(word);
  while (in_time && wp_atomic_load(&core->owner, wp_seq_cst) == OWNER_PARKED) {
    in_time = wp_futex_wait(&core->owner, OWNER_PARKED, deadline_ns, WP_FUTEX_PRIVATE);
  }
  wp_atomic_store(&core->owner, OWNER_AWAKE, wp_seq_cst);
}

static bool has_something(void *awaited) {
  wp_group_core *core = (wp_group_core *)awaited;
  uint64_t word = wp_atomic_load(&core->word, wp_acquire);
  return (word & UNSTARTED_MASK) != 0 || is_over(word);
}

static void wait_asleep(wp_worker *self, wp_group_core *core) {
  park(core, wp_clock_now() + WP_HELP_SPARE_AFTER_NS);
  if (has_something(core)) return;
  wp_blocking_state blocking;
  wp_blocked_begin_structured(self, &blocking, has_something, core);
  while (!has_something(core)) park(core, UINT64_MAX);
  wp_blocked_end(&blocking);
}

void wp_group_wait(wp_group *group) {
  wp_group_core *core = state_of(group)->core;
  wp_worker *self = state_of(group)->owner;
  for (;;) {
    while (make_call(core)) continue;
    if (is_over(wp_atomic_load(&core->word, wp_acquire))) break;  // edge CALLS
    uint64_t word = spin(core);
    if ((word & UNSTARTED_MASK) == 0 && !is_over(word)) wait_asleep(self, core);
  }
  self->scopes--;
  let_go(core, OWNED);
}
