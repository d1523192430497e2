#include "wp_host_death.h"

#include "../shared/wp_process_message.h"
#include "../shared/wp_process_output.h"
#include "../shared/wp_process_settings_check.h"
#include "wp_host_cgroup.h"
#include "wp_host_reply.h"
#include "wp_host_room.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/// Most of an initializer's reply that is kept.

// MARK: Limits

static uint64_t larger(uint64_t one, uint64_t other) { return one > other ? one : other; }

/// Whether the worker's notes say that memory was what it lacked. They are hostile, and decide no more than the name
/// that its own task's failure gets.
static bool lacked_memory(const wp_host_worker *worker, uint64_t limit) {
  const wp_channel_status *status = wp_channel_get_status(&worker->channel);
  if (wp_atomic_load(&status->fault_starved, wp_relaxed) != 0) return true;
  uint64_t near = larger(limit / 16, (uint64_t)1 << 20);
  return wp_atomic_load(&status->fault_data, wp_relaxed) >= (limit > near ? limit - near : 0);
}

static void find_limit(const wp_process_pool *pool, const wp_host_worker *worker, const wp_task *task,
                       wp_death *death) {
  const wp_process_limits *limits = &pool->memory.head->limits;
  uint64_t cpu_ns = wp_limit_of(limits->cpu_ns, task->options == NULL ? 0 : task->options->cpu_ns);
  uint64_t memory = wp_limit_of(limits->memory, task->options == NULL ? 0 : task->options->memory);
  if (!WIFSIGNALED(worker->wait_status)) return;
  int number = WTERMSIG(worker->wait_status);
  if (worker->out_of_memory) {
    death->passed = WP_PASSED_MEMORY;
    death->limit = limits->memory;
  }
  if (number == SIGXCPU && cpu_ns != 0) {
    death->passed = WP_PASSED_CPU_TIME;
    death->limit = cpu_ns;
  }
  bool fault = number == SIGILL || number == SIGTRAP || number == SIGSEGV || number == SIGABRT || number == SIGBUS;
  if (fault && memory != 0 && lacked_memory(worker, memory)) {
    death->passed = WP_PASSED_MEMORY;
    death->limit = memory;
  }
}

/// As its worker says, which decides no more than the words of its own task's failure.
static bool used_unset_pointer(const wp_process_pool *pool, const wp_host_worker *worker) {
  bool faulted = WIFSIGNALED(worker->wait_status) && WTERMSIG(worker->wait_status) == SIGSEGV;
  if (!faulted || wp_pool_method(pool) != WP_START_REEXEC) return false;
  return wp_atomic_load(&wp_channel_get_status(&worker->channel)->fault_near_zero, wp_relaxed) != 0;
}

void wp_death_note_memory(wp_process_pool *pool, wp_host_worker *worker) {
  uint64_t peak;
  // The kernel counts before it kills, and so before anybody hears of it.
  wp_memory_cgroups *cgroups = pool->memory.cgroups;
  if (cgroups == NULL || !wp_memory_cgroup_killed(cgroups, wp_room_index(pool, worker), &peak)) return;
  worker->out_of_memory = WIFSIGNALED(worker->wait_status) && WTERMSIG(worker->wait_status) == SIGKILL;
  if (peak > worker->peak_memory) worker->peak_memory = peak;
}

// MARK: Deaths

wp_death *wp_death_describe(wp_process_pool *pool, const wp_host_worker *worker, const wp_task *task) {
  size_t room = pool->geometry.output_limit[WP_STREAM_ERROR];
  wp_death *death = (wp_death *)malloc(sizeof *death + room);
  if (death == NULL) return NULL;
  memset(death, 0, sizeof *death);
  death->peak_memory = worker->peak_memory;
  find_limit(pool, worker, task, death);
  death->unset_pointer = used_unset_pointer(pool, worker);
  if (room > 0) {
    wp_output_ring *ring = wp_room_output(pool, worker, WP_STREAM_ERROR);
    death->output_length = wp_output_tail(ring, room, (unsigned char *)death->output, room);
  }
  return death;
}

void wp_death_tell(const wp_death *death, wp_task_outcome *outcome) {
  if (death == NULL) return;
  outcome->peak_memory = death->peak_memory;
  outcome->passed = death->passed;
  outcome->limit = (size_t)death->limit;
  outcome->unset_pointer = death->unset_pointer;
  outcome->output = death->output;
  outcome->output_length = death->output_length;
}

// MARK: Breakage

/// Copies what the initializer replied, which has no blocks before it.
static void note_reply(wp_process_pool *pool, const wp_host_worker *worker) {
  wp_process_breakage *breakage = &pool->life.breakage;
  const wp_reply_slot *slot = wp_channel_reply(&worker->channel, &pool->geometry, 0);
  const wp_reply reply = wp_reply_read(slot, pool->geometry.max_payload);
  size_t length = !reply.is_there || reply.length > WP_REPLY_KEPT ? 0 : (size_t)reply.length;
  const void *bytes =
      length <= WP_REPLY_INLINE ? slot->bytes : wp_channel_results(&worker->channel, &pool->geometry, 0);
  void *copy = malloc(length + 1);
  if (copy == NULL) return;
  memcpy(copy, bytes, length);
  breakage->reply_code = reply.code;
  breakage->reply = copy;
  breakage->reply_length = length;
}

void wp_breakage_note(wp_process_pool *pool, const wp_host_worker *worker, const wp_process_breakage *known) {
  wp_breakage_destroy(pool);
  wp_process_breakage *breakage = &pool->life.breakage;
  *breakage = *known;
  if (worker == NULL) return;
  const wp_channel_status *status = wp_channel_get_status(&worker->channel);
  breakage->worker_pid = worker->process;
  breakage->wait_status = worker->wait_status;
  breakage->in_initializer = wp_atomic_load(&status->initializing, wp_relaxed) != 0;
  if (wp_atomic_load(&status->failed_call, wp_relaxed) == WP_CALL_INITIALIZER) note_reply(pool, worker);
  size_t room = pool->geometry.output_limit[WP_STREAM_ERROR];
  unsigned char *output = room == 0 ? NULL : (unsigned char *)malloc(room);
  if (output == NULL) return;
  breakage->output_length = wp_output_tail(wp_room_output(pool, worker, WP_STREAM_ERROR), room, output, room);
  breakage->output = (const char *)output;
}

void wp_breakage_destroy(wp_process_pool *pool) {
  free((void *)(uintptr_t)pool->life.breakage.output);
  free((void *)(uintptr_t)pool->life.breakage.reply);
  memset(&pool->life.breakage, 0, sizeof pool->life.breakage);
}
