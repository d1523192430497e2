// How many CPUs this process may really use: the least of what the mask, the cgroups and the user allow.
//
// The user's bound is the environment variable WORKER_POOL_CPUS, for those who cannot or may not set a mask or a quota:
// a batch system that hands out cores by agreement, a test that wants one worker, a CI job whose neighbours are not in
// its container. It bounds, and never raises: more workers than CPUs are a matter of the program.
//
// A value that makes no sense is an error where the grant is needed, and only there: a pool that was told how many
// workers to have does not fail for a variable that it does not heed. Rejected: to ignore such a value, since who sets
// "WORKER_POOL_CPUS=2 " by mistake would get all CPUs, which is what they meant to prevent.
#include "wp_topology_internal.h"

#include "../base/wp_error.h"

#include <limits.h>
#include <stdlib.h>

#define WP_GRANT_VARIABLE "WORKER_POOL_CPUS"

const char *wp_topology_environment_cpus(void) { return secure_getenv(WP_GRANT_VARIABLE); }

/// Digits alone: no sign, no blanks.
static bool wp_grant_is_number(wp_text text) {
  if (wp_text_is_empty(text)) return false;
  for (; !wp_text_is_empty(text); text.next++) {
    if (*text.next < '0' || *text.next > '9') return false;
  }
  return true;
}

void wp_grant_read_override(wp_topology *topology, const char *value) {
  uint64_t number = 0;
  if (value == NULL) return;
  wp_text text = wp_text_of(value);
  if (!wp_grant_is_number(text)) {
    topology->override_problem = "must be a whole number of at least 1";
  } else if (!wp_text_take_number(&text, INT_MAX, &number)) {
    topology->override_problem = "must be at most 2147483647";
  } else if (number == 0) {
    topology->override_problem = "must be a whole number of at least 1";
  } else {
    topology->override_cpus = (size_t)number;
  }
}

size_t wp_topology_quota(const wp_topology *topology) { return topology->quota; }

size_t wp_topology_override(const wp_topology *topology) { return topology->override_cpus; }

size_t wp_topology_granted(const wp_topology *topology) {
  // None is ever 0 when it counts: there is a CPU, a quota is rounded up, and the user's number is 1 at least.
  size_t granted = topology->cpu_count;
  if (topology->quota != 0 && topology->quota < granted) granted = topology->quota;
  if (topology->override_cpus != 0 && topology->override_cpus < granted) granted = topology->override_cpus;
  return granted;
}

wp_status wp_topology_grant(const wp_topology *topology, size_t *granted, wp_error *error) {
  if (topology->override_problem != NULL) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, WP_GRANT_VARIABLE, topology->override_problem);
  }
  *granted = wp_topology_granted(topology);
  return WP_OK;
}
