// What the processes of a pool share among themselves: a template, and the workers that it forks.
#ifndef WP_PROCESS_CHILD_H
#define WP_PROCESS_CHILD_H

#include "../../platform/wp_credentials.h"
#include "../../platform/wp_descriptors.h"
#include "../../platform/wp_name.h"
#include "../../platform/wp_signals.h"
#include "wp_process_capture.h"
#include "wp_process_jobs.h"
#include "../shared/wp_process_layout.h"
#include "wp_process_sandbox.h"

#include <sys/resource.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WP_NORETURN __attribute__((noreturn))

/// What a template knows, and a worker inherits.
typedef struct wp_template {
  int control;
  int children_signal;
  int host;
  /// The files of the pool (wp_process_layout.h); `output` is -1 when nothing is captured, `own` that of the worker that is
  /// being forked.
  int given;
  int arguments;
  int output;
  int own;
  int doorbell;
  int leader_bell;
  pid_t process;
  /// How many threads there were before the one that forks, and one of them that is not the first.
  size_t found_threads;
  pid_t other_thread;
  char other_thread_name[WP_NAME_BYTES];
  /// How large the stack is that workers get from the thread that forks.
  size_t stack_size;
  wp_process_handler handler;
  void *context;
  /// Copied out of the pool's head: mappings of shared memory are not inherited.
  wp_geometry geometry;
  wp_sandbox sandbox;
  wp_jobs jobs;
  struct wp_child *children;
  /// How many of them have ever been asked for.
  uint32_t used;
  /// Of the worker that is being forked: what it joins its cgroup by, -1 for nothing, and why there is none.
  int door;
  int door_errno;
  /// What the host does with signals, for the same worker.
  wp_dispositions signals;
  /// Who it is to be; NULL for who the template is.
  const wp_credentials *credentials;
  wp_capture capture;
  /// How many files the host may open: the template may open more, and gives its workers what the host has.
  struct rlimit open_files;
  /// Whether `main` has not run in the program that this is.
  bool reexecuted;
  /// What was open when we began: its numbers are held in workers, whose own descriptors lie at `own_base` and above.
  wp_descriptors held;
  int own_base;
  /// Some child has a report that the socket had no room for; or that could not be sent otherwise.
  bool unsent;
  bool refused;
} wp_template;

/// Exit statuses of workers that end for the engine's own reasons, beyond those that shells and programs use.
enum { WP_EXIT_NOT_SET_UP = 113, WP_EXIT_ORPHAN = 114, WP_EXIT_BAD_CHANNEL = 115, WP_EXIT_RECYCLED = 116 };

#ifdef __cplusplus
}
#endif

#endif
