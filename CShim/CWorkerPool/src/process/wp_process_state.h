// The host's state of a process pool, and what its parts do for each other.
//
//     submit, cancel, discard ──lock──▶ tasks, dispatch ──▶ slots ──▶ worker
//                                          ▲                            │
//     collector: collect ◀── slots ◀── doorbell if it sleeps ◀──────────┘
//                lifecycle ◀── control socket ◀── template ◀── SIGCHLD
//
// One mutex covers tasks and dispatch. It is never held across a callback, a wait or a process start. One thread at a
// time has the *collector role*, its own thread or one that waits (wp_process_drive.c): only it completes tasks and
// writes the fields marked "collector", which it may therefore read without the lock; others read them under it.
//
// What must hold, whatever workers do:
//   1. A task is completed once. It leaves `tasks` in the same critical section in which its end becomes certain, and
//      what a worker writes can only end the task that the host itself recorded for that slot.
//   2. A slot is sent again only after `collected` has passed it; a payload area only after the callback that reads it
//      has returned and, when it was lent, the loan was given back.
//   3. A channel is used again only after its worker is known dead and the collector has drained and buried it.
//   4. `live` counts tasks whose callback has not returned; a closed pool ends when it is zero.
#ifndef WP_PROCESS_STATE_H
#define WP_PROCESS_STATE_H

#include "../platform/wp_event.h"
#include "wp_process_areas.h"
#include "wp_process_cgroup.h"
#include "shared/wp_process_layout.h"
#include "shared/wp_process_message.h"
#include "wp_process_tasks.h"

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WP_NO_WORKER UINT32_MAX
#define WP_BATCH 32
/// Arguments over this size are copied without the lock.
#define WP_COPY_UNLOCKED ((size_t)32 << 10)
/// Tasks that a worker holds, the running one included, when nobody has said how many: enough to last for the time that
/// it may take until the collector sends more, and at least the next one.
#define WP_LEAST_AHEAD 2u
#define WP_AHEAD_NS 20000u
#define WP_START_ATTEMPTS 3
/// A worker that is stopped, or cannot write out what it has printed, does not hear the order to leave.
#define WP_LEAVE_TIMEOUT_NS ((uint64_t)5 * 1000000000u)
#define WP_HELLO_TIMEOUT_NS ((uint64_t)60 * 1000000000u)

typedef struct wp_death wp_death;

/// What the host sent to a slot. REVOKED: taken back, and the worker has yet to step over it.
typedef enum wp_sent_state { WP_SENT_TASK, WP_SENT_REVOKED } wp_sent_state;

typedef struct wp_sent {
  uint32_t task;
  wp_sent_state state;
  /// Why the task was asked to stop.
  wp_stop_reason stop;
  /// How the task ends if SIGKILL ends its worker: WP_TASK_WORKER_DIED, unless we are the ones who kill.
  wp_task_end fate;
  // Of a watched task, for the timers; nanoseconds on CLOCK_MONOTONIC, 0 when not known yet.
  uint64_t sent_ns;
  uint64_t started_ns;
  uint64_t due_ns;
  uint8_t argument_area;
  uint8_t result_area;
} wp_sent;

///              SPAWN            ready word           EXITED, template lost
///     ABSENT ─────────▶ SPAWNING ─────────▶ LIVE ─────────────────────────▶ ENDED ─▶ ABSENT (buried)
///                           └───────────────────────────────────────────────▲
///
/// One that is not wanted any more (wp_process_size.c) gets no tasks and is told to leave; it stays ABSENT until it is
/// wanted again.
typedef enum wp_worker_state {
  WP_WORKER_ABSENT = 0,
  WP_WORKER_SPAWNING,
  WP_WORKER_LIVE,
  WP_WORKER_ENDED,
} wp_worker_state;

/// A worker as the host knows it; survives the processes that fill it.
typedef struct wp_host_worker {
  wp_channel channel;        // constant once mapped, until the pool ends
  wp_worker_state state;     // collector
  uint32_t generation;       // collector
  pid_t process;             // collector
  int pidfd;                 // collector; -1 when there is none
  int share;                 // lock; socket for shared memories, -1 when there is none
  int wait_status;           // collector
  uint64_t peak_memory;      // collector; bytes, 0 when nobody could tell
  const char *loss;          // collector; why it ended, when no wait status tells
  uint32_t forbidden_call;   // collector; as in wp_task_outcome
  bool condemned;            // collector; killed for what it wrote
  bool leaving;              // collector; told to leave, because it is not wanted
  uint64_t leave_by;         // collector; when it is killed that has not
  bool added;                // lock; wanted since the pool was made, and no process of it was ready since
  bool out_of_memory;        // collector; the kernel killed in its cgroup
  uint32_t start_failures;   // collector; in a row
  uint64_t retry_at;         // collector; no earlier start
  int cpu;                   // lock; to pin the next to, -1 to float
  int node;                  // lock; whose memory that one prefers, a system id, -1 for none
  int memory_node;           // collector's thread; the node that its channel was told to prefer
  uint32_t published;        // lock; next position to send
  uint32_t collected;        // collector; next position to take a result from; those below may be sent again
  wp_areas arguments;        // lock
  wp_areas results;          // lock
  uint32_t *cell_uses;       // lock; by cell, the last position that uses it
  uint32_t cell_calls;       // lock; times it was asked to look at its cells while it slept
  uint32_t bucket;           // lock; list it is in, or WP_NO_WORKER
  uint32_t bucket_next;      // lock
  uint32_t bucket_previous;  // lock
  wp_sent sent[WP_PROCESS_MAX_PREFETCH];  // lock; by position modulo slots
} wp_host_worker;

/// Where a worker goes: the CPU to pin it to and the node whose memory its channel prefers, -1 for none.
typedef struct wp_place {
  int cpu;
  int node;
} wp_place;

/// What the collector's thread has to give notice of, once it has not got the lock.
typedef struct wp_unsaid {
  bool floats;     // a worker that was to be pinned
  bool elsewhere;  // memory that was to be on a node
  uint32_t worker;
  int cpu;
  int cpu_errno;  // 0 when the CPU left our mask
  int node;
  int node_errno;
} wp_unsaid;

/// An argument: where its bytes are, and the area of the worker it is sent to, once it has one.
typedef struct wp_payload {
  const void *bytes;
  size_t length;
  uint8_t area;
  bool in_place;  // the bytes are in that area already
} wp_payload;

typedef struct wp_worker_list {
  uint32_t first;
  uint32_t last;
} wp_worker_list;

/// Workers to wake once the lock is released. The words may be unmapped by then, which the kernel tolerates.
typedef struct wp_wakes {
  wp_atomic_u32 *words[WP_BATCH];
  uint32_t count;
} wp_wakes;

/// One ended task between its removal and its callback.
typedef struct wp_completion {
  wp_process_pool *pool;
  void *token;
  wp_task_outcome outcome;
  /// WP_NO_WORKER, or the worker whose areas stay busy until the callback has returned.
  uint32_t worker;
  uint8_t argument_area;
  uint8_t result_area;  // WP_NO_AREA also once it is lent
  size_t touched_arguments;
  size_t touched_results;
  wp_death *death;  // owned; what the outcome's texts point into
  WP_ALIGNED(16) unsigned char bytes[WP_REPLY_INLINE];
} wp_completion;

///     STARTING ──▶ RUNNING ──▶ LEAVING (closed, no task left) ──▶ OVER
///         │           └──────▶ BROKEN ──── once closed ───────────▲
///         └──────────────────▶ FAILED (create fails) ─────────────┘
typedef enum wp_pool_phase {
  WP_POOL_STARTING = 0,
  WP_POOL_RUNNING,
  WP_POOL_LEAVING,
  WP_POOL_BROKEN,
  WP_POOL_FAILED,
  WP_POOL_OVER,
} wp_pool_phase;

typedef enum wp_role { WP_ROLE_FREE = 0, WP_ROLE_HELD, WP_ROLE_WANTED } wp_role;

struct wp_process_pool {
  // Constant after init.
  wp_geometry geometry;
  wp_start_method method;
  uint64_t spin_ns;
  bool ahead_follows_tasks;
  wp_sandbox_level sandbox;
  wp_memory_limit memory_limit;
  wp_process_handler handler;
  void *handler_context;
  wp_process_pool_hooks hooks;
  uint32_t fork_generation;
  wp_affinity_choice affinity;  // owns its list of CPUs
  uint64_t *allowed;  // the affinity mask of the thread that made the pool; NULL when workers float
  sigset_t signal_mask;  // of the same thread; the pool's threads have it

  pthread_mutex_t lock;
  pthread_cond_t changed;
  // Lock.
  wp_task_table tasks;
  wp_worker_list buckets[WP_PROCESS_MAX_PREFETCH + 1];  // live workers by how many slots they occupy
  size_t live;  // and arguments that are being copied
  size_t loans;
  uint32_t ahead;  // how many tasks a worker may hold now
  bool closed;
  bool finished;  // the collector has let go: no process, descriptor or mapping is left
  uint32_t references;
  wp_error start_error;
  const char *broken_reason;
  wp_process_breakage breakage;  // constant once the pool is broken; owns its bytes
  pid_t collector_thread;
  wp_unsaid unsaid;

  wp_atomic_u32 wanted;  // how many workers there shall be; lock, read by any. It orders nothing
  uint32_t mapped;       // lock; how many channels are mapped, those of the first workers. Never fewer

  // Collector writes under the lock.
  wp_pool_phase phase;
  uint32_t in_use;  // at this index and above all workers are absent
  wp_pool_head *head;  // the pool part; NULL once unmapped
  void *tail;          // what stands behind the channels; NULL when nothing does
  wp_pool_head *lent_memory;  // `head`, when the processes are gone and loans are left: nothing is unmapped then
  int memory;
  wp_event doorbell;     // wakes the collector's thread
  wp_event driver_bell;  // wakes a thread that collects while it waits for a task
  wp_memory_cgroups *cgroups;  // NULL when there are none
  wp_host_worker *workers;  // as many as there is room for; those that are not mapped are zeros
  uint32_t *cell_uses;  // of all workers
  pid_t template_process;  // 0 when there is none
  bool memory_stays;  // memory cannot be placed here

  /// Who collects: a `wp_role` (wp_process_drive.c). "Collector" above and below is whoever holds it; what only the
  /// collector's thread may do says so.
  wp_atomic_u32 role;
  uint32_t sleeps;             // role; of whoever had it
  wp_atomic_u32 driver_waits;  // any; a collector that spins shall let go
  wp_atomic_u32 attention;     // any sets, the collector's thread clears; the doorbell is for that thread
  wp_atomic_u32 collector_sleeps;  // the collector's thread; whether it has settled when to look again
  wp_atomic_u32 call_wanted;   // any sets, the collector's thread clears

  // Collector only.
  int control;
  int template_pidfd;
  bool template_ready;
  uint32_t template_failures;
  uint64_t template_deadline;
  wp_completion *batch;  // WP_BATCH of them
  uint32_t batch_count;
  bool busy;  // some task is pending or with a worker
  uint64_t mean_run_ns;  // of late

  // Written under the lock; the collector reads it without before it sleeps. Nobody has to look at the timers earlier.
  wp_atomic_u64 look_ns;
  bool stopping;      // lock; no task begins again
  size_t discarded;   // lock; tasks that ended so
  size_t terminated;  // lock; tasks that ended so
  uint64_t leave_by;  // collector; workers that were told to leave and have not by then are killed
  bool warm;            // some area was used since the last tidying; under the lock
  uint64_t idle_since;  // on the clock, 0 while it is not idle or has nothing to tidy

  // In a list of all pools, whose lock protects these (wp_process_shared.c).
  wp_process_pool *next_pool;
  wp_process_pool *previous_pool;
};

/// Whether the host knows that the task has begun, whatever its worker says now.
static inline bool wp_sent_begun(const wp_sent *sent) {
  return sent->started_ns != 0 || sent->fate != WP_TASK_WORKER_DIED;
}

static inline wp_sent *wp_sent_at(const wp_process_pool *pool, wp_host_worker *worker, uint32_t position) {
  return &worker->sent[position & (pool->geometry.slots - 1)];
}

// MARK: wp_process_dispatch.c, under the lock

/// Puts the worker where its load and state say it belongs.
void wp_dispatch_place(wp_process_pool *pool, uint32_t worker);
void wp_dispatch_forget(wp_process_pool *pool, uint32_t worker);
/// After a task that took `run_ns`: how far ahead tasks are sent from now on.
void wp_dispatch_adapt(wp_process_pool *pool, uint64_t run_ns);
/// The least loaded worker that may hold one more task, or WP_NO_WORKER.
uint32_t wp_dispatch_pick(const wp_process_pool *pool);
/// Puts a task into the worker's next slot and publishes it. The argument is in `payload->area` already, or is copied
/// into it now.
void wp_dispatch_send(wp_process_pool *pool, uint32_t worker, uint32_t task, const wp_payload *payload,
                      wp_wakes *wakes);
/// Makes the worker look: at tasks that were published, at its cells, or for the door.
void wp_dispatch_signal(wp_host_worker *worker, bool leave, wp_wakes *wakes);
/// Sends pending tasks as far as workers take them, then lets idle workers take over what others have not begun. With the
/// collector role: releases the lock while it copies large arguments.
void wp_dispatch_pending(wp_process_pool *pool, wp_wakes *wakes);
/// Takes a sent task back if its worker has not begun it. Its slot stays occupied until the worker steps over it.
bool wp_dispatch_revoke(wp_process_pool *pool, uint32_t task);
/// After the lock was released.
void wp_wake_all(wp_wakes *wakes);

// MARK: wp_process_payload.c, under the lock

/// Whether an argument is copied without the lock.
static inline bool wp_payload_is_large(size_t length) { return length > WP_COPY_UNLOCKED; }
/// Takes an area of the worker for an argument of this length, WP_NO_AREA for one that needs none. False when all are in
/// use, which passes.
bool wp_payload_reserve(wp_process_pool *pool, uint32_t worker, size_t length, uint8_t *area);
/// Where the argument of a PENDING task stands.
wp_payload wp_payload_of_pending(const wp_process_pool *pool, const wp_task *task);
/// Where the argument of a task in a slot stands.
wp_payload wp_payload_of_sent(const wp_process_pool *pool, uint32_t worker, uint32_t position);
/// A PENDING task lets go of its argument.
void wp_payload_drop(wp_process_pool *pool, uint32_t task);
/// Copies a large argument into the reserved area without the lock.
void wp_payload_copy(wp_process_pool *pool, uint32_t worker, const wp_payload *payload, uint8_t area, wp_wakes *wakes);
/// Whether the worker is still the one for which an area was filled, and has a free slot.
bool wp_payload_arrives(const wp_process_pool *pool, uint32_t worker, uint32_t generation);

// MARK: wp_process_collect.c, with the collector role

/// One round: completes what ended, sends what waits. False when there was nothing to do.
bool wp_process_collect(wp_process_pool *pool);
/// The part of a round that a driver may do: what waits or concerns processes is left out. False when it is time to leave the
/// rest to the collector's thread.
bool wp_process_collect_results(wp_process_pool *pool);
/// Settles the last batch.
void wp_process_settle(wp_process_pool *pool);
/// On the collector's thread: runs what drivers have left to it.
void wp_process_call_left(wp_process_pool *pool);
/// Whether a round would find a result, without the lock. Part of the collector's prepare-recheck-sleep.
bool wp_process_has_news(const wp_process_pool *pool);
/// Under the lock: ends a task that has no reply.
void wp_process_lose(wp_process_pool *pool, uint32_t task, const wp_task_loss *loss);

/// Under the lock: makes the task at a position that nobody has begun or will begin there the first of the pending.
void wp_process_put_back(wp_process_pool *pool, wp_host_worker *worker, uint32_t position);

// MARK: wp_process_timers.c, under the lock

/// Prepares a slot's record for the task that is about to be sent.
void wp_timers_sent(wp_process_pool *pool, wp_sent *sent);
/// With the collector role: asks and kills where it is due, and works out when to look again.
void wp_timers_check(wp_process_pool *pool);
/// Whether the task is being run, as far as its worker tells.
bool wp_task_runs(const wp_process_pool *pool, const wp_task *task);
/// Asks a task that runs to stop.
void wp_task_ask(wp_process_pool *pool, const wp_task *task, wp_stop_reason reason);
/// The worker has ended the task that it may have been running: whoever collects may not be the one who checks.
void wp_timers_moved_on(wp_process_pool *pool, uint32_t worker);
/// Under the lock: has the collector's thread make a round by then.
void wp_timers_look_by(wp_process_pool *pool, uint64_t time);
/// Without the lock: when to look next, UINT64_MAX for never. Part of the collector's prepare-recheck-sleep.
uint64_t wp_timers_deadline(const wp_process_pool *pool);

// MARK: wp_process_lifecycle.c, with the collector role

/// Starts a template. The error's strings are static.
wp_status wp_template_start(wp_process_pool *pool, wp_error *error);
/// Reads the template's reports.
void wp_template_listen(wp_process_pool *pool);
/// The template is gone: waits until its workers are too, then sees what can go on.
void wp_template_lost(wp_process_pool *pool);
/// Ends template and workers and waits for them.
void wp_processes_end(wp_process_pool *pool);
/// Under the lock: a worker's process is gone.
void wp_worker_ended(wp_process_pool *pool, uint32_t worker, int wait_status, const char *loss);
/// Under the lock: what became due: starts, the end of starting, the order to leave.
void wp_lifecycle_advance(wp_process_pool *pool, wp_wakes *wakes);
/// When `wp_lifecycle_advance` has to look again, UINT64_MAX for never.
uint64_t wp_lifecycle_deadline(const wp_process_pool *pool);
bool wp_workers_absent(const wp_process_pool *pool);

// MARK: wp_process_failure.c, with the collector role, under the lock

/// The pool cannot start, if it is starting. The strings are static.
void wp_start_fail(wp_process_pool *pool, wp_status status, int number, const char *call, const char *rule);
/// A worker that is wanted ended, or could not be forked, before it was ready: what failed (a `wp_call`), and `errno`.
void wp_worker_not_started(wp_process_pool *pool, uint32_t worker, uint32_t call, int number);
/// Nothing can run any more. Fails all that waits.
void wp_pool_break(wp_process_pool *pool, const char *reason);

// MARK: wp_process_size.c

/// Under the lock, or before anybody else knows the pool: maps the channels of the workers below `count`. On failure
/// `errno` is set, and what was mapped stays.
bool wp_size_make_room(wp_process_pool *pool, uint32_t count);
/// Where the next process of a worker goes that is not placed yet; `places` may be NULL.
void wp_size_set_place(wp_process_pool *pool, uint32_t worker, const wp_place *places);
/// Under the lock, on the collector's thread, while the pool runs: takes workers that are wanted into account, and ends those
/// that are not.
void wp_size_follow(wp_process_pool *pool, wp_wakes *wakes);
/// Under the lock: whether some worker could be told to leave now. A driver leaves that to the collector's thread.
bool wp_size_is_due(const wp_process_pool *pool);
/// With the role: when a worker has had its time to leave, UINT64_MAX for never.
uint64_t wp_size_deadline(const wp_process_pool *pool);
/// Whether the worker is one that shall be there.
static inline bool wp_is_wanted(const wp_process_pool *pool, uint32_t worker) {
  return worker < wp_atomic_load(&pool->wanted, wp_relaxed);
}
/// Unmaps the memory of a pool without processes whose pool part is at `head`; NULL does nothing.
void wp_pool_unmap(wp_process_pool *pool, wp_pool_head *head);

// MARK: wp_process_collector.c

/// The collector's thread.
void *wp_collector_main(void *pool);
/// Makes the collector's thread take the role and look. Under the lock, or with the role.
void wp_pool_poke(wp_process_pool *pool);
/// Frees memory and descriptors of a pool without processes.
void wp_pool_tear_down(wp_process_pool *pool);
/// The pool whose callbacks the calling thread may be in, or NULL.
extern __thread const wp_process_pool *wp_calling_back;

// MARK: wp_process_drive.c

/// For the collector's thread.
void wp_role_give_up(wp_process_pool *pool);
void wp_role_take_back(wp_process_pool *pool);
/// With the role, before a last look for news. The sleep ends with a store of WP_NOBODY_SLEEPS, or in another's.
void wp_role_announce_sleep(wp_process_pool *pool, wp_host_sleeper sleeper);
/// Wakes a driver that sleeps. The pool's memory must be there.
void wp_driver_wake(wp_process_pool *pool);

// MARK: wp_process_pool.c

/// Whether the caller is in a child of a fork, where neither the collector nor, perhaps, a free lock exists.
bool wp_forked_from(const wp_process_pool *pool);

// MARK: wp_process_create.c

/// Drops a reference; the last one destroys. Without the lock.
void wp_pool_drop(wp_process_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
