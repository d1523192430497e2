// Starting a template by re-executing this program: the host starts /proc/self/exe with a marker in its environment; a
// constructor sees it before `main` (or when a late-loaded bundle brings us in) and the process becomes a template instead.
//
// The marker alone proves nothing, since anybody can set a variable: it is believed only when the descriptor it names
// is a SOCK_SEQPACKET socket whose other end was made by our parent, and never in a program that has more rights than
// its user. It is gone from the environment before any code of the user runs.
#ifndef WP_PROCESS_REEXEC_H
#define WP_PROCESS_REEXEC_H

#include "wp_base.h"

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/// NULL when this program can be re-executed as a template, else the rule that forbids it.
const char *wp_reexec_refusal(void);
/// Starts the template with `control` as its end of the socket. 0 or an error number; `*call` names the call.
int wp_reexec_start(int control, pid_t *process, const char **call);

#ifdef __cplusplus
}
#endif

#endif
