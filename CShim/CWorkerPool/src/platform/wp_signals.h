// System calls about signals. [fork]: may be called between `fork` and the worker loop, see wp_process.h.
#ifndef WP_SIGNALS_H
#define WP_SIGNALS_H

#include <signal.h>
#include <stddef.h>

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
/// Descriptor that becomes readable on SIGCHLD, which must be blocked. -1 with `errno` set ("signalfd"). [fork]
int wp_sigchld_open(void);
void wp_sigchld_clear(int descriptor);
/// A worker's dispositions: handlers inherited from the host (a backtracer, a graceful shutdown) are gone, SIGINT is
/// ignored because a Ctrl-C is the host's to answer, what the host ignored (nohup) stays ignored unless it reports a
/// fault. Then unblocks everything. [fork]
void wp_signals_reset_for_worker(void);

#ifdef __cplusplus
}
#endif

#endif
