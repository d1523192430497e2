// What the system did not let the engine do, and that it goes on without: said once, to a handler.
#ifndef WP_NOTICE_H
#define WP_NOTICE_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// What could not be done. A later version may add kinds.
typedef enum wp_notice_kind {
  /// The system refused to place memory on the nodes that were asked for: it lies where it is first touched.
  WP_NOTICE_MEMORY_NOT_PLACED = 0,
  /// A CPU that a worker was to be pinned to is not there, or not allowed, any more: the worker floats.
  WP_NOTICE_CPU_GONE,
  /// The system refused to pin a worker: it floats.
  WP_NOTICE_AFFINITY_NOT_SET,
  /// Placement on nodes was asked for, and the kernel (or libnuma) has no NUMA.
  WP_NOTICE_NO_NUMA,
  /// An environment variable that says nothing sensible was not heeded.
  WP_NOTICE_ENVIRONMENT_IGNORED,
  /// A worker process that is wanted, or the template process for it, did not start, or ended as soon as it was there. The
  /// message says whether that is tried again, or whether no time cures it.
  WP_NOTICE_WORKER_NOT_STARTED,
  /// A forked template process was lost, and its pool goes on with workers that are re-executed
  /// (`WP_TEMPLATE_LOSS_REEXECUTES`).
  WP_NOTICE_TEMPLATE_REEXECUTED,
} wp_notice_kind;

/// Something that the engine goes on without.
typedef struct wp_notice {
  wp_notice_kind kind;
  /// `errno` of the system call that failed, or 0.
  int system_errno;
  /// One sentence without a line break. Valid until the handler returns.
  const char *message;
} wp_notice;

/// Is told a notice. Called on any thread, a worker's among them, at most once for each kind in the life of the process;
/// returns soon, and asks nothing of the pool that might wait.
typedef void (*wp_notice_handler)(void *WP_NULLABLE context, const wp_notice *notice);

/// The default handler: writes one line, "swift-worker-pool: " and the message, to standard error. Thread-safe.
void wp_notice_print(void *WP_NULLABLE context, const wp_notice *notice);

/// Sets who is told of all notices to come, in this process; NULL for nobody. One that is being told when this is called
/// may go to the handler before, also when this has returned: that one's `context` has to stay valid. Thread-safe.
void wp_set_notice_handler(WP_SENDABLE wp_notice_handler WP_NULLABLE handler, void *WP_NULLABLE context);

WP_NONNULL_END
WP_END_DECLS

#endif
