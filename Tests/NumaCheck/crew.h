// A pool all of whose workers are looked at while each of them runs a task.
#ifndef CREW_H
#define CREW_H

#include "check.h"

enum { CREW_MAX = 64, STACK_PAGES = 16 };

/// A worker, as seen from its task and from outside.
typedef struct crew_member {
  pid_t thread;
  /// CPUs that it was seen running on, and the node that the kernel said it was on; -1 when it said two.
  uint64_t ran_on;
  int node;
  /// Where a local variable is, and `STACK_PAGES` pages further down, which nobody had touched.
  int local;
  int stack[STACK_PAGES];
  /// Read by another thread meanwhile.
  uint64_t mask;
} crew_member;

typedef struct worker_crew {
  wp_thread_pool *pool;
  unsigned count;
  crew_member members[CREW_MAX];
} worker_crew;

/// Makes a pool, or ends the program. With a `worker_count` of 0 the engine says how many.
void crew_hire(worker_crew *crew, const wp_thread_pool_config *config);
/// Has every worker run one task at the same time, and fills in `members`.
void crew_look(worker_crew *crew);
/// Ends the pool.
void crew_dismiss(worker_crew *crew);

/// Checks that this worker is pinned to `cpu`, runs there, and has its stack where first touch from there puts it.
void check_pinned(const worker_crew *crew, unsigned worker, int cpu, const char *policy);
/// Checks that no worker runs, or may run, anywhere else.
void check_within(const worker_crew *crew, uint64_t cpus, const char *policy);

#endif
