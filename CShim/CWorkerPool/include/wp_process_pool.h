// A pool of worker processes: each is forked by a single-threaded template process, takes tasks from slots in
// shared memory and leaves its results there. Whatever a worker does to itself costs the task it had begun.
//
// Thread-safety: host functions may be called from any thread unless they say otherwise, none from a signal
// handler. Worker functions are for the worker's one thread.
#ifndef WP_PROCESS_POOL_H
#define WP_PROCESS_POOL_H

#include "wp_base.h"
#include "wp_topology.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

typedef struct wp_process_pool wp_process_pool;

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
/// later call replaces an earlier one. NULL when `length` is over the pool's limit: the task then fails with
/// `WP_TASK_REPLY_TOO_LARGE`, which names both sizes. O(1); pages appear when touched.
void *WP_NULLABLE wp_process_reply_reserve(wp_process_reply *reply, size_t length);
/// Sets the code that the host sees in `wp_task_outcome.reply_code`; 0 until set.
void wp_process_reply_set_code(wp_process_reply *reply, uint32_t code);

/// Runs one task, in a worker.
typedef void (*wp_process_handler)(void *WP_NULLABLE context, const wp_process_request *request,
                                   wp_process_reply *reply);

/// The interned name with this index (see `wp_process_pool_intern`), NULL when there is none. In workers only.
const char *WP_NULLABLE wp_process_worker_name(uint32_t index, size_t *length);
/// Index of this worker in its pool, or -1 outside a worker.
int32_t wp_process_worker_index(void);

/// What a re-executed template runs. A program (or the Swift layer) that wants `WP_START_REEXEC` defines this
/// function; it is called once, before `main`, in the re-executed template, and the template forks afterwards.
/// Weak: when nobody defines it, `WP_START_REEXEC` is refused with `WP_UNSUPPORTED`.
wp_process_handler WP_NULLABLE wp_process_reexec_handler(void) __attribute__((weak));

// MARK: In the host

typedef enum wp_start_method {
  /// Fork when the host has a single thread, else re-execute.
  WP_START_AUTOMATIC = 0,
  /// The template is a fork of the host as it is now: workers inherit its memory, copy on write. Refused with
  /// `WP_UNSUPPORTED` when the host has more than one thread.
  WP_START_FORK,
  /// The template is `/proc/self/exe` started anew and caught before `main`.
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
} wp_task_end;

/// The outcome of one task. All pointers are valid during the callback only.
typedef struct wp_task_outcome {
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
} wp_task_outcome;

/// Callbacks of a pool, all in the host.
typedef struct wp_process_pool_hooks {
  void *WP_NULLABLE context;
  /// Exactly once for every task that was accepted and not taken back by `wp_process_pool_cancel`; no lock is
  /// held. On the pool's collector thread, or on the thread that discards.
  void (*WP_NULLABLE WP_SENDABLE completed)(void *WP_NULLABLE context, void *WP_NULLABLE token,
                                            const wp_task_outcome *outcome);
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
  /// reserved for it, memory is used only as far as payloads reach.
  size_t max_payload;
  /// How many tasks a worker may hold, the running one included; 0 for 2. At most `WP_PROCESS_MAX_PREFETCH`.
  uint32_t prefetch;
  /// Pinning of workers, as for threads.
  wp_affinity affinity;
  const int *WP_NULLABLE cpus;
  size_t cpu_count;
  /// How long a worker or the collector spins before it sleeps, in nanoseconds; 0 for the default,
  /// `WP_SPIN_NEVER` (wp_thread_pool.h) for not at all.
  uint64_t spin_ns;
  /// A pool with a sandbox is re-executed: `WP_START_FORK` is refused with `WP_UNSUPPORTED`.
  wp_sandbox_level sandbox;
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
/// (workers die at start).
wp_status wp_process_pool_create(const wp_process_pool_config *config, wp_process_pool *WP_NULLABLE *WP_NONNULL pool,
                                 wp_error *WP_NULLABLE error);

uint32_t wp_process_pool_worker_count(const wp_process_pool *pool);
/// The method that was picked: `WP_START_FORK` or `WP_START_REEXEC`.
wp_start_method wp_process_pool_start_method(const wp_process_pool *pool);
/// Process ids of the workers that live now, at most `capacity`; returns how many there are.
size_t wp_process_pool_worker_pids(wp_process_pool *pool, int32_t *WP_NULLABLE pids, size_t capacity);
/// Process id of the template.
int32_t wp_process_pool_template_pid(wp_process_pool *pool);

/// Gives `name` (any bytes) an index that every worker of the pool can turn back into the name. The same name
/// has one index. O(names) on first use: cache the result. Errors: `WP_TOO_LARGE` when the table is full.
wp_status wp_process_pool_intern(wp_process_pool *pool, const void *name, size_t length, uint32_t *index);

/// A task as it is submitted. Zero-initialise, then set what matters.
typedef struct wp_process_submission {
  /// Passed to the handler; the engine does not look at it.
  uint32_t function;
  /// The argument; copied.
  const void *WP_NULLABLE bytes;
  size_t length;
  /// Comes back in `hooks.completed`.
  void *WP_NULLABLE token;
} wp_process_submission;

/// Accepts a task. `*ticket` names it for `wp_process_pool_cancel`. Errors: `WP_SHUT_DOWN`, `WP_BROKEN`, `WP_FORKED`, `WP_TOO_LARGE`,
/// `WP_SYSTEM_CALL_FAILED` (memory). O(1) whatever is pending.
wp_status wp_process_pool_submit(wp_process_pool *pool, const wp_process_submission *submission,
                                 uint64_t *WP_NULLABLE ticket);

/// Takes back a task that no worker has begun: true means that it will not run and that `completed` will not be
/// called for it, so that its token is the caller's again. False: it runs, has ended, or was never there.
bool wp_process_pool_cancel(wp_process_pool *pool, uint64_t ticket);
/// Whether a worker has begun the task and not ended it.
bool wp_process_pool_is_running(wp_process_pool *pool, uint64_t ticket);

/// Closes the pool: later submissions fail with `WP_SHUT_DOWN`; accepted tasks still run. Idempotent, does not wait.
void wp_process_pool_close(wp_process_pool *pool);
/// Completes every task that has not begun with `WP_TASK_DISCARDED`, on the calling thread. Returns how many.
size_t wp_process_pool_discard_pending(wp_process_pool *pool);
/// Waits until all tasks of a closed pool have ended and all its processes are gone. `WP_WOULD_DEADLOCK` on the
/// collector's thread (inside `completed`), `WP_INVALID_ARGUMENT` when the pool was not closed.
wp_status wp_process_pool_join(wp_process_pool *pool);
/// Closes the pool and gives up the handle; processes and memory go when the last task has ended. Does not wait.
void wp_process_pool_release(wp_process_pool *WP_NULLABLE pool);

WP_NONNULL_END
WP_END_DECLS

#endif
