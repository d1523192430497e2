// What the workers of a process pool may use, where what they print goes, and what they run first.
#ifndef WP_PROCESS_SETTINGS_H
#define WP_PROCESS_SETTINGS_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

// MARK: Output

/// The streams that a worker prints to.
enum { WP_STREAM_OUTPUT = 0, WP_STREAM_ERROR = 1, WP_STREAM_COUNT = 2 };

typedef enum wp_output_mode {
  /// Standard output is inherited; of standard error the last `WP_OUTPUT_DEFAULT_LIMIT` bytes are kept, and all of it
  /// is echoed, so that users see it as ever and errors carry its end.
  WP_OUTPUT_DEFAULT = 0,
  /// The worker writes to the host's own stream.
  WP_OUTPUT_INHERIT,
  /// The last `limit` bytes of each worker are kept.
  WP_OUTPUT_CAPTURE,
  WP_OUTPUT_DISCARD,
} wp_output_mode;

typedef struct wp_process_output {
  wp_output_mode mode;
  /// Bytes kept of each worker, 1 to `WP_OUTPUT_MAX_LIMIT`. For `WP_OUTPUT_CAPTURE`.
  size_t limit;
  /// Whether captured output is passed on to the host's stream as well. A stream that takes nothing for a while then
  /// holds up the workers that write, as it would without capture; what a worker leaves unread at its death is kept,
  /// but passed on only as far as the stream takes it at once.
  bool echo;
} wp_process_output;

#define WP_OUTPUT_DEFAULT_LIMIT ((size_t)16 << 10)
#define WP_OUTPUT_MAX_LIMIT ((size_t)64 << 20)

// MARK: Limits

#define WP_LIMIT_UNLIMITED UINT64_MAX
#define WP_MIN_OPEN_FILES 16u

/// Whether `wp_process_limits.memory` is kept up by a memory cgroup as well, one for each worker. It counts all that a
/// worker is the first to touch, shared pages, files and what the kernel keeps for it, too. Past it the kernel kills the
/// worker.
typedef enum wp_cgroup_use {
  /// Where cgroups may be made: where a user other than root may write, and where root was handed the parent (an
  /// attribute "user.delegate" or "trusted.delegate" says so). Never an error: `wp_process_pool_memory_limit` tells.
  WP_CGROUP_AUTOMATIC = 0,
  WP_CGROUP_NEVER,
  /// Also where root may merely write. Refused with `WP_UNSUPPORTED`, or the call that failed, where it cannot be had.
  WP_CGROUP_REQUIRED,
} wp_cgroup_use;

/// What keeps up a pool's limit of memory.
typedef enum wp_memory_limit {
  WP_MEMORY_UNLIMITED = 0,
  /// RLIMIT_DATA alone.
  WP_MEMORY_DATA,
  /// RLIMIT_DATA and cgroups.
  WP_MEMORY_CGROUP,
} wp_memory_limit;

/// Zero-initialised: no limits but on core files, of which workers leave none.
typedef struct wp_process_limits {
  /// Private writable memory of a worker in bytes (RLIMIT_DATA), what it inherited included; 0 for as much as the host.
  /// Shared pages of arguments and results do not count, but in a cgroup. An allocation that would pass it fails.
  uint64_t memory;
  /// For `memory`. Only `WP_CGROUP_REQUIRED` needs one.
  wp_cgroup_use memory_cgroup;
  /// Processor time of one task in nanoseconds; 0 for no limit. Passing it raises SIGXCPU.
  uint64_t cpu_ns;
  /// Open files of a worker (RLIMIT_NOFILE), 0 for as many as the host.
  uint64_t open_files;
  /// Largest core file in bytes (RLIMIT_CORE), `WP_LIMIT_UNLIMITED` for as large as the host's.
  uint64_t core_size;
  /// Added to the host's nice value.
  int32_t niceness;
  /// A worker that has run this many tasks is replaced; 0 for never.
  uint32_t max_tasks;
  /// A worker whose resident memory in bytes is larger than this after a task is replaced; 0 for never.
  uint64_t max_resident;
} wp_process_limits;

/// The limit that a task passed, as far as the host can tell.
typedef enum wp_passed_limit {
  WP_PASSED_NONE = 0,
  /// The worker died of a fault near its limit of private memory, or right after an allocation had failed; or the kernel
  /// killed it in its cgroup.
  WP_PASSED_MEMORY,
  WP_PASSED_CPU_TIME,
} wp_passed_limit;

// MARK: Supervision

/// What a pool does whose forked template process is lost, with its workers. A re-executed one is always replaced.
typedef enum wp_template_loss {
  /// It breaks: what a job may read of the program's memory is in no process any more.
  WP_TEMPLATE_LOSS_BREAKS = 0,
  /// It goes on with re-executed workers, which have nothing of before the fork. For pools that need nothing of it.
  WP_TEMPLATE_LOSS_REEXECUTES,
} wp_template_loss;

#define WP_OUTAGE_LIMIT_DEFAULT_NS ((uint64_t)30 * 1000000000u)

// MARK: Initializer

/// Run by every worker before it takes tasks, as a task is; before the sandbox as well, and with it the constructors of what
/// it loads by `dlopen`.
typedef struct wp_process_initializer {
  uint32_t function;
  /// The argument; copied. At most the pool's `max_payload`.
  const void *WP_NULLABLE bytes;
  size_t length;
  /// Interned before any worker starts, which gives it the index 0; NULL for none.
  const void *WP_NULLABLE name;
  size_t name_length;
} wp_process_initializer;

/// Why workers could not start. Strings and bytes are valid as long as what they were got from says.
typedef struct wp_process_breakage {
  /// Static.
  const char *reason;
  /// The system call that failed last, static, NULL when none did; and its `errno`.
  const char *WP_NULLABLE call;
  int system_errno;
  /// Whether no time would have cured it: the program, or what it may do, is wrong.
  bool is_final;
  /// The worker that failed last, 0 when none did.
  int32_t worker_pid;
  /// As from `waitpid`.
  int32_t wait_status;
  /// The end of what it had written to standard error, if that is captured.
  const char *WP_NULLABLE output;
  size_t output_length;
  /// Whether it ended in the initializer, or because that replied with a code other than 0.
  bool in_initializer;
  /// That code, 0 when it did not reply; and its reply.
  uint32_t reply_code;
  const void *WP_NULLABLE reply;
  size_t reply_length;
} wp_process_breakage;

WP_NONNULL_END
WP_END_DECLS

#endif
