// System calls by which a process gives up what it may do. [fork]: may be called between `fork` and the worker loop, see
// wp_process.h.
#ifndef WP_CONFINE_H
#define WP_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sock_filter;

/// What this process runs from now on gets no more rights than it has. False with `errno` set ("prctl"). [fork]
bool wp_privileges_keep(void);
/// Drops the capabilities of the calling thread, and so of all threads that it starts; those that run keep theirs. False
/// with `errno` set ("capset"). [fork]
bool wp_capabilities_drop(void);

/// From now on a system call that a filter traps calls `note` in a signal handler, with the architecture and the number of
/// the call; then the process dies of SIGSYS. False with `errno` set ("sigaction"). [fork]
bool wp_trapped_calls_note(void (*note)(uint32_t architecture, int call));
/// Loads a filter of system calls for all threads of this process. False with `errno` set ("seccomp"): ESRCH when some
/// thread has a filter of its own, and cannot be given this one. [fork]
bool wp_filter_load(struct sock_filter *steps, uint16_t length);
/// Whether a filter is in force that answers mremap with ENOSYS: the kernel itself would call its arguments invalid. [fork]
bool wp_filter_answers_mremap(void);

#ifdef __cplusplus
}
#endif

#endif
