// The host's table of accepted tasks: nodes in one growing array, named by index so that growth moves nothing that
// anybody points at, and chained by index into a pending queue and a queue of tasks that ended without a reply.
//
// Not thread-safe: the pool's lock protects it. Every operation is O(1), growth amortised.
//
//               submit                 dispatch                 reply
//     FREE ───────────────▶ PENDING ──────────────▶ SENT ─────────────────▶ FREE  (the collector has copied the token)
//       ▲                    │  ▲ └─────────┐        │ │ cancelled in its slot ────▶ FREE
//       └────────────────────┘  └───────────┼────────┘ └▶ ENDED (worker died, pool broke, discarded) ──▶ FREE
//              cancel            taken back └───────────────▲
#ifndef WP_HOST_TASKS_H
#define WP_HOST_TASKS_H

#include "wp_process_data.h"
#include "wp_process_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WP_NO_TASK UINT32_MAX
/// Payloads up to this size need no memory of their own while they wait.
#define WP_TASK_INLINE 32u

typedef enum wp_task_state { WP_TASK_FREE = 0, WP_TASK_PENDING, WP_TASK_SENT, WP_TASK_ENDED } wp_task_state;

/// How a task without a reply ended.
typedef struct wp_task_loss {
  const char *reason;
  /// What else is known of its worker's death (wp_host_death.h), NULL for nothing; owned.
  struct wp_death *death;
  uint64_t run_ns;
  wp_task_end end;
  wp_stop_reason stop;
  int32_t process;
  int32_t wait_status;
  uint32_t forbidden_call;
} wp_task_loss;

typedef struct wp_task {
  void *token;
  size_t length;
  union {
    unsigned char bytes[WP_TASK_INLINE];  // PENDING, length <= WP_TASK_INLINE
    void *memory;                         // PENDING, otherwise, unless `buffer` says where; owned, from malloc
    wp_task_loss loss;                    // ENDED
  } body;
  /// What was asked for it, NULL for nothing; owned.
  wp_task_options *options;
  uint32_t function;
  /// Half of the ticket; tells a task from an earlier one in the same node.
  uint32_t serial;
  uint32_t next;
  uint32_t previous;
  /// SENT: where it is. PENDING: whose `buffer` holds its argument.
  uint32_t worker;
  uint32_t position;
  wp_task_state state;
  /// How many workers have died while they ran it.
  uint32_t workers_lost;
  /// Whether the timers look at it: it has a timeout, or is to be ended.
  bool watched;
  /// PENDING: 255, or the argument buffer in which a worker that died, or got full, has left the argument.
  uint8_t buffer;
  /// Memories that it carries; owned array of `shared_count`.
  uint8_t shared_count;
  /// How many workers were replaced that did not begin it in time.
  uint8_t unbegun;
  wp_shared_memory **shared;
} wp_task;

typedef struct wp_task_queue {
  uint32_t first;
  uint32_t last;
  size_t count;
} wp_task_queue;

typedef struct wp_task_table {
  wp_task *nodes;
  uint32_t capacity;
  uint32_t used;
  uint32_t free;
  uint32_t serial;
  /// How many tasks are watched.
  uint32_t watched;
  wp_task_queue pending;
  wp_task_queue ended;
  /// What the collector copies without the lock. A thread that would free it sets this to NULL instead.
  const void *pinned;
} wp_task_table;

void wp_task_table_init(wp_task_table *table);
void wp_task_table_destroy(wp_task_table *table);
/// Gives the memory of a large table back. Only while it holds no task; old tickets stay invalid.
void wp_task_table_trim(wp_task_table *table);

/// A new task in no queue, or WP_NO_TASK without memory.
uint32_t wp_task_add(wp_task_table *table, uint32_t function, void *token);
/// Copies what is asked for the task. False without memory.
bool wp_task_set_options(wp_task_table *table, uint32_t index, const wp_task_options *options);
/// Has the timers look at the task until it has ended.
void wp_task_watch(wp_task_table *table, uint32_t index);
/// Forgets the task and what it owns.
void wp_task_remove(wp_task_table *table, uint32_t index);
/// Copies a payload into the task. False without memory.
bool wp_task_set_bytes(wp_task *task, const void *bytes, size_t length);
/// Gives the task a payload from malloc, longer than WP_TASK_INLINE.
void wp_task_adopt_bytes(wp_task *task, void *bytes, size_t length);
const void *wp_task_bytes(const wp_task *task);
/// The memory of a payload from malloc, which is the caller's from now on; NULL for a task that has none.
void *wp_task_take_memory(wp_task *task);
void wp_task_drop_bytes(wp_task_table *table, wp_task *task);
/// Copies the list of memories that the task carries. False without memory.
bool wp_task_set_shared(wp_task *task, wp_shared_memory *const *shared, size_t count);

uint64_t wp_task_ticket(const wp_task_table *table, uint32_t index);
/// The task a ticket names, WP_NO_TASK when it has gone.
uint32_t wp_task_find(const wp_task_table *table, uint64_t ticket);

void wp_task_append(wp_task_table *table, wp_task_queue *queue, uint32_t index);
void wp_task_prepend(wp_task_table *table, wp_task_queue *queue, uint32_t index);
void wp_task_unlink(wp_task_table *table, wp_task_queue *queue, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
