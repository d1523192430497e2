// Threads: the system calls behind a worker.
#ifndef WP_THREAD_H
#define WP_THREAD_H

#include <pthread.h>

#include "wp_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a thread is started with.
typedef struct wp_thread_attributes {
  /// Bytes, 0 for the default. Rounded up to pages and to the system's minimum.
  size_t stack_size;
  /// CPU to pin to, -1 to float.
  int cpu;
  /// Node (its system id) that what the caller touches of the stack should lie on, -1 for wherever that is. The thread
  /// itself touches the rest. A refusal is said once (wp_notice.h).
  int node;
} wp_thread_attributes;

/// Starts a thread that blocks every asynchronous signal, so that handlers run on the program's own threads. On
/// failure nothing was started and `error` names the call.
wp_status wp_thread_start(pthread_t *thread, const wp_thread_attributes *attributes, void *(*body)(void *),
                          void *argument, wp_error *error);

/// Changes whenever the process turns out to be a forked child: compare with a value kept from earlier to know
/// whether one's threads still exist. One load.
uint32_t wp_fork_generation(void);

/// NUMA node id of the CPU that the caller runs on, -1 when unknown. About 20 ns.
int wp_thread_current_node(void);

#ifdef __cplusplus
}
#endif

#endif
