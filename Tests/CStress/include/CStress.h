// Stress drivers for the engine's inner structures, which Swift cannot import: real threads, real contention, and a
// count of what came out.
#ifndef CSTRESS_H
#define CSTRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How often each of `items` came out, folded: all right only if `once` equals the number that was accepted.
typedef struct cs_tally {
  uint64_t accepted;
  uint64_t once;
  uint64_t repeated;
  /// An item that came out before one that the same producer had put in earlier, to the same consumer.
  uint64_t out_of_order;
} cs_tally;

/// `producers` threads push `items` jobs in all, in batches of `batch`; `consumers` pop up to `take` at once. With
/// `close_after` > 0 the queue is closed when so many items were accepted, and refusals are expected.
cs_tally cs_injector_stress(uint32_t producers, uint32_t consumers, uint64_t items, uint32_t batch, uint32_t take,
                            uint64_t close_after);

/// One thread pushes and pops everything, a segment's worth and a bit more. False on the first surprise.
bool cs_injector_sequential(uint64_t items);

/// Bytes that the C allocator holds for the queue after `items` were pushed, and after they were popped again.
void cs_injector_memory(uint64_t items, size_t *full, size_t *drained);

/// What a pop and a look tell of places and numbers. False on the first surprise.
bool cs_injector_tickets(uint64_t items);
/// How often somebody is told that the queue has grown while one thread pushes `items`.
uint32_t cs_injector_growth(uint64_t items);

/// Jobs that go back to the front of a queue: by their tickets, and with some filtered out. False on the first surprise.
bool cs_putback_order(void);
bool cs_putback_filter(void);
/// `putters` put `items` in all back, `takers` take them, and `filters` take out one in three. `out_of_order` counts those that
/// one call gave in the wrong order, or with a ticket too high.
cs_tally cs_putback_stress(uint32_t putters, uint32_t takers, uint32_t filters, uint64_t items);

/// The owner alone, with batches that are turned round.
bool cs_deque_reversed(void);

/// One owner pushes and takes, `thieves` threads steal, until `items` have come out.
cs_tally cs_deque_stress(uint32_t thieves, uint64_t items, uint32_t burst);

/// The owner alone: newest first from the bottom, oldest first from the top, refusal at the limit.
bool cs_deque_sequential(void);

/// `putters` threads put `batches` in all into a block ring, dropping those that it refuses; `takers` empty it.
cs_tally cs_block_ring_stress(uint32_t putters, uint32_t takers, uint64_t batches);

/// `submitters` threads allocate `items` blocks of three sizes, `workers` free them, and trade. With `keep_every` > 0 every
/// so many blocks are freed some time after the trade was told so. Returns how many blocks were not as their owner had left
/// them.
uint64_t cs_block_trade_stress(uint32_t submitters, uint32_t workers, uint64_t items, uint32_t keep_every);

/// One thread allocates a batch of blocks, frees and trades them, and has them refunded, `rounds` times. Returns how many
/// batches came back: all, or with an allocator that does not give back those of wrong guesses.
uint64_t cs_block_trade_sequential(uint64_t rounds);

/// Whether the allocator gives the block that was freed last (a sanitizer's does not): only then is there a trade.
bool cs_allocator_gives_back(void);

/// `producers` threads hand `items` tokens to `consumers` that sleep on an event count whenever none is left. Returns
/// how many were consumed: a lost wake-up makes it hang, so the call gives up after `timeout_ms` without progress.
uint64_t cs_event_count_stress(uint32_t producers, uint32_t consumers, uint64_t items, uint32_t timeout_ms);

/// With one waiter asleep: how many of `calls` notify_one calls woke somebody while another searched (must be 0).
uint32_t cs_event_count_throttle(uint32_t calls);

/// Wakes threads that go back to sleep at once, `calls` times all of them. Whether that comes to an end, and wakes each at
/// most once a call.
bool cs_event_count_broadcast(uint32_t sleepers, uint32_t calls);

/// The kernel's number of the calling thread.
int32_t cs_thread_id(void);
/// The CPU that the calling thread runs on.
int32_t cs_current_cpu(void);
/// Writes the numbers of the CPUs that the calling thread may use, at most `capacity`; returns how many there are.
size_t cs_allowed_cpus(int32_t *cpus, size_t capacity);
/// Bytes of the calling thread's stack.
size_t cs_stack_size(void);

/// Sends a signal to each thread of this process by itself.
void cs_signal_threads(int number);

/// Gives the kernel back every page on which the C allocator holds nothing; the Swift module of glibc lacks the call.
void cs_trim_memory(void);

/// Bytes that the C allocator has set aside for a block, without its own.
size_t cs_block_size(void *block);

/// Makes this process the parent of descendants whose own parent dies (PR_SET_CHILD_SUBREAPER).
void cs_adopt_orphans(void);

/// Becomes a user and a group of this number, without other groups, and lets the user see into this process all the same.
/// False where that is not allowed, or where that user could not start this program anew.
bool cs_become_user(uint32_t number);

/// Sets how many processes (or descriptors) another process may have; `*before` is what that was. False where that cannot be
/// set.
bool cs_limit_process(int32_t process, bool descriptors, uint64_t limit, uint64_t *before);

/// What a child of `fork` was told by a thread pool of its parent (statuses of wp_base.h).
typedef struct cs_fork_answers {
  int submit;
  int join;
  /// False when the child did not get as far as to answer.
  bool answered;
} cs_fork_answers;

/// Forks; the child submits to the wp_thread_pool at `pool`, closes, joins and releases it, and ends with `_exit`.
cs_fork_answers cs_fork_and_use(void *pool);

/// Forks; the child calls `body` and ends with `_exit` and what that returned. Returns the child's exit status, -1 when it
/// did not exit by itself, or hung.
int cs_fork_and_call(int (*body)(void *context), void *context);

/// How many cancelled jobs the engine has counted for the wp_thread_pool at `pool`.
uint64_t cs_cancelled_count(const void *pool);

/// What happened in a child whose limits let it start only some of a pool's 64 threads.
typedef struct cs_start_answers {
  bool answered;
  int status;
  bool names_pthread_create;
  uint32_t started;
  uint32_t stopped;
  /// The child's own thread included.
  uint32_t threads_left;
} cs_start_answers;

cs_start_answers cs_fork_and_fail_to_start(void);

/// What the one worker of a pool, whose spares' stacks find no room in the address space, was told when it blocked: for
/// others, for the pool, and for the pool when there was room again (statuses of wp_base.h).
typedef struct cs_block_answers {
  bool answered;
  int for_others;
  int for_pool;
  bool names_pthread_create;
  bool errno_is_set;
  int after_raise;
} cs_block_answers;

cs_block_answers cs_fork_and_block_without_spare(void);

// MARK: Jobs that end their thread

/// Jobs (`wp_job_function`) that end their thread (pthread_exit): at once, and while it counts as blocked.
void cs_exit_thread(void *argument);
void cs_exit_thread_blocked(void *argument);

/// After which fork-join work a thread is ended; and in which that concerns no other thread.
typedef enum cs_exit_kind {
  CS_EXIT_AFTER_JOIN,
  CS_EXIT_AFTER_RANGE,
  CS_EXIT_AFTER_GROUP,
  /// A join's other half, which nobody else took.
  CS_EXIT_IN_TAKEN_BACK,
  /// Joins whose other halves run elsewhere: one, and some in one another.
  CS_EXIT_AFTER_STOLEN,
  CS_EXIT_AFTER_NESTED_STOLEN,
} cs_exit_kind;

typedef struct cs_exit_story {
  /// A wp_thread_pool.
  void *pool;
  cs_exit_kind kind;
} cs_exit_story;

/// A job whose argument is a story.
void cs_exit_thread_after(void *story);

/// Where in fork-join work a thread is ended.
typedef enum cs_exit_place {
  /// A join's own half, before anybody took the other, or beside its thief; the other half, on a thief's stack.
  CS_EXIT_JOIN_OWN,
  CS_EXIT_JOIN_BESIDE_THIEF,
  /// The same after more submissions than a small deque has cells.
  CS_EXIT_JOIN_AFTER_OTHERS,
  CS_EXIT_JOIN_STOLEN,
  CS_EXIT_RANGE,
  /// Between a group's begin and wait; in a call that its owner makes, and in one that another thread makes.
  CS_EXIT_GROUP_OWNER,
  CS_EXIT_GROUP_CALL,
  CS_EXIT_GROUP_ELSEWHERE,
} cs_exit_place;

/// How a process ended in which that happened, and the beginning of what it wrote to stderr.
typedef struct cs_exit_answers {
  bool aborted;
  char message[256];
} cs_exit_answers;

cs_exit_answers cs_fork_and_exit_thread(cs_exit_place place);

// MARK: Fairness

/// Where a job waits while others come without end.
typedef enum cs_place {
  /// At the far end of its worker's deque, below a chain of jobs.
  CS_OWN_OLDEST,
  /// In the injector, while each worker has a chain; in that of a node without workers.
  CS_INJECTOR,
  CS_OTHER_NODE,
  /// In the deque of a worker that is in a long job, that is blocked, of a spare on the bench, and of a worker that has ended.
  CS_OF_LONG_JOB,
  CS_OF_BLOCKED,
  CS_OF_BENCHED,
  CS_OF_ENDED,
  /// Aside, since it stood above a join's half; and such a half itself.
  CS_ASIDE,
  CS_FORK,
  /// Forty of them in the injector, behind a long job that waits for them.
  CS_BEHIND_LONG_JOB,
  /// Behind long jobs among short ones, some of which go back to the queue.
  CS_PUT_BACK,
} cs_place;

/// How long jobs waited: in the time that each of the workers ran meanwhile, and by the clock. Those that had not begun within
/// two seconds are lost.
typedef struct cs_waits {
  /// Jobs that waited while others did, from their beginning to their end.
  uint32_t counted;
  uint32_t lost;
  double median_ms;
  double worst_ms;
  double median_by_clock_ms;
  /// How many other jobs ran, of 2 µs each.
  uint64_t flood;
} cs_waits;

/// `machine`: a wp_topology_source, or NULL for this one.
cs_waits cs_flood_and_wait(cs_place place, uint32_t workers, uint32_t samples, const void *machine);

// MARK: Order

/// A job that has begun: the how manieth it was submitted, on which worker, and when (CLOCK_MONOTONIC).
typedef struct cs_begun {
  uint32_t number;
  int32_t worker;
  uint64_t at_ns;
} cs_begun;

/// Submits `count` jobs from outside, `batch` at a time, each of which takes as long as `durations_ns` says; with `gated` no
/// worker is free before all are submitted. Writes them in the order in which they began.
void cs_order_from_outside(uint32_t workers, const uint32_t *durations_ns, uint32_t count, uint32_t batch, bool gated,
                           cs_begun *order);
/// The same for one batch of jobs without duration that the one worker of a pool submits.
void cs_order_of_own_batch(uint32_t count, cs_begun *order);

/// Has one worker run `count` tiny jobs, of which number `slow` takes milliseconds, and looks after that every 500 jobs how many
/// of them it has taken from the queue at once and not yet run. Writes that to `taken`, which has room for one number for each
/// 500 jobs; returns how many it wrote.
uint32_t cs_batches_after_slow_job(uint32_t count, uint32_t slow, uint32_t *taken);

// MARK: Cancelled jobs

/// What a child held that submitted and cancelled jobs of some 60 bytes each, while both workers of the pool were stuck.
typedef struct cs_cancel_answers {
  bool answered;
  /// Bytes of the C allocator.
  size_t most_held;
  /// Jobs that were not cancelled, and those that ran in the end.
  uint64_t live;
  uint64_t ran;
} cs_cancel_answers;

/// `pairs` of submit and cancel behind one job that is not cancelled. With `live_every` > 0 each so manieth is not either.
cs_cancel_answers cs_fork_and_cancel(uint32_t pairs, uint32_t live_every);

/// Submits `count` jobs while the pool's one worker is stuck, and cancels all but each so manieth. Writes the numbers of those
/// in the order in which they then ran. Returns how many had been given back by then.
uint64_t cs_cancelled_order(uint32_t count, uint32_t live_every, uint32_t *order);

/// `submitters` threads submit `items` jobs in all and cancel two of three, at once or later, while workers run them. With
/// `close_after` > 0 the pool is closed when so many were accepted, and what waits is discarded. Counts how often each ended;
/// `out_of_order` is how many were given back.
cs_tally cs_cancel_stress(uint32_t submitters, uint32_t workers, uint64_t items, uint64_t close_after);

#endif
