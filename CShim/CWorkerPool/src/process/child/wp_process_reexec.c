#include "wp_process_reexec.h"

#include "../../platform/wp_constructors.h"
#include "../../platform/wp_process.h"
#include "../../platform/wp_socket.h"
#include "wp_process_template.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WP_MARKER_NAME "WP_TEMPLATE_CONTROL"
#define WP_MARKER_VERSION "swift-worker-pool/2"
/// Where the host puts the control socket.
#define WP_MARKER_DESCRIPTOR 3

const char *wp_reexec_refusal(void) {
  if (wp_process_is_privileged()) {
    return "a program with more rights than its user (set-user-id, file capabilities) is not re-executed";
  }
  if (wp_process_reexec_handler == NULL) return "re-execution needs wp_process_reexec_handler, which nobody defines";
  return NULL;
}

int wp_reexec_start(wp_origin *origin, int control, pid_t *process, const char **call) {
  char marker[128];
  snprintf(marker, sizeof marker, WP_MARKER_NAME "=" WP_MARKER_VERSION " %" PRId32 " %" PRIu64, (int32_t)getpid(),
           wp_socket_number(control));
  return wp_origin_start_again(origin, marker, control, process, call);
}

/// Ends a process that was to be a template and cannot be one.
static WP_NORETURN void end_without_host(const char *why, int32_t host) {
  fprintf(stderr, "This process was started as a template of worker processes by process %" PRId32
          ", as " WP_MARKER_NAME " says, and %s. It ends.\n", host, why);
  _exit(WP_EXIT_ORPHAN);
}

static void become_template(int count, char **arguments, char **environment) {
  (void)count, (void)arguments, (void)environment;
  wp_process_handler handler = wp_process_reexec_handler != NULL ? wp_process_reexec_handler() : NULL;
  wp_template_main(WP_MARKER_DESCRIPTOR, handler, NULL, true);
}

__attribute__((constructor)) static void become_template_if_asked(int count, char **arguments, char **environment) {
  const char *marker = getenv(WP_MARKER_NAME);
  if (marker == NULL || wp_process_is_privileged()) return;
  int32_t host;
  uint64_t number;
  if (sscanf(marker, WP_MARKER_VERSION " %" SCNd32 " %" SCNu64, &host, &number) != 2) return;
  unsetenv(WP_MARKER_NAME);
  bool has_socket = wp_socket_number(WP_MARKER_DESCRIPTOR) == number;
  bool has_host = getppid() == host;
  if (!has_socket && !has_host) return;
  if (!has_socket) end_without_host("its socket is gone: something has closed descriptor 3", host);
  // A host's sockets are closed before it gives its children away.
  if (!has_host && wp_socket_hung_up(WP_MARKER_DESCRIPTOR)) _exit(WP_EXIT_ORPHAN);
  if (!has_host) end_without_host("its parent is another process", host);
  fcntl(WP_MARKER_DESCRIPTOR, F_SETFD, FD_CLOEXEC);  // it is not for what constructors start
  if (wp_after_constructors(become_template_if_asked, count, arguments, environment, become_template)) return;
  wp_template_give_up(WP_MARKER_DESCRIPTOR, WP_CALL_MPROTECT);
}
