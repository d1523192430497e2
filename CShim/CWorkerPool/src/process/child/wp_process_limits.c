#include "wp_process_limits.h"

#include "../shared/wp_process_settings_check.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/// Of this process, for its fault handler.
static wp_channel_status *own_status;
static int own_memory_use = -1;
/// The stack, which limits of memory do not count: it is a mapping like any other, but has a limit of its own.
static uint64_t own_stack;

static bool read_memory_use(wp_memory_use *use) {
  if (!wp_memory_use_read(own_memory_use, use)) return false;
  use->data -= use->data < own_stack ? use->data : own_stack;
  return true;
}

static uint64_t with_stack(uint64_t memory) { return memory > UINT64_MAX - own_stack ? UINT64_MAX : memory + own_stack; }

/// Where nothing is mapped, and what a null pointer has parts at.
#define WP_NEAR_ZERO 65536u

static void note_fault(uintptr_t address) {
  if (own_status == NULL) return;  // a task's own child, which has the handler and is no worker
  wp_memory_use use;
  wp_atomic_store(&own_status->fault_near_zero, address < WP_NEAR_ZERO ? 1u : 0u, wp_relaxed);
  wp_atomic_store(&own_status->fault_starved, errno == ENOMEM ? 1u : 0u, wp_relaxed);
  if (!read_memory_use(&use)) return;
  wp_atomic_store(&own_status->fault_data, use.data, wp_relaxed);
}

void wp_limits_forget(void) { own_status = NULL; }

static bool note_faults(wp_worker_limits *self) {
  self->notes_faults = self->notes_faults || wp_faults_note(note_fault);
  return self->notes_faults;
}

static wp_call limit_memory(wp_worker_limits *self) {
  uint64_t limit = self->settings.memory;
  if (limit == 0) return WP_CALL_NONE;
  wp_memory_use use;
  if (read_memory_use(&use) && use.data > limit) return WP_CALL_MEMORY_FLOOR;
  if (!note_faults(self)) return WP_CALL_SIGALTSTACK;
  return wp_limit_set(RLIMIT_DATA, with_stack(limit)) ? WP_CALL_NONE : WP_CALL_LIMIT_DATA;
}

static bool limit_files(const wp_worker_limits *self, const struct rlimit *open_files) {
  if (self->settings.open_files != 0) return wp_limit_set(RLIMIT_NOFILE, self->settings.open_files);
  return setrlimit(RLIMIT_NOFILE, open_files) == 0;
}

wp_call wp_limits_apply(wp_worker_limits *self, const wp_process_limits *settings, const wp_template *parent,
                        wp_channel_status *status) {
  memset(self, 0, sizeof *self);
  self->settings = *settings;
  self->memory_use = own_memory_use = wp_descriptor_move_up(&parent->held, parent->own_base, wp_memory_use_open());
  own_status = status;
  own_stack = parent->stack_size;
  if (settings->niceness != 0 && !wp_be_nicer(settings->niceness)) return WP_CALL_SETPRIORITY;
  if (settings->core_size != WP_LIMIT_UNLIMITED && !wp_limit_set(RLIMIT_CORE, settings->core_size)) {
    return WP_CALL_LIMIT_CORE;
  }
  if (!limit_files(self, &parent->open_files)) return WP_CALL_LIMIT_FILES;
  if (settings->cpu_ns != 0) {
    self->has_timer = wp_cpu_timer_create(&self->cpu_timer);
    if (!self->has_timer) return WP_CALL_TIMER_CREATE;
  }
  if (parent->reexecuted) note_faults(self);  // no task needs it
  return limit_memory(self);
}

void wp_limits_begin(wp_worker_limits *self, uint64_t cpu_ns, uint64_t memory) {
  cpu_ns = wp_limit_of(self->settings.cpu_ns, cpu_ns);
  if (cpu_ns != 0) {
    if (!self->has_timer) self->has_timer = wp_cpu_timer_create(&self->cpu_timer);
    if (!self->has_timer) _exit(WP_EXIT_NOT_SET_UP);  // rather than to run it without its limit
    wp_cpu_timer_set(self->cpu_timer, cpu_ns);
    self->timer_runs = true;
  }
  if (memory != 0) {
    if (!note_faults(self)) _exit(WP_EXIT_NOT_SET_UP);
    self->data_before = wp_limit_lower(RLIMIT_DATA, with_stack(memory));
  }
  if (self->notes_faults) errno = 0;
}

void wp_limits_end(wp_worker_limits *self) {
  if (self->timer_runs) wp_cpu_timer_set(self->cpu_timer, 0);
  self->timer_runs = false;
  if (self->data_before != 0) wp_limit_restore(RLIMIT_DATA, self->data_before);
  self->data_before = 0;
}

bool wp_limits_used_up(wp_worker_limits *self) {
  self->tasks++;
  if (self->settings.max_tasks != 0 && self->tasks >= self->settings.max_tasks) return true;
  if (self->settings.max_resident == 0) return false;
  wp_memory_use use;
  return wp_memory_use_read(self->memory_use, &use) && use.resident > self->settings.max_resident;
}
