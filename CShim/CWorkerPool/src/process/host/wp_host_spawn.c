#include "wp_host_spawn.h"

#include "../../platform/wp_clock.h"
#include "../../platform/wp_signals.h"
#include "../../platform/wp_socket.h"
#include "../shared/wp_process_message.h"
#include "wp_host_affinity.h"
#include "wp_host_cgroup.h"
#include "wp_host_death.h"
#include "wp_host_kill.h"
#include "wp_host_share.h"
#include "wp_host_slots.h"
#include "wp_host_witness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/// Workers that the template is asked for before it has told of the first of them: one that it forks, and some that wait.
#define WP_MOST_ASKED 4u
/// When to ask again a template whose socket was full.
#define WP_FULL_PAUSE_NS ((uint64_t)10 * 1000000u)

// MARK: Deciding

/// Clears a channel whose last worker is dead.
static void reset_channel(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  int cpu = wp_places_prepare(pool, index);  // before the first touch, by which its pages come to be where they are
  wp_channel_head *head = wp_channel_get_head(&worker->channel);
  head->generation = worker->generation;
  head->cpu = cpu;
  wp_atomic_store(&head->stop, 0u, wp_relaxed);
  wp_channel_status *status = wp_channel_get_status(&worker->channel);
  wp_atomic_store(&status->sleeping, 0u, wp_relaxed);
  wp_atomic_store(&status->ready, 0u, wp_relaxed);
  wp_atomic_store(&status->failed_call, 0u, wp_relaxed);
  wp_atomic_store(&status->failed_errno, 0u, wp_relaxed);
  wp_atomic_store(&status->forbidden_call, 0u, wp_relaxed);
  wp_atomic_store(&status->initializing, 0u, wp_relaxed);
  wp_atomic_store(&status->fault_starved, 0u, wp_relaxed);
  wp_atomic_store(&status->fault_data, 0u, wp_relaxed);
  wp_atomic_store(&status->fault_near_zero, 0u, wp_relaxed);
  wp_atomic_store(&status->outside_cgroup, 0u, wp_relaxed);
  wp_atomic_store(&status->pin_errno, 0u, wp_relaxed);
  for (uint32_t i = 0; i < pool->geometry.slots; i++) {
    wp_atomic_store(&wp_channel_reply(&worker->channel, &pool->geometry, i)->state, 0u, wp_relaxed);
  }
  wp_atomic_store(&wp_channel_get_signal(&worker->channel)->word, 0u, wp_relaxed);
  wp_share_reset(pool, index);
}

static void decide(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  worker->generation++;
  worker->state = WP_WORKER_SPAWNING;
  worker->process = 0;
  worker->condemned = false;
  worker->leaving = false;
  worker->loss = NULL;
  worker->forbidden_call = 0;
  worker->out_of_memory = false;
  worker->peak_memory = 0;
  worker->ready_at = worker->ready_by = 0;
  worker->failure = (wp_start_failure){NULL, WP_CALL_NONE, 0};
  reset_channel(pool, index);
  worker->spawn_due = true;
  pool->forker.orders = true;
}

/// Workers that the template was asked for and has not told of.
static uint32_t count_asked(const wp_process_pool *pool) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    count += pool->workers[i].state == WP_WORKER_SPAWNING && pool->workers[i].process == 0;
  }
  return count;
}

static bool may_start(const wp_process_pool *pool) {
  return pool->forker.ready && (pool->life.phase == WP_POOL_STARTING || pool->life.phase == WP_POOL_RUNNING);
}

static bool awaits_start(const wp_process_pool *pool, uint32_t index) {
  return pool->workers[index].state == WP_WORKER_ABSENT && wp_is_wanted(pool, index);
}

void wp_spawn_what_is_due(wp_process_pool *pool) {
  if (!may_start(pool)) return;
  uint32_t room = UINT32_MAX;  // counted for the first, which most rounds do not have
  for (uint32_t i = 0; i < pool->size.bound && room > 0; i++) {
    uint64_t next_at = pool->workers[i].starts.next_at;
    if (!awaits_start(pool, i) || (next_at != 0 && next_at > wp_clock_now())) continue;
    if (room == UINT32_MAX) {
      uint32_t asked = count_asked(pool);
      room = asked < WP_MOST_ASKED ? WP_MOST_ASKED - asked : 0;
      if (room == 0) return;
    }
    decide(pool, i);
    room--;
  }
}

uint64_t wp_spawn_deadline(const wp_process_pool *pool) {
  uint64_t deadline = UINT64_MAX;
  if (!may_start(pool)) return deadline;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    if (awaits_start(pool, i) && pool->workers[i].starts.next_at < deadline) deadline = pool->workers[i].starts.next_at;
  }
  return deadline == UINT64_MAX || count_asked(pool) >= WP_MOST_ASKED ? UINT64_MAX : deadline;
}

// MARK: Asking

/// Under the lock: the template was not asked, for what `number` says.
static void note_unsent(wp_process_pool *pool, uint32_t index, int number) {
  wp_host_worker *worker = &pool->workers[index];
  if (number == EAGAIN || number == EWOULDBLOCK) {  // a template that is behind, or stopped
    worker->state = WP_WORKER_ABSENT;
    worker->report_by = 0;
    worker->starts.next_at = wp_clock_now() + WP_FULL_PAUSE_NS;
    return;
  }
  wp_worker_gone(pool, index, SIGKILL, "the template process ended");
  // If it is gone, its pidfd tells the rest. Else the kernel had not what the descriptors need on their way.
  if (number != EPIPE && number != ECONNRESET) worker->failure = (wp_start_failure){NULL, WP_CALL_SENDMSG, number};
}

/// The new worker is forked after the template has received this message: that orders all that was stored for it.
static void ask_for(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  wp_message message;
  memset(&message, 0, sizeof message);
  message.kind = WP_MESSAGE_SPAWN;
  message.worker = index;
  message.generation = worker->generation;
  const wp_dispositions signals = wp_signals_dispositions();
  message.ignored_signals = signals.ignored;
  message.handled_signals = signals.handled;
  wp_credentials_read(&message.credentials);
  message.changes_credentials = !wp_credentials_equal(&message.credentials, &pool->forker.credentials);
  int door = pool->memory.cgroups == NULL ? -1 : wp_memory_cgroup_door(pool->memory.cgroups, index);
  if (pool->memory.cgroups != NULL && door < 0) message.value = errno;
  int descriptors[2] = {worker->file, door};
  bool sent = wp_socket_send(pool->forker.socket, &message, sizeof message, descriptors, door >= 0 ? 2 : 1, false);
  int number = errno;
  if (door >= 0) close(door);
  worker->spawn_due = false;
  wp_witness_expect(pool, index);
  if (sent) return;
  pthread_mutex_lock(&pool->lock);
  note_unsent(pool, index, number);
  pthread_mutex_unlock(&pool->lock);
}

/// The host has no right to kill it any more.
static void ask_to_kill(wp_process_pool *pool, uint32_t index) {
  wp_message message;
  memset(&message, 0, sizeof message);
  message.kind = WP_MESSAGE_KILL;
  message.worker = index;
  message.generation = pool->workers[index].generation;
  pool->workers[index].kill_due = false;
  if (wp_socket_send(pool->forker.socket, &message, sizeof message, NULL, 0, false)) return;
  pthread_mutex_lock(&pool->lock);
  wp_kill_failed(pool, EPERM);
  pthread_mutex_unlock(&pool->lock);
}

void wp_spawn_send_orders(wp_process_pool *pool) {
  if (!pool->forker.orders) return;
  pool->forker.orders = false;
  for (uint32_t i = 0; i < pool->size.bound && pool->forker.socket >= 0; i++) {
    if (pool->workers[i].kill_due) ask_to_kill(pool, i);
    if (pool->workers[i].spawn_due) ask_for(pool, i);
  }
}

// MARK: Gone

void wp_worker_gone(wp_process_pool *pool, uint32_t index, int wait_status, const char *loss) {
  wp_host_worker *worker = &pool->workers[index];
  if (worker->state != WP_WORKER_SPAWNING && worker->state != WP_WORKER_LIVE) return;
  worker->state = WP_WORKER_ENDED;
  worker->wait_status = wait_status;
  worker->loss = loss;
  worker->spawn_due = worker->kill_due = false;
  wp_death_note_memory(pool, worker);
  if (pool->memory.cgroups != NULL) wp_memory_cgroup_kill(pool->memory.cgroups, index);
  wp_witness_end(pool, index);
  if (worker->pidfd >= 0) close(worker->pidfd);
  if (worker->share >= 0) close(worker->share);
  worker->pidfd = worker->share = -1;
  wp_slots_unlist(pool, index);
}
