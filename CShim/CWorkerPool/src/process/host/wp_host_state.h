// The host's state of a process pool: every struct that its files share, with who writes each member.
//
//     submit, cancel, discard ──lock──▶ tasks, queue ──▶ slots ──▶ worker
//                                          ▲                         │
//     collector: collect ◀── slots ◀── bell, if it sleeps ◀──────────┘
//                workers ◀── control socket ◀── template ◀── SIGCHLD
//
// One mutex covers tasks, queue and slots. It is never held across a callback, a wait or a process start. One thread at a
// time has the *collector role*, the collector's own or a leader's (wp_host_role.h): only it completes tasks. What it writes
// with the lock it may read without, and others read it with the lock.
//
// What must hold, whatever workers do, stands in process/README.md.
#ifndef WP_HOST_STATE_H
#define WP_HOST_STATE_H

#include "../../platform/wp_credentials.h"
#include "../../platform/wp_event.h"
#include "../../platform/wp_origin.h"
#include "../shared/wp_process_layout.h"
#include "wp_fork.h"
#include "wp_host_tasks.h"

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
/// A worker that is stopped, or cannot write out what it has printed, does not hear the order to leave.
#define WP_LEAVE_TIMEOUT_NS ((uint64_t)5 * 1000000000u)
#define WP_HELLO_TIMEOUT_NS ((uint64_t)60 * 1000000000u)

typedef struct wp_death wp_death;
typedef struct wp_memory_cgroups wp_memory_cgroups;

/// Which payload buffers of a channel are in use (wp_host_buffers.h).
typedef struct wp_buffers {
  /// By bit: in use.
  uint64_t busy;
  /// By bit: used since its pages were last given back.
  uint64_t warm;
  uint32_t count;
  uint32_t lent;
} wp_buffers;

/// Attempts to start something (wp_host_supervise.h).
typedef struct wp_attempts {
  uint32_t failures;  // in a row, since the last that was of use
  uint64_t next_at;   // no earlier attempt, 0 for at once
} wp_attempts;

/// Why a start failed.
typedef struct wp_start_failure {
  const char *reason;  // static; NULL for what the host sees for itself
  uint32_t call;       // a `wp_call`
  int number;          // `errno`
} wp_start_failure;

/// What the host sent to a slot. REVOKED: taken back, and the worker has yet to step over it.
typedef enum wp_sent_state { WP_SENT_TASK, WP_SENT_REVOKED } wp_sent_state;

typedef struct wp_sent {
  uint32_t task;
  wp_sent_state state;
  /// Why the task was asked to stop.
  wp_stop_reason stop;
  /// How the task ends if SIGKILL ends its worker: WP_TASK_WORKER_DIED, unless the host kills it.
  wp_task_end fate;
  // Of a watched task, for the timers; nanoseconds on CLOCK_MONOTONIC, 0 when not known yet.
  uint64_t sent_ns;
  uint64_t started_ns;
  uint64_t due_ns;
  uint8_t argument_buffer;
  uint8_t result_buffer;
} wp_sent;

///              SPAWN            ready word           EXITED, template lost
///     ABSENT ─────────▶ SPAWNING ─────────▶ LIVE ─────────────────────────▶ ENDED ─▶ ABSENT (cleared away)
///                           └───────────────────────────────────────────────▲
///
/// One that is not wanted any more (wp_host_size.h) gets no tasks and is told to leave; it stays ABSENT until it is
/// wanted again.
typedef enum wp_worker_state {
  WP_WORKER_ABSENT = 0,
  WP_WORKER_SPAWNING,
  WP_WORKER_LIVE,
  WP_WORKER_ENDED,
} wp_worker_state;

/// A worker as the host knows it; survives the processes that fill it. "Role": written with the role and the lock, as below.
typedef struct wp_host_worker {
  wp_channel channel;        // constant once mapped, until the pool ends
  int file;                  // lock; what it writes, -1 when there is none
  wp_worker_state state;     // role
  uint32_t generation;       // role
  pid_t process;             // role
  int pidfd;                 // role; -1 when there is none
  int share;                 // lock; socket for shared memories, -1 when there is none
  bool spawn_due;            // role; its template has yet to be asked for it
  bool kill_due;             // role; its template has yet to be asked to kill it
  int wait_status;           // role
  uint64_t peak_memory;      // role; bytes, 0 when nobody could tell
  const char *loss;          // role; why it ended, when no wait status tells
  uint32_t forbidden_call;   // role; as in wp_task_outcome
  bool condemned;            // role; killed for what it wrote
  bool leaving;              // role; told to leave, because it is not wanted
  uint64_t leave_by;         // role; when it is killed that has not
  bool out_of_memory;        // role; the kernel killed in its cgroup
  wp_attempts starts;        // role
  wp_start_failure failure;  // role; why it could not start, if that is known
  uint64_t ready_at;         // role; when it became live, 0 for not yet
  uint64_t ready_by;         // role; when it is killed that is not ready, nor in its initializer; 0 while it has no process
  uint64_t report_by;        // role; when the template has to have told of its start or its end, 0 for nothing
  int cpu;                   // lock; to pin the next to, -1 to float
  int node;                  // lock; whose memory that one prefers, a system id, -1 for none
  int memory_node;           // collector's thread; the node that its channel was told to prefer
  uint32_t published;        // lock; next position to send
  uint32_t collected;        // role; next position to take a result from; those below may be sent again
  wp_buffers arguments;        // lock
  wp_buffers results;          // lock
  /// Whoever has the buffer; by argument buffer, how many bytes from its start surely have pages.
  size_t populated[WP_ARGUMENT_BUFFERS];
  uint32_t waiting[WP_ARGUMENT_BUFFERS];  // lock; by argument buffer, the PENDING task whose argument waits there
  uint32_t *cell_uses;       // lock; by cell, the last position that uses it
  uint32_t cell_calls;       // lock; times it was asked to look at its cells while it slept
  uint32_t missed;           // lock; times that it has missed a memory, as far as is known
  uint64_t doubtful[WP_PROCESS_MAX_PREFETCH];  // lock; a bit for each cell whose memory it may have missed
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
typedef struct wp_pending_notices {
  bool floats;     // a worker that was to be pinned
  bool elsewhere;  // memory that was to be on a node
  bool not_started;  // a worker, or a template
  bool reexecuted;   // a template that was forked
  uint32_t worker;
  int cpu;
  int cpu_errno;  // 0 when the CPU left our mask
  int node;
  int node_errno;
  uint32_t unstarted;  // WP_NO_WORKER for the template
  const char *unstarted_why;
  const char *unstarted_call;  // NULL for none
  int unstarted_errno;
  bool unstarted_for_good;
} wp_pending_notices;

typedef struct wp_worker_list {
  uint32_t first;
  uint32_t last;
} wp_worker_list;

/// One ended task between its removal and its callback.
typedef struct wp_completion {
  wp_process_pool *pool;
  void *token;
  wp_task_outcome outcome;
  /// WP_NO_WORKER, or the worker whose buffers stay busy until the callback has returned.
  uint32_t worker;
  uint8_t argument_buffer;
  uint8_t result_buffer;  // WP_NO_BUFFER also once it is lent
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

typedef enum wp_role { WP_ROLE_FREE = 0, WP_ROLE_HELD, WP_ROLE_CLAIMED } wp_role;

// MARK: The pool, by the owners of its members
//
// "Lock" is the pool's, "role" the collector role (wp_host_role.h). "Role, lock": written with both, so that a thread with
// either may read. What only the collector's thread may do says so.

/// What was asked for. Constant.
typedef struct wp_pool_settings {
  wp_template_loss on_template_loss;
  uint64_t outage_limit_ns;
  uint64_t spin_ns;
  bool ahead_follows_tasks;
  wp_sandbox_level sandbox;
  wp_memory_limit memory_limit;
  wp_process_handler handler;
  void *handler_context;
  wp_process_pool_hooks hooks;
  uint32_t fork_generation;
  wp_affinity_choice affinity;  // owns its list of CPUs
  uint64_t *allowed;            // the affinity mask of the thread that made the pool; NULL when workers float
  sigset_t signal_mask;         // of the same thread; the pool's threads have it
  wp_origin *origin;            // what re-executed templates start from; NULL without them
} wp_pool_settings;

/// What sends tasks (wp_host_queue.h). Lock.
typedef struct wp_pool_queue {
  wp_worker_list buckets[WP_PROCESS_MAX_PREFETCH + 1];  // live workers by how many slots they occupy
  size_t unfinished;     // tasks whose callback has not returned, and arguments that are being copied
  uint32_t ahead;        // how many tasks a worker may hold now
  uint64_t mean_run_ns;  // of late
  bool stopping;         // no task begins again
  size_t discarded;      // tasks that ended so
  size_t terminated;     // tasks that ended so
} wp_pool_queue;

/// How the pool is held (wp_host_handle.h). Lock.
typedef struct wp_pool_users {
  uint32_t references;
  size_t loans;
  bool closed;
  bool finished;  // the collector has let go: no process, descriptor or mapping is left
  pid_t collector_thread;
} wp_pool_users;

/// Role, lock.
typedef struct wp_pool_life {
  wp_pool_phase phase;
  wp_error start_error;
  const char *broken_reason;
  wp_process_breakage breakage;  // constant once the pool is broken; owns its bytes
  bool told;                     // that it is broken, to the hook
  uint64_t leave_by;             // workers that were told to leave and have not by then are killed
} wp_pool_life;

/// How long the pool has had no worker since one was of use (wp_host_supervise.h). Role, lock.
typedef struct wp_pool_outage {
  uint64_t since;     // on the clock, 0 while some worker is live, or no start has failed
  uint64_t before;    // the length of those that have ended, in nanoseconds
  bool final;         // what failed will fail again
  const char *reason;  // what failed last
  uint32_t random;    // for the jitter
} wp_pool_outage;

/// How many workers (wp_host_size.h).
typedef struct wp_pool_size {
  wp_atomic_u32 wanted;  // how many there shall be; lock, read by any. It orders nothing
  uint32_t mapped;       // how many channels are mapped, those of the first workers. Never fewer. Lock
  uint32_t bound;        // at this index and above all workers are absent; what loops go up to. Role, lock
} wp_pool_size;

/// The files of a pool (wp_process_layout.h), but for those of its workers; -1 for none.
typedef struct wp_pool_files {
  int given;
  int arguments;
  int arguments_for_reading;
  int output;
} wp_pool_files;

/// What is mapped (wp_host_room.h). Role, lock.
typedef struct wp_pool_memory {
  wp_pool_files files;
  wp_pool_head *head;  // the given file, which begins with the pool part; NULL once unmapped
  void *output;        // NULL when nothing is captured
  wp_pool_head *lent;  // `head`, when the processes are gone and loans are left: nothing is unmapped then. Lock
  uint32_t *cell_uses;         // of all workers
  wp_memory_cgroups *cgroups;  // NULL when there are none
  bool stays;                  // it cannot be placed here
} wp_pool_memory;

/// When pages are given back (wp_host_tidy.h).
typedef struct wp_pool_idle {
  bool warm;       // some buffer was used since the last tidying. Lock
  uint64_t since;  // on the clock, 0 while it is not idle or has nothing to tidy. Role, lock
} wp_pool_idle;

/// What wakes the collector's thread, and for what (wp_host_bell.h).
typedef struct wp_pool_bells {
  wp_event collector;     // wakes the collector's thread. Role, lock
  wp_event leader;        // wakes a thread that collects while it waits for a task. Role, lock
  wp_atomic_u32 attention;  // any sets, the collector's thread clears; the bell is for that thread
  wp_atomic_u32 call_due;   // any sets, the collector's thread clears
  wp_atomic_u32 asleep;     // the collector's thread: it sleeps, or is about to read `look_ns` for that
  wp_atomic_u64 look_ns;    // nobody has to look at the timers earlier. Lock; that thread reads it without, before it sleeps
} wp_pool_bells;

/// Which thread collects (wp_host_role.h).
typedef struct wp_pool_role {
  wp_atomic_u32 holder;        // a `wp_role`
  uint32_t sleeps;             // so far, of all holders. Role
  wp_atomic_u32 leader_waits;  // any; a collector that spins shall let go
} wp_pool_role;

/// The template, as its host sees it (wp_host_workers.h). Role.
typedef struct wp_pool_forker {
  int socket;
  int pidfd;
  int ends;       // readable when a worker has ended (wp_host_witness.h)
  wp_credentials credentials;  // the host's when it was started
  pid_t process;  // 0 when there is none. Role, lock
  bool ready;
  uint64_t deadline;  // by when it has to be ready
  wp_atomic_u32 method;  // a `wp_start_method`; written with the role, read by any. It orders nothing
  wp_attempts starts;
  wp_start_failure failure;  // what it said, or did not
  bool proved;  // some worker of it was of use
  bool silent;  // it owes a report for too long
  bool orders;  // some worker's `spawn_due` or `kill_due` is set
} wp_pool_forker;

/// What is being completed (wp_host_collect.h). Role.
typedef struct wp_pool_batch {
  wp_completion *records;  // WP_BATCH of them
  uint32_t count;
  bool busy;  // some task is pending or with a worker
} wp_pool_batch;

/// Where the pool stands in the list of all, whose lock protects this (wp_host_share.c).
typedef struct wp_pool_list {
  wp_process_pool *next;
  wp_process_pool *previous;
} wp_pool_list;

struct wp_process_pool {
  wp_geometry geometry;  // constant
  wp_pool_settings settings;
  wp_host_worker *workers;  // as many as there is room for; those that are not mapped are zeros. Constant

  pthread_mutex_t lock;
  pthread_cond_t changed;
  wp_task_table tasks;  // lock
  wp_pool_queue queue;
  wp_pool_users users;
  wp_pending_notices notices;  // lock
  wp_pool_size size;
  wp_pool_idle idle;
  wp_pool_life life;
  wp_pool_outage outage;
  wp_pool_memory memory;
  wp_pool_role role;
  wp_pool_bells bells;
  wp_pool_forker forker;
  wp_pool_batch batch;
  wp_pool_list list;
};

/// Whether the host knows that the task has begun, whatever its worker says now.
static inline bool wp_sent_begun(const wp_sent *sent) {
  return sent->started_ns != 0 || sent->fate != WP_TASK_WORKER_DIED;
}

static inline wp_sent *wp_sent_at(const wp_process_pool *pool, wp_host_worker *worker, uint32_t position) {
  return &worker->sent[position & (pool->geometry.slots - 1)];
}

/// Whether the worker is one that shall be there.
static inline bool wp_is_wanted(const wp_process_pool *pool, uint32_t worker) {
  return worker < wp_atomic_load(&pool->size.wanted, wp_relaxed);
}

static inline wp_start_method wp_pool_method(const wp_process_pool *pool) {
  return (wp_start_method)wp_atomic_load(&pool->forker.method, wp_relaxed);
}

/// Whether the caller is in a child of a fork, where neither the collector nor, perhaps, a free lock exists.
static inline bool wp_forked_from(const wp_process_pool *pool) {
  return pool->settings.fork_generation != wp_fork_generation();
}

#ifdef __cplusplus
}
#endif

#endif
