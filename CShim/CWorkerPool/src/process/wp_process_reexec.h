// Starting a template by re-executing this program.
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
