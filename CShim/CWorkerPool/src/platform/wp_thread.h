// Threads: the system calls behind a worker.
#ifndef WP_THREAD_H
#define WP_THREAD_H

#include <pthread.h>
#include <signal.h>

#include "wp_base.h"
#include "wp_fork.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a thread is started with.
typedef struct wp_thread_attributes {
  /// Bytes, 0 for the default. Rounded up to pages and to the system's minimum.
  size_t stack_size;
  /// CPU to pin to, -1 to float.
  int cpu;
  /// The signals that the thread blocks from its first instruction on; NULL for those that the caller blocks.
  const sigset_t *signal_mask;
} wp_thread_attributes;

/// Starts a thread. On failure nothing was started and `error` names the call.
wp_status wp_thread_start(pthread_t *thread, const wp_thread_attributes *attributes, wp_thread_body body,
                          void *argument, wp_error *error);

/// Moves what there is of the calling thread's stack to the node that it runs on, and lets the rest come there: the top was
/// touched by who started the thread, and the whole may be the stack of one that has ended. Where the system forbids
/// it, the stack stays where it is. For threads of ours; a system call or two, and a copy of a few pages.
void wp_thread_settle_stack(void);

/// Bytes that a main thread's stack may grow to, within reason where that is not limited.
size_t wp_thread_main_stack(void);

/// Bytes of stack that a thread gets for which no other size is asked; 0 when unknown.
size_t wp_thread_default_stack(void);

/// NUMA node id of the CPU that the caller runs on, -1 when unknown. About 20 ns.
int wp_thread_current_node(void);

#ifdef __cplusplus
}
#endif

#endif
