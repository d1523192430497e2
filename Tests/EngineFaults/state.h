// What a run of the engine with a fault has in memory that all of its processes share.
#ifndef STATE_H
#define STATE_H

#include "../../CShim/CWorkerPool/src/base/wp_atomic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum seam_role { SEAM_HOST, SEAM_TEMPLATE, SEAM_WORKER, SEAM_ROLES } seam_role;
typedef enum seam_phase { SEAM_START, SEAM_WORK, SEAM_END, SEAM_PHASES } seam_phase;

enum { SEAM_MAX_SITES = 768, SEAM_MAX_TASKS = 256, SEAM_TEXT = 1600 };

/// A fault: which call fails, when, and with what.
typedef struct seam_fault {
  seam_role role;
  seam_phase phase;
  /// Place of the site, -1 for no fault.
  int site;
  int number;
  /// The first call of the phase that fails is 1.
  uint32_t nth;
  /// How long each later call fails too; 0 for this one alone.
  uint64_t lasts_ns;
} seam_fault;

/// A fault, and one that is met in dealing with it.
enum { SEAM_FAULTS = 2 };

typedef struct seam_state {
  seam_fault faults[SEAM_FAULTS];
  /// The process that makes the pool.
  pid_t host;
  wp_atomic_u32 phase;
  /// By fault: when it was first met, and how often; 0 while it was not.
  wp_atomic_u64 first_ns[SEAM_FAULTS];
  wp_atomic_u32 times[SEAM_FAULTS];
  /// How long each message of the host to its template takes to be sent; 0 for no delay.
  wp_atomic_u64 delay_ns;
  /// Processes of the pool that died of a fault of their own, by role; and by which signal the last one did.
  wp_atomic_u32 crashes[SEAM_ROLES];
  wp_atomic_u32 crash_signal;
  wp_atomic_u32 calls[SEAM_PHASES][SEAM_ROLES][SEAM_MAX_SITES];
  /// By task: how often a worker began it.
  wp_atomic_u32 begun[SEAM_MAX_TASKS];
  /// Written by the host: what did not hold, and how the pool took it.
  uint32_t failures;
  size_t length;
  char text[SEAM_TEXT];
  char taken[160];
  bool is_over;
} seam_state;

/// The memory that this process was told of; NULL in a process that knows of none.
extern seam_state *seam_here;
/// What this process holds: see seam.h.
int seam_held(int what);

/// Maps the state of a descriptor that stays open, for this process and those that it makes.
seam_state *seam_attach(int descriptor);

// MARK: Sites

/// The sites with a fault to meet, each once, in the order of their places.
size_t seam_site_count(void);
/// "wp_socket.c:wp_socket_send:sendmsg", and "#2" behind the second of the same. Valid for ever.
const char *seam_site_name(size_t place);
/// The error numbers that a call there may have, ended by 0.
const int *seam_site_errors(size_t place);

#endif
