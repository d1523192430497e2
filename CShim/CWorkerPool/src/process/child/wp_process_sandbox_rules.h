// The calls that a sandboxed worker may make, as one table, and the rules of libseccomp that are made from it.
#ifndef WP_PROCESS_SANDBOX_RULES_H
#define WP_PROCESS_SANDBOX_RULES_H

#ifdef WP_SANDBOX

#include <seccomp.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Stand in the table for numbers that only a worker knows: values that no process id and no descriptor has.
enum {
  WP_OWN_PROCESS = 0x7fffff01,
  WP_DOORBELL = 0x7fffff02,
  WP_LEADER_BELL = 0x7fffff03,
  WP_MEMORY_USE = 0x7fffff04,
  WP_RECEIVER = 0x7fffff05,
};

/// Adds what the table says to a filter whose answer to everything else is a trap. `receives`: whether workers are sent memory
/// files. 0, or a negative error number.
int wp_sandbox_add_rules(scmp_filter_ctx context, bool receives);

#ifdef __cplusplus
}
#endif

#endif

#endif
