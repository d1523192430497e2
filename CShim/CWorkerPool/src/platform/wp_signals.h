// System calls about signals. [fork]: may be called between `fork` and the worker loop, see wp_process.h.
#ifndef WP_SIGNALS_H
#define WP_SIGNALS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "wp_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Blocks every signal in the calling thread; `*previous` receives the old mask.
void wp_signals_block(sigset_t *previous);
void wp_signals_restore(const sigset_t *mask);
/// Checks that a thread may block all of these. `WP_INVALID_ARGUMENT` names `call` and the signal that it may not.
wp_status wp_signals_check(const int *signals, size_t count, const char *call, wp_error *error);
/// The calling thread's mask, with these checked signals added.
void wp_signals_mask(const int *signals, size_t count, sigset_t *mask);
/// Descriptor that becomes readable on SIGCHLD and on what a terminal sends to stop or continue a group. All of them must be
/// blocked. -1 with `errno` set ("signalfd"). [fork]
int wp_job_signals_open(void);

/// What a process does with signals, a bit for each; those in neither set have the default.
typedef struct wp_dispositions {
  uint64_t ignored;
  uint64_t handled;
} wp_dispositions;

static inline uint64_t wp_signal_bit(int number) { return (uint64_t)1 << (number - 1); }

/// The signals that have come to the descriptor, a bit for each. [fork]
uint64_t wp_job_signals_take(int descriptor);

/// Of this process, now.
wp_dispositions wp_signals_dispositions(void);
/// Gives this process those of a worker, and unblocks everything. Handlers of the host (a backtracer, a graceful shutdown)
/// are gone. What the host ignores stays ignored, unless it reports a fault. SIGTERM and SIGHUP, and what the host handles of
/// the signals that others send to a program, do nothing: the host answers them. SIGINT and what a terminal sends to those
/// in its background are ignored. [fork]
void wp_signals_dispose_for_worker(const wp_dispositions *host);

#ifdef __cplusplus
}
#endif

#endif
