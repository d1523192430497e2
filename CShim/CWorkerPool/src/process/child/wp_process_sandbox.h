// The sandbox of a worker that only computes: an allow-list of system calls, as a seccomp filter.
//
// Compiled to a refusal unless WP_SANDBOX is defined (the package trait `Sandbox`), which needs libseccomp.
//
// The filter is made in the template, because libseccomp allocates, and loaded in each worker by plain system calls.
// Numbers that only a worker knows (its process id, its descriptors) stand in it as placeholders: each worker puts its
// own into its private copy. Every call has one of three answers:
//
//     allowed    what allocating, computing, own threads, clocks, output and the engine need, arguments checked
//     ENOSYS     two calls whose callers know another way: clone3 (its arguments are in memory, where a filter cannot
//                look; glibc then calls clone) and mremap (it could grow our view of the pool's memory; realloc copies)
//     a trap     everything else: the handler notes the number for the host, and the process dies of SIGSYS
//
// What stands in a filter's argument are 64 bits; of an `int` the kernel then takes the lower 32. The table of what is allowed
// (wp_process_sandbox_rules.c) says of each argument how many bits the kernel takes, and the filter compares those: never
// more, for then a descriptor of 2^32 + 1 would be another than 1, and never whether a value merely differs from something.
//
// The handler cannot be taken away: changing that of SIGSYS is forbidden itself, and when SIGSYS is blocked the kernel
// resets it and kills. The number in `status` is the worker's word, like all that stands there.
//
// Rejected: SECCOMP_RET_KILL_PROCESS (the host would not learn the call; the audit log, which has it, belongs to root),
// a user notification (a round trip through the host, which would have to answer a hostile worker), errors in place of
// traps (code that ignores errors runs on, and computes with what it did not read).
#ifndef WP_PROCESS_SANDBOX_H
#define WP_PROCESS_SANDBOX_H

#include "../shared/wp_process_layout.h"
#include "../shared/wp_process_message.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sock_filter;

/// A filter as the template made it and its workers inherit it. Zero: no sandbox.
typedef struct wp_sandbox {
  struct sock_filter *filter;
  uint16_t length;
} wp_sandbox;

/// The descriptors that the engine itself goes on using in a worker; -1 for one that there is not.
typedef struct wp_sandbox_descriptors {
  /// For `write`; not for `read`, which would swallow the rings of other workers.
  int doorbell;
  int leader_bell;
  /// For `pread`: a file of /proc that says how much memory the worker uses.
  int memory_use;
  /// For `recvmsg`. Memory files received over it may be mapped, but not executed, and closed.
  int receiver;
} wp_sandbox_descriptors;

/// In the host: NULL when a pool started by `method` can have this sandbox, else the rule that forbids it.
const char *wp_sandbox_refusal(wp_sandbox_level level, wp_start_method method);

/// In the template, which has one thread and was started anew: makes the filter. `receives`: whether workers will have
/// a `receiver`. WP_CALL_NONE, or the call that failed, with `errno` set.
wp_call wp_sandbox_prepare(wp_sandbox *sandbox, wp_sandbox_level level, bool receives);

/// In a worker: puts its own numbers into its copy of the filter.
void wp_sandbox_put_numbers(const wp_sandbox *sandbox, int32_t process, const wp_sandbox_descriptors *descriptors);

/// In a worker that has set itself up: from here on its whole process, threads of the initializer included, can make
/// allowed calls only. A forbidden one is noted in `status` and ends it by SIGSYS. Does nothing for a zero `sandbox`.
/// WP_CALL_NONE, or the call that failed, with `errno` set: then the worker is not sandboxed and must end.
wp_call wp_sandbox_enter(const wp_sandbox *sandbox, const wp_sandbox_descriptors *descriptors,
                         wp_channel_status *status);

#ifdef __cplusplus
}
#endif

#endif
