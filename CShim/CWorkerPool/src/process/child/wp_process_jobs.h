// A terminal's stop and continue. Workers are in no group of the terminal's; the template is in their host's, hears Ctrl-Z
// with it and passes on what became of the host. A host that handles Ctrl-Z, and goes on, keeps its workers at work.
#ifndef WP_PROCESS_JOBS_H
#define WP_PROCESS_JOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wp_jobs {
  pid_t host;
  /// How often to look yet whether the host has stopped.
  unsigned looks;
  /// Whether the workers were stopped, because the host was.
  bool stopped;
} wp_jobs;

typedef enum wp_jobs_order { WP_JOBS_GO_ON, WP_JOBS_STOP, WP_JOBS_CONTINUE } wp_jobs_order;

/// Signals came to the host's group, a bit for each.
void wp_jobs_hear(wp_jobs *self, uint64_t signals);
/// How long the template may sleep, in milliseconds, -1 for ever.
int wp_jobs_timeout(const wp_jobs *self);
/// What is to be done with the workers.
wp_jobs_order wp_jobs_look(wp_jobs *self);

#ifdef __cplusplus
}
#endif

#endif
