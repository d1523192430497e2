// A worker: sets itself up in a freshly forked child, then takes tasks from its channel until told to leave.
//
// Everything up to `run_loop` is async-signal-safe: the template has one thread, but it is a copy of a host (or of a
// program caught before `main`) whose state we do not know. Spinning before sleeping is what makes a chain of small
// tasks cost 0.25 µs each and not 5: the wait is bounded, then the worker costs nothing until it is woken.
#ifndef WP_PROCESS_WORKER_H
#define WP_PROCESS_WORKER_H

#include "wp_process_child.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Becomes worker `index` in a child just forked by the template, which receives shared memories over `share`. Never
/// returns.
WP_NORETURN void wp_process_worker_main(const wp_template *parent, uint32_t index, int share);

#ifdef __cplusplus
}
#endif

#endif
