#include "wp_process_jobs.h"

#include "../../platform/wp_process.h"
#include "../../platform/wp_signals.h"

/// A host that restores its terminal first takes a moment to stop.
#define WP_LOOKS 100u
#define WP_LOOK_MS 10
/// A host can be continued without its group.
#define WP_STOPPED_LOOK_MS 100

void wp_jobs_hear(wp_jobs *self, uint64_t signals) {
  uint64_t stops = wp_signal_bit(SIGTSTP) | wp_signal_bit(SIGTTIN) | wp_signal_bit(SIGTTOU);
  if ((signals & stops) != 0) self->looks = WP_LOOKS;
}

int wp_jobs_timeout(const wp_jobs *self) {
  if (self->stopped) return WP_STOPPED_LOOK_MS;
  return self->looks > 0 ? WP_LOOK_MS : -1;
}

wp_jobs_order wp_jobs_look(wp_jobs *self) {
  if (!self->stopped && self->looks == 0) return WP_JOBS_GO_ON;
  bool host_stopped = wp_process_state(self->host) == 'T';
  if (self->looks > 0) self->looks--;
  if (host_stopped == self->stopped) return WP_JOBS_GO_ON;
  self->stopped = host_stopped;
  if (host_stopped) self->looks = 0;
  return host_stopped ? WP_JOBS_STOP : WP_JOBS_CONTINUE;
}
