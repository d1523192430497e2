// System calls about what a process may use, and what it uses.
#ifndef WP_LIMITS_H
#define WP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Lets this process open as many files as it can be given; `*before` receives what it was.
void wp_open_files_raise(struct rlimit *before);
/// Sets both limits of a resource, so that nobody raises it again. False with `errno` set. [fork]
bool wp_limit_set(int resource, uint64_t value);
/// Lowers the soft limit of a resource to at most `value`; returns what it was. [fork]
uint64_t wp_limit_lower(int resource, uint64_t value);
/// Sets the soft limit, as `wp_limit_lower` found it. [fork]
void wp_limit_restore(int resource, uint64_t value);
/// Adds to the nice value. False with `errno` set ("setpriority"). [fork]
bool wp_be_nicer(int by);

/// A timer on the processor time of this process that raises SIGXCPU. False with `errno` set ("timer_create"). [fork]
bool wp_cpu_timer_create(int *timer);
/// Lets it end after `ns` more of processor time; 0 stops it. [fork]
void wp_cpu_timer_set(int timer, uint64_t ns);

/// What this process holds, in bytes.
typedef struct wp_memory_use {
  uint64_t resident;
  /// Private and writable: what RLIMIT_DATA counts.
  uint64_t data;
} wp_memory_use;

/// A descriptor to ask by, so that a process that may open nothing any more can still ask; -1 without /proc. [fork]
int wp_memory_use_open(void);
/// False when it cannot be told. [fork] [signal handlers]
bool wp_memory_use_read(int descriptor, wp_memory_use *use);

/// From now on calls `note` before a fault (SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS) ends the process, in a handler with a
/// stack of its own; the wait status stays what it is. `address` is that of a fault of memory, else UINTPTR_MAX. False with `errno` set ("sigaltstack"). [fork]
bool wp_faults_note(void (*note)(uintptr_t address));

#ifdef __cplusplus
}
#endif

#endif
