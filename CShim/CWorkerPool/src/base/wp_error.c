#include "wp_error.h"

#include <string.h>

wp_status wp_fail(wp_error *error, wp_status status, int system_errno, const char *call, const char *rule) {
  if (error != NULL) {
    error->status = status;
    error->system_errno = system_errno;
    error->call = call;
    error->rule = rule;
    error->refused = 0;
    error->culprit[0] = '\0';
  }
  return status;
}

const char *wp_status_name(wp_status status) {
  switch (status) {
  case WP_OK: return "ok";
  case WP_INVALID_ARGUMENT: return "invalid argument";
  case WP_SYSTEM_CALL_FAILED: return "system call failed";
  case WP_SHUT_DOWN: return "the pool was shut down";
  case WP_FORKED: return "the pool belongs to the parent of this process";
  case WP_WOULD_DEADLOCK: return "the call would wait for its own thread";
  case WP_BROKEN: return "the pool is broken";
  case WP_UNSUPPORTED: return "not supported by this pool";
  case WP_TOO_LARGE: return "the payload is larger than the pool's limit";
  case WP_TIMED_OUT: return "timed out";
  }
  return "unknown status";
}

const char *wp_signal_abbreviation(int number) { return sigabbrev_np(number); }
