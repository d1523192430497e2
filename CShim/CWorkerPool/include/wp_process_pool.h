// A pool of worker processes: each is forked by a single-threaded template process, takes tasks from slots in
// shared memory and leaves its results there. Whatever a worker does to itself costs the task it had begun.
//
// Thread-safety: host functions may be called from any thread unless they say otherwise, none from a signal
// handler. Worker functions are for the worker's one thread.
#ifndef WP_PROCESS_POOL_H
#define WP_PROCESS_POOL_H

#include "wp_base.h"
#include "wp_process_data.h"
#include "wp_process_settings.h"
#include "wp_topology.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

// MARK: In the worker

/// A task as its worker sees it. `bytes` stays valid, and is not changed by the host, until the handler returns.
typedef struct wp_process_request {
  /// What the host passed to `wp_process_pool_submit`; the engine does not look at it.
  uint32_t function;
  const void *WP_NULLABLE bytes;
  size_t length;
} wp_process_request;

/// Where a handler leaves its result.
typedef struct wp_process_reply wp_process_reply;

/// Reserves `length` bytes for the result in shared memory and returns where to write them, aligned to 16 bytes; a
/// later call replaces an earlier one. NULL when `length` (with the task's blocks, wp_process_data.h) is over the pool's
/// limit: the task then fails with `WP_TASK_REPLY_TOO_LARGE`, which names both sizes. O(1); pages appear when touched.
void *WP_NULLABLE wp_process_reply_reserve(wp_process_reply *reply, size_t length);
/// Where a result of unknown length can be written: `*capacity` bytes. Once it is known, reserving more than
/// `WP_PROCESS_SMALL_REPLY` of them leaves them in place. Ends the time of `wp_process_worker_block`.
void *wp_process_reply_room(wp_process_reply *reply, size_t *capacity);
/// Results up to this size travel apart from the others, and are copied.
#define WP_PROCESS_SMALL_REPLY 80u
/// Sets the code that the host sees in `wp_task_outcome.reply_code`; 0 until set.
void wp_process_reply_set_code(wp_process_reply *reply, uint32_t code);

/// Runs one task, in a worker.
typedef void (*wp_process_handler)(void *WP_NULLABLE context, const wp_process_request *request,
                                   wp_process_reply *reply);

/// The interned name with this index (see `wp_process_pool_intern`), NULL when there is none. In workers only.
const char *WP_NULLABLE wp_process_worker_name(uint32_t index, size_t *length);
/// Index of this worker in its pool, or -1 outside a worker.
int32_t wp_process_worker_index(void);
/// How often this process, or one that it was forked from, has become a worker. A handler that keeps anything of a pool, as
/// what the pool's names stand for, forgets it when this changes: a pool that a worker has forked is another pool.
uint32_t wp_process_worker_starts(void);

/// Names the task that runs in this worker, for `wp_process_stop_requested`; 0 when none does, as in a host. This and
/// the two below may be called from any thread of a worker.
uint32_t wp_process_current_task(void);
/// Whether the host asks that task to stop. False for a task that has ended. One load from shared memory.
bool wp_process_stop_requested(uint32_t task);
/// When the running task's timeout ends, in nanoseconds on CLOCK_MONOTONIC; UINT64_MAX when it has none.
uint64_t wp_process_task_deadline(void);

/// What a re-executed template runs. A program (or the Swift layer) that wants `WP_START_REEXEC` defines this
/// function; it is called once, behind the last constructor, in the re-executed template, which forks afterwards.
/// Weak: when nobody defines it, `WP_START_REEXEC` is refused with `WP_UNSUPPORTED`.
wp_process_handler WP_NULLABLE wp_process_reexec_handler(void) __attribute__((weak));

// MARK: In the host

typedef enum wp_start_method {
  /// Fork when the host has a single thread, else re-execute.
  WP_START_AUTOMATIC = 0,
  /// The template is a fork of the host as it is now: workers inherit its memory, copy on write. Refused with
  /// `WP_UNSUPPORTED` when the host has more than one thread.
  WP_START_FORK,
  /// The template is `/proc/self/exe` started anew and caught where `main` would begin, behind the last constructor. It has the
  /// arguments, environment, directory, file mode mask, limits, nice value and CPUs that there were when the pool was created;
  /// so has each template that replaces one. Creating the pool reads the environment, as `getenv` does.
  WP_START_REEXEC,
} wp_start_method;

/// What workers may ask of the kernel once they have set themselves up.
typedef enum wp_sandbox_level {
  /// Whatever the host may.
  WP_SANDBOX_NONE = 0,
  /// Memory, own threads, clocks, random numbers, output: what computing needs. A worker that makes any other system
  /// call is ended by SIGSYS, and `wp_task_outcome.forbidden_call` says which one it was. Needs a pool that is
  /// re-executed, and an engine that was built with libseccomp (WP_SANDBOX).
  WP_SANDBOX_COMPUTE_ONLY,
} wp_sandbox_level;

/// A forbidden call whose number the worker did not leave behind, or one of another architecture.
#define WP_FORBIDDEN_CALL_UNKNOWN UINT32_MAX

/// Writes the name of the system call that `wp_task_outcome.forbidden_call` stands for, cut to `capacity` and ended
/// with a NUL, and returns its length; 0, and nothing written, when it has none. Thread-safe.
size_t wp_system_call_name(uint32_t forbidden_call, char *name, size_t capacity);

/// How a task ended.
typedef enum wp_task_end {
  /// The handler returned; `bytes`, `length` and `reply_code` hold what it left.
  WP_TASK_REPLIED = 0,
  /// The worker ended during this task; `wait_status` says how (as from `waitpid`).
  WP_TASK_WORKER_DIED,
  /// The handler asked for `length` bytes, over the limit of `limit` bytes.
  WP_TASK_REPLY_TOO_LARGE,
  /// The pool broke before the task could run or end; `reason` says why.
  WP_TASK_POOL_BROKEN,
  /// The pool was shut down with `wp_process_pool_discard_pending` before the task began.
  WP_TASK_DISCARDED,
  /// The task did not stop within its timeout and grace period, and its worker was killed.
  WP_TASK_TIMED_OUT,
  /// Its worker was killed by `wp_process_pool_terminate` or `wp_process_pool_terminate_running`.
  WP_TASK_TERMINATED,
  /// There was no memory to give its argument to a worker; `reason` says where.
  WP_TASK_NO_MEMORY,
} wp_task_end;

/// Why a task was asked to stop.
typedef enum wp_stop_reason {
  WP_STOP_NONE = 0,
  /// `wp_process_pool_cancel` while it ran.
  WP_STOP_CANCELLED,
  /// Its timeout.
  WP_STOP_TIMED_OUT,
  /// `wp_process_pool_stop_running`.
  WP_STOP_SHUT_DOWN,
} wp_stop_reason;

/// The outcome of one task. All pointers are valid during the callback only.
struct wp_task_outcome {
  wp_task_end end;
  uint32_t reply_code;
  const void *WP_NULLABLE bytes;
  size_t length;
  size_t limit;
  /// Process id of the worker that ran the task, 0 when none did.
  int32_t worker_pid;
  /// As from `waitpid`; meaningful for `WP_TASK_WORKER_DIED`.
  int32_t wait_status;
  /// The number of the system call, plus one, for which the sandbox ended the worker, as the worker left it;
  /// `WP_FORBIDDEN_CALL_UNKNOWN` when it left none. 0 when it ended otherwise.
  uint32_t forbidden_call;
  /// Nanoseconds from the task's start to its end on a monotonic clock; 0 when it never began.
  uint64_t run_ns;
  const char *WP_NULLABLE reason;
  /// As submitted.
  uint32_t function;
  // For a worker that ended:
  /// The limit that it passed, whose size is in `limit`: bytes, or nanoseconds.
  wp_passed_limit passed;
  /// It was re-executed, and faulted at an address near zero: perhaps by a pointer that `main` sets.
  bool unset_pointer;
  /// Largest resident memory that the worker ever had in bytes, 0 when nobody could tell.
  uint64_t peak_memory;
  /// The end of what the worker had written to standard error, if that is captured.
  const char *WP_NULLABLE output;
  size_t output_length;
  /// Why it was asked to stop, whether it did or not.
  wp_stop_reason stop;
  /// Its timeout, 0 for none.
  uint64_t timeout_ns;
  /// How many workers have died while they ran it: more than one for a task with retries.
  uint32_t workers_lost;
  /// What the worker has touched of its result buffer, where its blocks stand (wp_process_data.h).
  const void *WP_NULLABLE buffer;
  size_t buffer_length;
  /// The engine's.
  void *WP_NULLABLE lender;
  /// The callback runs on a thread that waits for some task of the pool (`wp_process_pool_spin`): what may block, or
  /// take a lock that a waiting thread may hold, has to be left to the collector's thread by `wp_process_pool_call`.
  bool on_waiting_thread;
};

/// Callbacks of a pool, all in the host.
typedef struct wp_process_pool_hooks {
  void *WP_NULLABLE context;
  /// Exactly once for every task that was accepted and not taken back by `wp_process_pool_cancel`; no lock is
  /// held. On the pool's collector thread, on a thread that waits for one of the pool's tasks, or on one that discards.
  void (*WP_NULLABLE WP_SENDABLE completed)(void *WP_NULLABLE context, void *WP_NULLABLE token,
                                            const wp_task_outcome *outcome);
  /// Once, in a create that fails because workers could not start, on the calling thread before it returns.
  void (*WP_NULLABLE WP_SENDABLE start_failed)(void *WP_NULLABLE context, const wp_process_breakage *breakage);
  /// After `wp_process_pool_call`, on the collector's thread; once for several calls, and before `completed` for results
  /// that this thread collects later.
  void (*WP_NULLABLE WP_SENDABLE called)(void *WP_NULLABLE context);
  /// Once, when the pool breaks, on the collector's thread; no lock is held. What waited may be completed before it or after
  /// it. `breakage` is valid as long as the pool.
  void (*WP_NULLABLE WP_SENDABLE broken)(void *WP_NULLABLE context, const wp_process_breakage *breakage);
  /// Once, when the pool is destroyed. A create that fails does not call it: the context stays its caller's.
  void (*WP_NULLABLE WP_SENDABLE destroy)(void *WP_NULLABLE context);
} wp_process_pool_hooks;

/// Settings. Zero-initialise, then set what matters.
typedef struct wp_process_pool_config {
  /// 0 for as many as the process is granted. At most `WP_PROCESS_POOL_MAX_WORKERS`.
  uint32_t worker_count;
  /// Prefix of process names as `ps` shows them, NULL for "worker"; cut like thread names.
  const char *WP_NULLABLE name;
  wp_start_method start_method;
  /// Largest argument and largest result in bytes; 0 for `WP_PROCESS_DEFAULT_MAX_PAYLOAD`. Address space is
  /// reserved for it, 72 times as much for each worker; less where there is less, down to 3 times for each task that it may
  /// hold. Memory is used only as far as payloads reach.
  size_t max_payload;
  /// How many tasks a worker may hold, the running one included; 0 for 2, and more while tasks take microseconds. At most `WP_PROCESS_MAX_PREFETCH`.
  uint32_t prefetch;
  /// Pinning of workers, as for threads. On a machine with several nodes the memory of a pinned worker's slots is
  /// preferred on its node. What the system takes away later, or forbids, costs the placement alone: such a worker floats,
  /// and a notice (wp_notice.h) says so once.
  wp_affinity_choice affinity;
  /// How long a worker or the collector spins before it sleeps, in nanoseconds; 0 for the default,
  /// `WP_SPIN_NEVER` (wp_thread_pool.h) for not at all.
  uint64_t spin_ns;
  /// A pool with a sandbox is re-executed: `WP_START_FORK` is refused with `WP_UNSUPPORTED`.
  wp_sandbox_level sandbox;
  wp_process_limits limits;
  /// By stream: `WP_STREAM_OUTPUT`, `WP_STREAM_ERROR`. Standard input reads nothing.
  wp_process_output output[WP_STREAM_COUNT];
  /// NULL for none. A failure makes creating the pool fail. In a worker that comes later it is a failed start as any other,
  /// which is tried again.
  const wp_process_initializer *WP_NULLABLE initializer;
  /// How long the pool may have no worker, in nanoseconds, before it breaks; 0 for `WP_OUTAGE_LIMIT_DEFAULT_NS`, UINT64_MAX
  /// for ever. Counted from the first start that fails while no worker lives, as long as none does, until a worker has been
  /// of use: has begun a task, or lived for ten seconds. Meanwhile starts are tried again, after pauses that double from 10
  /// milliseconds to 5 seconds, with jitter, and tasks wait. A start that fails for what no time cures, as a call that is
  /// not permitted, does not wait for that. A pool with a worker that lives does not break for those that cannot start.
  uint64_t outage_limit_ns;
  /// `WP_TEMPLATE_LOSS_REEXECUTES` is refused with `WP_UNSUPPORTED` where the program cannot be re-executed.
  wp_template_loss on_template_loss;
  /// Runs the tasks when the template is forked. Under `WP_START_REEXEC` `wp_process_reexec_handler` decides.
  wp_process_handler WP_NULLABLE handler;
  void *WP_NULLABLE handler_context;
  wp_process_pool_hooks hooks;
} wp_process_pool_config;

#define WP_PROCESS_POOL_MAX_WORKERS 1024u
#define WP_PROCESS_MAX_PREFETCH 16u
#define WP_PROCESS_DEFAULT_MAX_PAYLOAD ((size_t)1 << 30)

/// Starts the template, the workers and the collector thread. Returns when all workers are ready, or with
/// nothing left behind: no process, no descriptor, no mapping.
///
/// Errors: `WP_INVALID_ARGUMENT`, `WP_UNSUPPORTED` (`error->rule` says why the start method cannot be had),
/// `WP_SYSTEM_CALL_FAILED` (`error->call` names the call, in whichever process it failed), `WP_BROKEN`
/// (workers die at start). A worker that ends after it was ready is replaced meanwhile.
wp_status wp_process_pool_create(const wp_process_pool_config *config, wp_process_pool *WP_NULLABLE *WP_NONNULL pool,
                                 wp_error *WP_NULLABLE error);

/// How many workers there shall be: as the pool was made, or resized to last.
uint32_t wp_process_pool_worker_count(const wp_process_pool *pool);
/// Sets how many workers there shall be: 0 for as many as the process is granted now, whose affinity mask is that of its
/// main thread. Does not wait for them.
///
/// Workers that are added take the next places of the pool's placement, worked out anew, and start in the background, a few
/// at a time; one that cannot be started is tried again.
/// Those that are too many, the last ones, get no more tasks, end what they have begun and leave; what they hold and
/// have not begun is begun by others, before anything that waits.
///
/// Errors, which change nothing: `WP_INVALID_ARGUMENT` over `wp_process_pool_capacity`, `WP_SHUT_DOWN` for a closed
/// pool, `WP_BROKEN`, `WP_FORKED`, `WP_SYSTEM_CALL_FAILED` ("mmap(payload buffers)": no address space), and those of
/// `wp_topology_create`. Of calls at the same time the last to take effect counts. May be called in callbacks.
/// O(workers), and the reading of the topology for a count of 0 or with a placement.
wp_status wp_process_pool_resize(wp_process_pool *pool, uint32_t worker_count, wp_error *WP_NULLABLE error);
/// The most workers that this pool can have: `WP_PROCESS_POOL_MAX_WORKERS`, fewer when a limit on the size of files
/// (RLIMIT_FSIZE) leaves no room for so many.
uint32_t wp_process_pool_capacity(const wp_process_pool *pool);
/// The method that was picked: `WP_START_FORK` or `WP_START_REEXEC`; the latter also once the pool has gone over to it
/// (`WP_TEMPLATE_LOSS_REEXECUTES`).
wp_start_method wp_process_pool_start_method(const wp_process_pool *pool);
/// Process ids of the workers that live now, those that leave after a resize among them, in the order of their indices,
/// at most `capacity`; returns how many there are.
size_t wp_process_pool_worker_pids(wp_process_pool *pool, int32_t *WP_NULLABLE pids, size_t capacity);
/// What keeps up the limit of memory of the pool's workers. As `WP_MEMORY_DATA` also when one of those that live now could
/// not join its cgroup. O(workers).
wp_memory_limit wp_process_pool_memory_limit(wp_process_pool *pool);
/// Process id of the template.
int32_t wp_process_pool_template_pid(wp_process_pool *pool);

/// Copies the end of what the worker with this process id has written to a captured stream so far into `buffer`;
/// returns how many bytes. 0 when it is no live worker or the stream is not captured. O(capacity).
size_t wp_process_pool_output(wp_process_pool *pool, int32_t process, uint32_t stream, void *buffer, size_t capacity);
/// Why the pool broke, NULL while it has not. Valid as long as the pool.
const wp_process_breakage *WP_NULLABLE wp_process_pool_breakage(wp_process_pool *pool);

/// Gives `name` (any bytes) an index that every worker of the pool can turn back into the name. The same name
/// has one index. O(names) on first use: cache the result. Errors: `WP_TOO_LARGE` when the table is full,
/// `WP_SYSTEM_CALL_FAILED` without memory.
wp_status wp_process_pool_intern(wp_process_pool *pool, const void *name, size_t length, uint32_t *index);

/// What a task may do and use. Zero-initialise, then set what matters: zeros ask for nothing.
typedef struct wp_task_options {
  /// Nanoseconds from the task's start until it is asked to stop; 0 for no timeout.
  uint64_t timeout_ns;
  /// Nanoseconds from then until its worker is killed.
  uint64_t grace_ns;
  /// How often the task is begun again, in another worker, after it has ended one.
  uint32_t retries;
  /// Processor time in nanoseconds; 0 for no limit but the pool's. The smaller of the two holds.
  uint64_t cpu_ns;
  /// As `wp_process_limits.memory`, while this task runs; 0 for no limit but the pool's. The smaller of the two holds.
  uint64_t memory;
} wp_task_options;

/// A task as it is submitted. Zero-initialise, then set what matters.
typedef struct wp_process_submission {
  /// Passed to the handler; the engine does not look at it.
  uint32_t function;
  /// The argument; copied.
  const void *WP_NULLABLE bytes;
  size_t length;
  /// `bytes` came from malloc and is the pool's to free once the task is accepted: a large argument that has to wait is
  /// then not copied twice.
  bool adopt;
  /// Memories that the task carries, at most `WP_PROCESS_MAX_SHARED`, none twice; the array is copied. They must last until
  /// the token is back. The worker that runs the task finds them by `wp_process_worker_view`.
  wp_shared_memory *WP_NULLABLE const *WP_NULLABLE shared;
  size_t shared_count;
  /// Comes back in `hooks.completed`.
  void *WP_NULLABLE token;
  /// Copied; NULL for none.
  const wp_task_options *WP_NULLABLE options;
} wp_process_submission;

/// Accepts a task. `*ticket` names it for `wp_process_pool_cancel`. Errors: `WP_SHUT_DOWN`, `WP_BROKEN`, `WP_FORKED`,
/// `WP_TOO_LARGE`, `WP_INVALID_ARGUMENT` (`bytes` or `shared` that are NULL with a length or count; too many memories, or one
/// twice), `WP_SYSTEM_CALL_FAILED` (memory). Nothing was taken then, adopted bytes neither. O(length) whatever is pending.
wp_status wp_process_pool_submit(wp_process_pool *pool, const wp_process_submission *submission,
                                 uint64_t *WP_NULLABLE ticket);

/// Takes back a task that no worker has begun: true means that it will not run and that `completed` will not be
/// called for it, so that its token is the caller's again. False: it runs, has ended, or was never there. One that
/// runs is asked to stop.
bool wp_process_pool_cancel(wp_process_pool *pool, uint64_t ticket);
/// Ends a task that runs by killing its worker: it fails with `WP_TASK_TERMINATED`, unless it ends by itself at the same
/// moment. Does not wait. False when it does not run.
bool wp_process_pool_terminate(wp_process_pool *pool, uint64_t ticket);
/// Whether a worker has begun the task and not ended it.
bool wp_process_pool_is_running(wp_process_pool *pool, uint64_t ticket);

/// Waits for a task of the pool: spins until a bit of `mask` is set in the 32-bit atomic at `word`, as long as that has
/// paid for the calling thread lately (wp_wait.h), and does the collector's work meanwhile if nobody else does. Results
/// then take one hop instead of two. The caller looks at the word again, with acquire order, and sleeps if need be.
void wp_process_pool_spin(wp_process_pool *pool, const void *word, uint32_t mask);
/// The same asleep: until the bit is set, `deadline_ns` on CLOCK_MONOTONIC has passed, or another thread does the
/// collector's work. The caller looks at the word again, and sleeps on the word itself if need be.
void wp_process_pool_sleep(wp_process_pool *pool, const void *word, uint32_t mask, uint64_t deadline_ns);
/// Whoever sets such a bit outside `hooks.completed` says so afterwards.
void wp_process_pool_wake(wp_process_pool *pool);
/// Whether the calling thread is the pool's collector, in a callback: no task of the pool ends while it waits for one.
bool wp_process_pool_wait_deadlocks(const wp_process_pool *pool);
/// Makes the collector's thread call `hooks.called`.
void wp_process_pool_call(wp_process_pool *pool);

/// Closes the pool: later submissions fail with `WP_SHUT_DOWN`; accepted tasks still run. Idempotent, does not wait.
void wp_process_pool_close(wp_process_pool *pool);
/// Completes every task that has not begun with `WP_TASK_DISCARDED`, on the calling thread. Returns how many.
size_t wp_process_pool_discard_pending(wp_process_pool *pool);
/// For the end of a closed pool. Asks every task that runs to stop, and returns how many were not asked before. No task
/// begins again from now on: what would, because its worker died, is completed with `WP_TASK_DISCARDED`, or with its
/// failure.
size_t wp_process_pool_stop_running(wp_process_pool *pool);
/// As `wp_process_pool_terminate`, for every task that runs. Returns how many these are.
size_t wp_process_pool_terminate_running(wp_process_pool *pool);
/// How many tasks were accepted and have not ended, and how many have ended in these ways since the pool was made.
typedef struct wp_process_task_counts {
  size_t unfinished;
  size_t discarded;
  size_t terminated;
} wp_process_task_counts;
wp_process_task_counts wp_process_pool_task_counts(wp_process_pool *pool);
/// As `wp_process_pool_join`, until `deadline_ns` on CLOCK_MONOTONIC (UINT64_MAX: for ever), then `WP_TIMED_OUT`.
wp_status wp_process_pool_join_until(wp_process_pool *pool, uint64_t deadline_ns);
/// Waits until all tasks of a closed pool have ended and all its processes are gone. `WP_WOULD_DEADLOCK` on the
/// collector's thread (inside `completed`), `WP_INVALID_ARGUMENT` when the pool was not closed.
wp_status wp_process_pool_join(wp_process_pool *pool);
/// Runs `body` on a detached thread, for a call that blocks, where the caller must not block. Like the collector's thread it
/// blocks the signals that the thread that made the pool blocked then. `WP_SYSTEM_CALL_FAILED` when no thread can be had;
/// `body` does not run then. Any thread.
wp_status wp_process_pool_start_helper(wp_process_pool *pool, wp_thread_body body, void *WP_NULLABLE argument);
/// Closes the pool and gives up the handle; processes and memory go when the last task has ended. Does not wait.
void wp_process_pool_release(wp_process_pool *WP_NULLABLE pool);

WP_NONNULL_END
WP_END_DECLS

#endif
