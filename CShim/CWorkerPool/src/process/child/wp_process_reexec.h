// Starting a template by re-executing this program: the host starts /proc/self/exe with a marker in its environment; a
// constructor sees it, lets the others be called that come behind it, and becomes a template where `main` would begin (or
// where the dlopen ends that brings us in, in a program that loads us late).
//
//     marker   WP_TEMPLATE_CONTROL=swift-worker-pool/2 HOST SOCKET     descriptor 3: that socket
//
// | marker is of this version | descriptor 3 is SOCKET | the parent is HOST | then |
// |---|---|---|---|
// | no | | | not ours: it stays, for another version of this library that is loaded later |
// | yes | yes | yes | a template |
// | yes | no | no | a variable that was inherited: it is taken away, and the program runs |
// | yes | one of the two | | a template that has lost its host, or its socket: it ends, and never gets to `main` |
//
// A template whose host is gone ends without a word, since nobody waits for it; any other says why it ends. None of this
// happens in a program that has more rights than its user. The marker is gone before any constructor behind ours runs.
#ifndef WP_PROCESS_REEXEC_H
#define WP_PROCESS_REEXEC_H

#include "../../platform/wp_origin.h"
#include "wp_base.h"

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/// NULL when this program can be re-executed as a template, else the rule that forbids it.
const char *wp_reexec_refusal(void);
/// Starts the template with `control` as its end of the socket. 0 or an error number; `*call` names the call.
int wp_reexec_start(wp_origin *origin, int control, pid_t *process, const char **call);

#ifdef __cplusplus
}
#endif

#endif
