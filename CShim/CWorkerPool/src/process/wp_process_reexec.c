// Re-execution: the host starts /proc/self/exe with a marker in its environment; the constructor below sees it before
// `main` (or when a late-loaded bundle brings us in) and the process becomes a template instead.
//
// The marker alone proves nothing, since anybody can set a variable: it is believed only when the descriptor it names
// is a SOCK_SEQPACKET socket whose other end was made by our parent, and never in a program that has more rights than
// its user. It is gone from the environment before any code of the user runs.
#include "wp_process_reexec.h"

#include "../platform/wp_process.h"
#include "../platform/wp_socket.h"
#include "wp_process_template.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WP_MARKER_NAME "WP_TEMPLATE_CONTROL"
#define WP_MARKER_VALUE "swift-worker-pool/1"
/// Where the host puts the control socket.
#define WP_MARKER_DESCRIPTOR 3

const char *wp_reexec_refusal(void) {
  if (wp_process_is_privileged()) return "a program with more rights than its user is not re-executed";
  if (wp_process_reexec_handler == NULL) return "re-execution needs wp_process_reexec_handler, which nobody defines";
  return NULL;
}

int wp_reexec_start(int control, pid_t *process, const char **call) {
  return wp_process_respawn_self(WP_MARKER_NAME "=" WP_MARKER_VALUE, control, process, call);
}

__attribute__((constructor)) static void become_template_if_asked(void) {
  const char *marker = getenv(WP_MARKER_NAME);
  if (marker == NULL || wp_process_is_privileged()) return;
  bool known = strcmp(marker, WP_MARKER_VALUE) == 0;
  unsetenv(WP_MARKER_NAME);
  if (!known || wp_socket_peer(WP_MARKER_DESCRIPTOR) != getppid()) return;
  wp_process_handler handler = wp_process_reexec_handler != NULL ? wp_process_reexec_handler() : NULL;
  wp_template_main(WP_MARKER_DESCRIPTOR, handler, NULL);
}
