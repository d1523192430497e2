// A pool of threads that run jobs: a lock-free injector per NUMA node, a work-stealing deque per worker,
// one event count to sleep on.
//
// Thread-safety: every function may be called from any thread, from jobs included, unless it says
// otherwise. None may be called from a signal handler.
#ifndef WP_THREAD_POOL_H
#define WP_THREAD_POOL_H

#include "wp_base.h"
#include "wp_topology.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

typedef struct wp_thread_pool wp_thread_pool;

typedef void (*wp_job_function)(void *WP_NULLABLE argument);

/// One unit of work: two words, moved into a queue cell; the pool allocates nothing for it.
///
/// `code` is the address of a `wp_job_function`, or any non-zero word with `WP_JOB_FOREIGN` set, in which
/// case the pool hands both words to `wp_thread_pool_hooks.run_foreign`. That is how a closure of another
/// language (a function and its context, in a calling convention C cannot spell) travels without a box.
typedef struct wp_job {
  uintptr_t code;
  void *WP_NULLABLE argument;
} wp_job;

/// Tag in `wp_job.code`. No user-space function on a supported platform has its top bit set.
#define WP_JOB_FOREIGN ((uintptr_t)1 << (sizeof(uintptr_t) * 8 - 1))

/// Callbacks of a pool. Each may be NULL. They stay callable until the pool is destroyed, which is when the
/// last of its threads has ended and its handle was released.
typedef struct wp_thread_pool_hooks {
  /// Passed to all hooks.
  void *WP_NULLABLE context;
  /// On each worker's thread, before its first job and after its last.
  void (*WP_NULLABLE WP_SENDABLE worker_start)(void *WP_NULLABLE context, uint32_t worker);
  void (*WP_NULLABLE WP_SENDABLE worker_stop)(void *WP_NULLABLE context, uint32_t worker);
  /// Runs a job whose code carries `WP_JOB_FOREIGN` (the tag is still in `code`). Without it such jobs are refused.
  void (*WP_NULLABLE WP_SENDABLE run_foreign)(void *WP_NULLABLE context, wp_job job);
  /// Takes back a job that will never run, so that what it owns can be released. Called on the thread that
  /// cancels, or on a worker. Without it such jobs are dropped silently.
  void (*WP_NULLABLE WP_SENDABLE discard)(void *WP_NULLABLE context, wp_job job);
  /// Tells of a job that has ended its thread (`pthread_exit`) in place of returning, so that whoever waits for it can be
  /// told. Called on that thread. What the job's frames owned is lost; the job itself must
  /// not be run or released again. The pool goes on with as many workers.
  void (*WP_NULLABLE WP_SENDABLE abandon)(void *WP_NULLABLE context, wp_job job);
  /// Whether a job that waits would do nothing any more, since it was cancelled, or begun by somebody else. Must not block or use the pool. Without it
  /// cancelled jobs keep their places until a worker comes by.
  bool (*WP_NULLABLE WP_SENDABLE is_stale)(void *WP_NULLABLE context, wp_job job);
  /// Called once when the pool is destroyed, on whichever thread lets go of it last.
  void (*WP_NULLABLE WP_SENDABLE destroy)(void *WP_NULLABLE context);
} wp_thread_pool_hooks;

/// Settings of a pool. Zero-initialise, then set what matters.
typedef struct wp_thread_pool_config {
  /// Number of workers; 0 for as many as the process is granted (`wp_topology_grant`).
  /// At most `WP_THREAD_POOL_MAX_WORKERS`.
  uint32_t worker_count;
  /// Prefix of thread names, NULL for "worker". Threads are named "name-3"; the prefix is cut so that the
  /// number survives Linux's limit of 15 bytes, never inside a UTF-8 sequence.
  const char *WP_NULLABLE name;
  /// Bytes of stack per worker, rounded up to pages; 0 for the system's default.
  size_t stack_size;
  /// Which CPUs workers are pinned to, if any.
  wp_affinity_choice affinity;
  /// Where to read the machine; NULL for this one. With another one's description workers should float.
  const wp_topology_source *WP_NULLABLE machine;
  /// Whether a `WORKER_POOL_CPUS` that is no number is said once (wp_notice.h) and not heeded, in place of an error: for
  /// pools that nobody asked for.
  bool tolerates_environment;
  /// How many spare workers may stand in for blocked ones at once (`wp_thread_pool_block_begin`); 0 for the default,
  /// `WP_NO_SPARES` for none. Workers and spares together are at most `WP_THREAD_POOL_MAX_WORKERS`.
  uint32_t spare_limit;
  /// How long a worker without work spins before it sleeps, in nanoseconds; 0 for the default,
  /// `WP_SPIN_NEVER` for not at all. At most one worker spins at a time.
  uint64_t spin_ns;
  /// Signals that the pool's threads block, those of spares too; they also block what the thread that makes the pool blocks
  /// then. `SIGKILL`, `SIGSTOP`, and signals that a thread raises by its own instructions are refused.
  const int *WP_NULLABLE blocked_signals;
  size_t blocked_signal_count;
  wp_thread_pool_hooks hooks;
} wp_thread_pool_config;

#define WP_THREAD_POOL_MAX_WORKERS 4094u
/// Index of the first spare: no worker has one as high.
#define WP_THREAD_POOL_FIRST_SPARE 4096u
#define WP_DEFAULT_SPARES 256u
#define WP_NO_SPARES UINT32_MAX

/// Starts a pool. On failure nothing is left behind: threads that had begun are joined.
///
/// Errors: `WP_INVALID_ARGUMENT` (worker count, a CPU that is not allowed, a signal that is not to be blocked:
/// `error->call` names the member),
/// `WP_SYSTEM_CALL_FAILED` ("pthread_create", "mmap", …).
wp_status wp_thread_pool_create(const wp_thread_pool_config *WP_NULLABLE config,
                                wp_thread_pool *WP_NULLABLE *WP_NONNULL pool, wp_error *WP_NULLABLE error);

/// Number of workers, without spares.
uint32_t wp_thread_pool_worker_count(wp_thread_pool *pool);

/// Changes the number of workers, to what the process is granted now if `worker_count` is 0. The machine is read anew:
/// new workers go where the pool's policy places them now; those that stay, stay where they are. Workers that are too many
/// end when they have done what they are at, and leave what is in their deques to the others. Does not wait. Any
/// thread, jobs included; several calls come one after another.
///
/// Errors: as `wp_thread_pool_create`, with `WP_SHUT_DOWN` and `WP_FORKED`. If threads cannot be started the pool has as
/// many more as could.
wp_status wp_thread_pool_resize(wp_thread_pool *pool, uint32_t worker_count, wp_error *WP_NULLABLE error);

/// Hands a job to the pool: to the caller's own deque when the caller is one of its workers, else to an
/// injector. Lock-free, O(1). Errors: `WP_INVALID_ARGUMENT` (a code of 0 or 1, which is no function; a foreign job without
/// `run_foreign`), `WP_SHUT_DOWN`, `WP_FORKED`, `WP_SYSTEM_CALL_FAILED` (no memory for a queue segment); the job was then
/// not taken and stays the caller's.
///
/// What the caller wrote before this call happens before the job runs.
wp_status wp_thread_pool_submit(wp_thread_pool *pool, wp_job job);

/// Hands over `count` jobs as one: one claim of the queue, one look at sleeping workers. Jobs up to
/// `*accepted` were taken when the status is not `WP_OK`, none when one of them is invalid. A `count` of 0 is `WP_OK`, also in
/// a closed pool.
wp_status wp_thread_pool_submit_batch(wp_thread_pool *pool, const wp_job *jobs, size_t count, size_t *accepted);

/// Like `wp_thread_pool_submit`, with a node to run the job on, by its system id: it goes to that node's injector (to the
/// caller's own deque, if the caller is one of its workers), and wakes a worker there if one sleeps. Workers of other
/// nodes take it when they have nothing nearer to do; a node without workers leaves it to them. `WP_INVALID_ARGUMENT` for
/// a node that the machine does not have. O(nodes).
wp_status wp_thread_pool_submit_on(wp_thread_pool *pool, int node, wp_job job);

/// Counts a job of the pool that was cancelled while it waited, so that `wp_thread_pool_hooks.is_stale` is asked about those
/// that wait when many were. The pool need not exist any more. A hint. Any thread; O(1).
void wp_thread_pool_note_cancelled(const wp_thread_pool *pool);

/// Says that the calling job runs another one itself, which was submitted with `argument` and stands in a queue still, and of
/// which `wp_thread_pool_hooks.is_stale` holds from now on. Its place is given back: at once if it is the end of the caller's
/// deque, where such jobs are discarded up to the first that is not stale; else as those of cancelled jobs are. The caller
/// keeps what `argument` points to alive. On threads that are no workers it does nothing. O(1), amortised.
void wp_thread_pool_note_begun(const void *argument);

/// Says that a job has just ended whose function, or what tells it from others, is `code`, and that `block`, which it owned,
/// may have been freed with it on the calling thread. Small blocks (up to 120 bytes), of a size that depends on `code`
/// alone, then go back to the threads that submit, and not by way of an arena's lock. A hint: nothing is read or written
/// there, and a block that was not freed, or by somebody else, does no harm. On threads that are no workers it does nothing.
/// O(1), some 10 ns.
void wp_thread_pool_freed(uintptr_t code, uintptr_t block);

/// Index of the calling worker when it belongs to `pool`, else -1. Spares have indices from
/// `WP_THREAD_POOL_FIRST_SPARE` on.
int32_t wp_thread_pool_current_worker(const wp_thread_pool *pool);
/// The pool that the caller is a worker of, NULL on other threads.
const wp_thread_pool *WP_NULLABLE wp_thread_pool_current(void);
// MARK: What runs where

/// Nodes of the machine, as the pool found it; at least 1. Constant.
uint32_t wp_thread_pool_node_count(const wp_thread_pool *pool);
/// The topology that the pool was made with. Lives as long as the pool.
const wp_topology *wp_thread_pool_topology(const wp_thread_pool *pool);

/// What a worker has done so far. Counted without any order: exact once the pool is idle.
typedef struct wp_worker_counters {
  /// Index of its node (`wp_topology_node_id`), and the CPU it was pinned to, -1 for none.
  uint32_t node;
  int cpu;
  /// Jobs that it took from the queues of its own node and of another one. Forked work that its forker took back counts
  /// as a part of the job that forked it.
  uint64_t local;
  uint64_t remote;
} wp_worker_counters;

/// Counters of worker `index`, and in `steals`, if not NULL, with room for `wp_thread_pool_node_count` numbers, how many
/// jobs it took from the deques of other workers, by their node. False for an index that no worker has. Any thread.
/// O(nodes).
bool wp_thread_pool_counters(wp_thread_pool *pool, uint32_t index, wp_worker_counters *counters,
                             uint64_t *WP_NULLABLE steals);

/// Bytes of stack left below the caller, 0 when unknown.
size_t wp_thread_remaining_stack(void);

/// The same as `wp_blocking_begin` (wp_blocking.h) for a C program that cannot say what it waits for: it is told when nothing
/// would run any more. Ends with `wp_thread_pool_block_end`. Calls may be nested; the outermost counts. On threads that are no
/// workers both do nothing.
///
/// Errors, after which the caller should not block: `WP_WOULD_DEADLOCK` when every other thread of the pool is blocked, for
/// whatever, and no spare is left; `WP_SYSTEM_CALL_FAILED` when that is so because a spare's thread cannot be started. O(1);
/// about as dear as waking a thread.
wp_status wp_thread_pool_block_begin(void);
/// Ends what a successful `wp_thread_pool_block_begin` began, on the same thread. Spares that are not needed any more
/// stop taking jobs, and end after some seconds.
void wp_thread_pool_block_end(void);

/// Closes the pool: every later submission fails with `WP_SHUT_DOWN`; what was accepted still runs, and
/// workers end when nothing is left. Idempotent. Does not wait.
void wp_thread_pool_close(wp_thread_pool *pool);

/// Takes jobs that have not begun out of a *closed* pool and hands each to `hooks.discard`. Returns how many; what it
/// does not reach, workers discard as they come to it. Fork-join goes on where it has begun, and is refused to
/// outsiders whose turn has not come.
size_t wp_thread_pool_discard_pending(wp_thread_pool *pool);

/// Waits until every worker of a closed pool has ended. From a worker of this pool: `WP_WOULD_DEADLOCK`, at
/// once. Several threads may wait. A pool that was not closed: `WP_INVALID_ARGUMENT`.
wp_status wp_thread_pool_join(wp_thread_pool *pool);

/// Runs `body` on a detached thread, which is no worker but blocks the same signals: for a call that blocks, such as
/// `wp_thread_pool_join`, where the caller must not block. `WP_SYSTEM_CALL_FAILED` when no thread can be had; `body` does
/// not run then. Any thread.
wp_status wp_thread_pool_start_helper(wp_thread_pool *pool, wp_thread_body body, void *WP_NULLABLE argument);

/// Closes the pool and gives up the handle. Does not wait, and may be called from one of its own workers;
/// memory and threads go when the last worker ends. No other call with the handle may be under way then, which includes the
/// submission of the very job that releases it.
void wp_thread_pool_release(wp_thread_pool *WP_NULLABLE pool);

WP_NONNULL_END
WP_END_DECLS

#endif
