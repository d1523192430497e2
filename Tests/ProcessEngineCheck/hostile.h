// What host and workers of the hostile scenarios (hostile.c) agree on.
#ifndef HOSTILE_H
#define HOSTILE_H

#include "check.h"

enum { HOSTILE_WORKERS = 2, HOSTILE_PREFETCH = 4, HOSTILE_MAX_PAYLOAD = 256 << 10 };

/// The worker with this index is hostile; a scribbling task that another one gets does nothing.
enum { HOSTILE_INDEX = 0 };

/// What a scribbling task does before it returns.
typedef enum hostile_way {
  SCRIBBLE_BESIDE,   // sees to it that a thread scribbles, from now on and as long as the worker lives
  SCRIBBLE_QUIETLY,  // writes what no host can tell from a result
  SCRIBBLE_LOUDLY,   // overwrites states and signals as well
  SCRIBBLE_AND_DIE,
  HOSTILE_WAYS,
} hostile_way;

typedef struct hostile_task {
  uint64_t seed;
  /// A shared memory that starts with a counter of what was scribbled.
  uint64_t memory;
  hostile_way way;
} hostile_task;

void scribble(const wp_process_request *request, wp_process_reply *reply);
void break_out(const wp_process_request *request, wp_process_reply *reply);
void lie(const wp_process_request *request, wp_process_reply *reply);

#endif
