// The template process: parent of the workers, with one thread that acts. That forks, reaps and reports, reads what workers
// print, and nothing else; the process's first thread only sleeps.
//
// Why a process of its own: forking a threaded host hangs in locks that other threads held (the Swift runtime's above
// all), and a worker's parent must be one thread that lives as long as the pool, or PR_SET_PDEATHSIG fires early.
// Being their parent, the template alone can wait for the workers, by their process ids and without races; it waits for
// nobody else's children. What tasks have started becomes its child when their parents end (PR_SET_CHILD_SUBREAPER), so that
// it does not become the host's. Each worker has a process group, which the template kills before it reaps the worker: until
// then the number of the group is nobody else's. Its own end it learns from a pidfd of the host: PDEATHSIG would fire when
// the *thread* that created the pool ends, and end-of-file fails when a foreign fork holds the socket open.
//
// Rejected: CLONE_PARENT (workers outlive a killed template), double fork with a subreaper (statuses lost), one
// template for all pools (their deaths and descriptors would be entangled).
#ifndef WP_PROCESS_TEMPLATE_H
#define WP_PROCESS_TEMPLATE_H

#include "../shared/wp_process_message.h"
#include "wp_process_child.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Becomes a template on `control`, whose other end the host holds. Never returns. `handler` NULL reports that. `reexecuted`: `main` has
/// not run in the program that this is.
WP_NORETURN void wp_template_main(int control, wp_process_handler handler, void *context, bool reexecuted);

/// Tells the host that `call` has failed, with `errno`, and ends this process.
WP_NORETURN void wp_template_give_up(int control, wp_call call);

#ifdef __cplusplus
}
#endif

#endif
