// The life of a pool from its start to its end, with a record of its tasks: whatever fails, each task that was accepted
// ends once, and nothing is left.
#ifndef LIFE_H
#define LIFE_H

#include "CWorkerPool.h"
#include "state.h"

#include <pthread.h>

/// What tasks do. Each argument begins with a `life_order`.
enum {
  DO_SUM,     // -> uint64_t sum of its bytes
  DO_FILL,    // -> `number` bytes, each the task's own
  DO_SHARED,  // uint64_t ids[number] -> uint64_t sum of the first bytes of these memories; code 404 for one not there
  DO_STOP,    // returns once it is asked to stop
  DO_HANG,    // never returns
  DO_AGAIN,   // hangs when it is begun first, then returns the sum
  DO_PRINT,   // prints `number` bytes to both streams -> the sum
  DO_FAMILY,  // starts a process with a group of its own, which does not end by itself -> the sum
  DO_ORPHAN,  // starts a process that nobody waits for, and which ends soon -> the sum
  DO_BEGIN,   // the initializer
  DO_REFUSE,  // the same, which fails
};

typedef struct life_order {
  uint32_t task;
  uint32_t number;
} life_order;

void life_handle(void *context, const wp_process_request *request, wp_process_reply *reply);
/// What comes back from a task that sums.
uint64_t life_sum(const void *bytes, size_t length);

/// A task as the host knows it.
typedef struct life_task {
  uint64_t ticket;
  bool accepted;
  bool cancelled;
  /// How often it may be begun.
  uint32_t begins;
  /// What a reply must be, and its length.
  uint64_t expected;
  size_t length;
  /// Submitted when the only fault was over: it ends as if there had been none, unless the pool is broken.
  bool is_late;
  /// How it may end although nothing fails.
  wp_task_end end;
  // How it ended.
  uint32_t times;
  wp_task_end ended;
  uint32_t code;
  int status;
  const char *reason;
} life_task;

typedef struct life {
  wp_start_method method;
  wp_process_pool *pool;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  life_task tasks[SEAM_MAX_TASKS];
  uint32_t count;
  uint32_t unended;
  bool destroyed;
} life;

typedef void life_body(life *self);
typedef struct life_story {
  const char *name;
  life_body *body;
  /// NULL for every method; else whether it can be told here, by this one.
  bool (*is_possible)(wp_start_method method);
} life_story;
/// Of the host alone, without a pool of processes.
life_body life_memory, life_threads, life_groups;
/// While messages to the template take a second, submitting a task takes no longer than ever.
life_body life_delayed;
/// Ended by one without a name.
extern const life_story life_stories[];

/// Tells a story and writes down what did not hold. In the process that the state calls the host.
void life_tell(const life_story *story, wp_start_method method);

// MARK: For stories

/// Something that must hold did not.
void life_fails(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// How the pool took its fault, in a few words; the first that are said are kept.
void life_takes(const char *format, ...) __attribute__((format(printf, 1, 2)));
void life_phase(seam_phase phase);

wp_process_pool_config life_config(life *self, uint32_t workers);
/// False when there is no pool, and why was said.
bool life_open(life *self, const wp_process_pool_config *config);
/// Submits a task with a small argument; its number, or -1 when it was refused.
int life_submit(life *self, uint32_t function, uint32_t number, wp_task_end end);
/// The same with all there is to say; `argument` begins with a `life_order`.
int life_submit_with(life *self, uint32_t function, void *argument, size_t length, wp_process_submission *submission,
                     wp_task_end end);
int life_submit_limited(life *self, uint32_t function, wp_task_options options, wp_task_end end);
/// Waits until every accepted task has ended.
void life_settle(life *self);
/// Waits until the task has begun or ended.
void life_await_begun(life *self, int task);
void life_cancel(life *self, int task);
void life_resize(life *self, uint32_t count);
/// Closes the pool, joins it and waits until it is destroyed.
void life_close(life *self);
/// The same for a pool that was closed and joined.
void life_release(life *self);

#endif
