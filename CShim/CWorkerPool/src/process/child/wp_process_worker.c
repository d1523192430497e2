#include "wp_process_worker.h"

#include "../../base/wp_at_fork.h"
#include "../../platform/wp_clock.h"
#include "../../platform/wp_close.h"
#include "../../platform/wp_event.h"
#include "../../platform/wp_futex.h"
#include "../../platform/wp_name.h"
#include "../../platform/wp_process.h"
#include "../../platform/wp_shared_memory.h"
#include "wp_process_limits.h"
#include "wp_process_reply.h"
#include "wp_process_streams.h"
#include "../shared/wp_process_message.h"
#include "wp_process_views.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

typedef struct wp_process_worker {
  wp_channel channel;
  wp_geometry geometry;
  wp_pool_head *pool;
  wp_channel_signal *signal;
  wp_channel_status *status;
  wp_process_handler handler;
  void *context;
  uint64_t spin_ns;
  int doorbell;
  wp_worker_limits limits;
  /// The initializer's argument.
  void *initializer;
  int share;
  int leader_bell;
  /// What it joins its cgroup by, until then; -1 for nothing.
  int door;
  /// The numbers of descriptors that the host's objects name.
  const wp_descriptors *held;
  /// Position of the next task.
  uint32_t next;
  /// The sleep of the host's for which it rang last.
  uint32_t rung;
} wp_process_worker;

/// What the public worker functions see; set once, before the first task.
static wp_pool_head *current_pool;
static int32_t current_index = -1;
static wp_channel_head *current_channel;

/// The running task, for whichever thread of it asks.
static wp_atomic_u32 current_task;
static wp_atomic_u64 current_deadline;

/// How often this process, or one that it was forked from, has become a worker.
static uint32_t worker_starts;

int32_t wp_process_worker_index(void) { return current_index; }
uint32_t wp_process_worker_starts(void) { return worker_starts; }

uint32_t wp_process_current_task(void) { return wp_atomic_load(&current_task, wp_relaxed); }

bool wp_process_stop_requested(uint32_t task) {
  return task != 0 && current_channel != NULL && wp_atomic_load(&current_channel->stop, wp_relaxed) == task;
}

uint64_t wp_process_task_deadline(void) { return wp_atomic_load(&current_deadline, wp_relaxed); }

const char *wp_process_worker_name(uint32_t index, size_t *length) {
  if (current_pool == NULL) return NULL;
  if (index >= wp_atomic_load(&current_pool->name_count, wp_acquire)) return NULL;  // edge "name"
  wp_name_entry entry = wp_pool_names(current_pool)[index];
  *length = entry.length;
  return wp_pool_name_bytes(current_pool) + entry.offset;
}

// MARK: The loop

/// Whether a signal word says no more than the worker knows.
static bool is_idle(const wp_process_worker *worker, uint32_t word) {
  return (word & ~WP_SIGNAL_CELLS) == wp_signal_of(worker->next, 0, false);
}

/// The signal word once it says more than the worker has taken, or to leave. Spins, then sleeps.
static uint32_t await_signal(wp_process_worker *worker) {
  wp_atomic_u32 *word = &worker->signal->word;
  uint32_t seen = wp_atomic_load(word, wp_acquire);
  if (!is_idle(worker, seen)) return seen;
  if (worker->spin_ns != 0) {
    uint64_t end = wp_clock_now() + worker->spin_ns;
    do {
      for (int i = 0; i < 32; i++) {
        wp_cpu_relax();
        seen = wp_atomic_load(word, wp_acquire);
        if (!is_idle(worker, seen)) return seen;
      }
      // With two workers, the collector and its caller on two CPUs, the thread that others wait for may stand behind us.
      sched_yield();
    } while (wp_clock_now() < end);
  }
  // Prepare, recheck, commit. Dekker with the host's store to `word` and its load of `sleeping`, all seq_cst: either
  // we see the new word or the host sees us asleep. It then turns `sleeping` to 0, which makes the futex return at once.
  for (;;) {
    wp_atomic_store(&worker->status->sleeping, 1u, wp_seq_cst);
    seen = wp_atomic_load(word, wp_seq_cst);
    if (!is_idle(worker, seen)) break;
    wp_views_follow(&worker->channel, &worker->geometry);
    wp_futex_wait(&worker->status->sleeping, 1, UINT64_MAX, WP_FUTEX_SHARED);
  }
  wp_atomic_store(&worker->status->sleeping, 0u, wp_relaxed);
  return seen;
}

/// Wakes the thread that collects, if it sleeps, after a store that tells it something. Dekker with its store to
/// `host_sleeping` and its scan. A bell that we rang for the same sleep still rings, or that thread is about to look.
static void wake_host(wp_process_worker *worker) {
  uint32_t sleeper = wp_atomic_load(&worker->pool->host_sleeping, wp_seq_cst);
  if (sleeper == WP_NOBODY_SLEEPS || sleeper == worker->rung) return;
  worker->rung = sleeper;
  int bell = (sleeper & WP_SLEEPER) == WP_LEADER_SLEEPS ? worker->leader_bell : worker->doorbell;
  // The handler may have closed our descriptor; a worker that cannot be heard must go.
  if (!wp_event_ring(bell)) _exit(WP_EXIT_BAD_CHANNEL);
}

static void hand_back(wp_process_worker *worker, wp_reply_slot *slot, uint32_t state) {
  wp_atomic_store(&slot->state, wp_slot_word(worker->next, state), wp_seq_cst);  // edge "reply"
  wake_host(worker);
}

/// When the task has to be over that has just begun.
static uint64_t deadline_of(wp_process_worker *worker, const wp_request_slot *sent, const wp_reply_slot *slot) {
  if (!sent->has_options) return UINT64_MAX;
  uint64_t timeout = wp_channel_options(&worker->channel, &worker->geometry, worker->next)->timeout_ns;
  return timeout == 0 ? UINT64_MAX : wp_clock_after(wp_atomic_load(&slot->started_ns, wp_relaxed), timeout);
}

static void run_task(wp_process_worker *worker, wp_reply_slot *slot) {
  const wp_request_slot *sent = wp_channel_request(&worker->channel, &worker->geometry, worker->next);
  wp_process_request request;
  request.function = sent->function;
  request.length = (size_t)sent->length;
  request.bytes = sent->bytes;
  if (request.length > WP_REQUEST_INLINE) {
    request.bytes = wp_channel_arguments(&worker->channel, &worker->geometry, sent->argument_buffer);
  }
  wp_process_reply reply;
  reply.slot = slot;
  reply.buffer = (unsigned char *)wp_channel_results(&worker->channel, &worker->geometry, sent->result_buffer);
  reply.limit = worker->geometry.max_payload;
  reply.length = 0;
  reply.touched = 0;
  reply.offset = 0;
  reply.room = false;
  reply.code = 0;
  const wp_task_options *options =
      sent->has_options ? wp_channel_options(&worker->channel, &worker->geometry, worker->next) : NULL;
  wp_limits_begin(&worker->limits, options == NULL ? 0 : options->cpu_ns, options == NULL ? 0 : options->memory);
  reply.task = ((uint64_t)worker_starts << 33) + worker->next + 1;  // no task of an outer worker has the same
  wp_atomic_init(&reply.blocks, 0u);
  wp_reply_set_current(&reply);
  wp_atomic_store(&current_deadline, deadline_of(worker, sent, slot), wp_relaxed);
  wp_atomic_store(&current_task, wp_task_mark(worker->next), wp_relaxed);
  worker->handler(worker->context, &request, &reply);
  wp_atomic_store(&current_task, 0u, wp_relaxed);
  wp_reply_set_current(NULL);
  wp_limits_end(&worker->limits);
  wp_streams_flush();
  wp_reply_end_blocks(&reply);
  wp_atomic_store(&slot->code, reply.code, wp_relaxed);
  wp_atomic_store(&slot->offset, (uint64_t)reply.offset, wp_relaxed);
  wp_atomic_store(&slot->length, (uint64_t)reply.length, wp_relaxed);
  wp_atomic_store(&slot->touched, (uint64_t)reply.touched, wp_relaxed);
  wp_atomic_store(&slot->ended_ns, wp_clock_now(), wp_relaxed);
  hand_back(worker, slot, WP_SLOT_DONE);
}

/// Takes the slot at `worker->next`: runs it, or steps over a task that the host took back.
static void take_next(wp_process_worker *worker) {
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &worker->geometry, worker->next);
  // The slot was published before the signal word, so its request is there whatever became of it since.
  const wp_request_slot *sent = wp_channel_request(&worker->channel, &worker->geometry, worker->next);
  if (!wp_views_receive(worker->share, &worker->geometry, sent, worker->next)) {
    wp_atomic_fetch_add(&worker->status->missed, 1u, wp_relaxed);  // the reply releases it
  }
  wp_views_follow(&worker->channel, &worker->geometry);
  uint32_t found = wp_slot_word(worker->next, WP_SLOT_READY);
  wp_atomic_store(&slot->started_ns, wp_clock_now(), wp_relaxed);  // before the CAS, for a host that asks how long
  if (wp_atomic_cas_strong(&slot->state, &found, wp_slot_word(worker->next, WP_SLOT_STARTED), wp_acq_rel,
                           wp_acquire)) {  // edge "publish"
    run_task(worker, slot);
  } else if (found == wp_slot_word(worker->next, WP_SLOT_REVOKED)) {
    hand_back(worker, slot, WP_SLOT_SKIPPED);
  } else {
    _exit(WP_EXIT_BAD_CHANNEL);  // some task wrote over our slots
  }
  worker->next++;
}

static void end_streams(const wp_process_worker *worker) {
  wp_streams_end(worker->held, worker->pool->sandbox != WP_SANDBOX_NONE);
}

static WP_NORETURN void leave(const wp_process_worker *worker, int status) {
  end_streams(worker);
  _exit(status);
}

static WP_NORETURN void run_loop(wp_process_worker *worker) {
  for (;;) {
    if ((await_signal(worker) & WP_SIGNAL_EXIT) != 0) leave(worker, 0);
    take_next(worker);
    if (wp_limits_used_up(&worker->limits)) leave(worker, WP_EXIT_RECYCLED);
  }
}

// MARK: Set-up

/// In a child of any fork. One of a worker is none itself: the task that its parent runs is nothing to it, and the memory in which
/// that stands is not there. So it is for the workers of a pool that a worker has forked.
static void forget_worker(void) {
  wp_atomic_store(&current_task, 0u, wp_relaxed);
  wp_atomic_store(&current_deadline, (uint64_t)0, wp_relaxed);
  wp_reply_set_current(NULL);
  current_pool = NULL;
  current_channel = NULL;
  current_index = -1;
  wp_views_forget();
  wp_limits_forget();
}
WP_AT_FORK(forget_worker)

static WP_NORETURN void fail(wp_process_worker *worker, wp_call call) {
  wp_atomic_store(&worker->status->failed_errno, (uint32_t)errno, wp_relaxed);
  wp_atomic_store(&worker->status->failed_call, (uint32_t)call, wp_release);
  _exit(WP_EXIT_NOT_SET_UP);
}

/// Maps for reading, or gives up.
static void *map_given(wp_process_worker *worker, int file, uint64_t offset, size_t length) {
  void *memory = wp_memory_map(file, offset, length, false);
  if (memory == NULL) fail(worker, WP_CALL_MMAP);
  return memory;
}

static void map_channel(wp_process_worker *worker, const wp_template *parent, uint32_t index) {
  worker->geometry = parent->geometry;
  const wp_geometry *geometry = &worker->geometry;
  // Its own part first: it is where a failure of what follows can be reported.
  void *own = wp_memory_map(parent->own, 0, geometry->worker_part, true);
  if (own == NULL) _exit(WP_EXIT_NOT_SET_UP);
  worker->channel.worker_part = (unsigned char *)own;
  worker->signal = wp_channel_get_signal(&worker->channel);
  worker->status = wp_channel_get_status(&worker->channel);
  uint64_t offset = wp_host_part_offset(geometry, index);
  worker->channel.host_part = (unsigned char *)map_given(worker, parent->given, offset, geometry->host_part);
  offset = wp_arguments_offset(geometry, index);
  worker->channel.arguments = (unsigned char *)map_given(worker, parent->arguments, offset, geometry->arguments_part);
  worker->pool = (wp_pool_head *)map_given(worker, parent->given, 0, wp_pool_part_size());
  size_t argument = geometry->initializer_part;
  worker->initializer =
      argument == 0 ? NULL : map_given(worker, parent->given, geometry->initializer_offset, argument);
}

/// After the limits: what is too little for a worker to start with, they tell. Closes the door, through which tasks could
/// leave.
static void join_cgroup(wp_process_worker *worker, const wp_template *parent) {
  if (!worker->pool->has_cgroups) return;
  bool joined = worker->door >= 0 && write(worker->door, "0", 1) == 1;
  if (worker->door >= 0) close(worker->door);
  if (joined) return;
  if (worker->door < 0) errno = parent->door_errno;
  if (worker->pool->limits.memory_cgroup == WP_CGROUP_REQUIRED) fail(worker, WP_CALL_JOIN_CGROUP);
  wp_atomic_store(&worker->status->outside_cgroup, 1u, wp_relaxed);
}

/// The host may have changed its user since it started the template. After all that needs the rights of before.
static void become_host_user(wp_process_worker *worker, const wp_template *parent) {
  if (parent->credentials == NULL) return;
  if (!wp_credentials_take(parent->credentials)) fail(worker, WP_CALL_SETRESUID);
  if (!wp_die_with_parent(parent->process)) _exit(WP_EXIT_ORPHAN);  // the change has undone that
}

/// Runs the initializer, whose reply goes where that of the first task will.
static void initialize(wp_process_worker *worker) {
  if (!worker->pool->initializes) return;
  wp_process_request request;
  request.function = worker->pool->initializer_function;
  request.length = (size_t)worker->pool->initializer_length;
  request.bytes = worker->initializer;
  wp_reply_slot *slot = wp_channel_reply(&worker->channel, &worker->geometry, 0);
  wp_process_reply reply;
  memset(&reply, 0, sizeof reply);
  reply.slot = slot;
  reply.buffer = (unsigned char *)wp_channel_results(&worker->channel, &worker->geometry, 0);
  reply.limit = worker->geometry.max_payload < WP_REPLY_KEPT ? worker->geometry.max_payload : WP_REPLY_KEPT;
  wp_atomic_store(&worker->status->initializing, 1u, wp_release);
  worker->handler(worker->context, &request, &reply);
  wp_memory_unmap(worker->initializer, worker->geometry.initializer_part);
  if (reply.code != 0) {
    wp_atomic_store(&slot->code, reply.code, wp_relaxed);
    wp_atomic_store(&slot->length, (uint64_t)reply.length, wp_relaxed);
    end_streams(worker);
    errno = 0;
    fail(worker, WP_CALL_INITIALIZER);
  }
  wp_streams_flush();
  wp_atomic_store(&worker->status->initializing, 0u, wp_release);
}

/// Closes what is not its own, which it puts where tasks find it last.
static void settle_descriptors(wp_process_worker *worker, const wp_template *parent, int share) {
  worker->held = &parent->held;
  worker->doorbell = parent->doorbell;
  worker->leader_bell = parent->leader_bell;
  worker->share = wp_descriptor_move_up(worker->held, parent->own_base, share);
  worker->door = wp_descriptor_move_up(worker->held, parent->own_base, parent->door);
  int keep[4] = {worker->doorbell, worker->leader_bell, worker->share, worker->door};
  wp_descriptors_hold(worker->held, keep, 4);
}

WP_NORETURN void wp_process_worker_main(const wp_template *parent, uint32_t index, int share) {
  if (!wp_die_with_parent(parent->process)) _exit(WP_EXIT_ORPHAN);
  wp_process_group_begin(0);
  worker_starts++;
  wp_process_worker worker;
  worker.handler = parent->handler;
  worker.context = parent->context;
  worker.next = worker.rung = 0;
  map_channel(&worker, parent, index);
  worker.spin_ns = worker.pool->spin_ns;
  wp_call failed = wp_capture_attach(&parent->capture);
  if (failed != WP_CALL_NONE) fail(&worker, failed);
  settle_descriptors(&worker, parent, share);
  char suffix[WP_NAME_BYTES];
  char name[WP_NAME_BYTES];
  wp_name_number(suffix, index);
  wp_name_format(name, worker.pool->prefix, suffix);
  wp_name_self(name);
  wp_raise_oom_score();
  wp_channel_head *head = wp_channel_get_head(&worker.channel);
  // One that cannot be pinned floats, and the host gives notice of it.
  if (head->cpu >= 0 && wp_pin_to_cpu(head->cpu) != 0) {
    wp_atomic_store(&worker.status->pin_errno, (uint32_t)errno, wp_relaxed);
  }
  wp_signals_dispose_for_worker(&parent->signals);
  failed = wp_limits_apply(&worker.limits, &worker.pool->limits, parent, worker.status);
  if (failed != WP_CALL_NONE) fail(&worker, failed);
  join_cgroup(&worker, parent);
  become_host_user(&worker, parent);
  current_pool = worker.pool;
  current_index = (int32_t)index;
  current_channel = head;
  initialize(&worker);
  // The last step: what comes before it may ask for what tasks may not.
  wp_sandbox_descriptors descriptors = {worker.doorbell, worker.leader_bell, worker.limits.memory_use, worker.share};
  failed = wp_sandbox_enter(&parent->sandbox, &descriptors, worker.status);
  if (failed != WP_CALL_NONE) fail(&worker, failed);
  wp_atomic_store(&worker.status->ready, head->generation, wp_seq_cst);
  wake_host(&worker);
  run_loop(&worker);
}
