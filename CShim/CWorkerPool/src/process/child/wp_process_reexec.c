#include "wp_process_reexec.h"

#include "../../platform/wp_process.h"
#include "../../platform/wp_socket.h"
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
