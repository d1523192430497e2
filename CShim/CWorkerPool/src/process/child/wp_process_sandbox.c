#include "wp_process_sandbox.h"

#ifndef WP_SANDBOX

const char *wp_sandbox_refusal(wp_sandbox_level level, wp_start_method method) {
  (void)method;
  return level == WP_SANDBOX_NONE ? NULL : "a sandbox needs the package trait 'Sandbox', without which this was built";
}

wp_call wp_sandbox_prepare(wp_sandbox *sandbox, wp_sandbox_level level, bool receives) {
  (void)sandbox, (void)level, (void)receives;
  return WP_CALL_NONE;
}

wp_call wp_sandbox_enter(const wp_sandbox *sandbox, const wp_sandbox_descriptors *descriptors,
                         wp_channel_status *status) {
  (void)sandbox, (void)descriptors, (void)status;
  return WP_CALL_NONE;
}

size_t wp_system_call_name(uint32_t forbidden_call, char *name, size_t capacity) {
  (void)forbidden_call, (void)name, (void)capacity;
  return 0;
}

#else

#include "../../platform/wp_confine.h"
#include "../../platform/wp_file.h"
#include "wp_process_sandbox_rules.h"

#include <errno.h>
#include <linux/filter.h>
#include <malloc.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// MARK: In the template

/// 0, or a negative error number.
static int describe(scmp_filter_ctx context, bool receives) {
  int result = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
  if (result == 0) result = wp_sandbox_add_rules(context, receives);
  return result;
}

/// What `si_arch` says of a call that was made the native way.
static uint32_t native_architecture;

static bool is_placeholder(const struct sock_filter *step, uint32_t placeholder) {
  return step->code == (BPF_JMP | BPF_JEQ | BPF_K) && step->k == placeholder;
}

/// Whether each placeholder stands where a worker can replace it. Another version of libseccomp may compare in a way
/// unknown here; with placeholders left in it a filter would be safe, but of no use.
static bool has_placeholders(const wp_sandbox *sandbox, bool receives) {
  const uint32_t placeholders[] = {WP_OWN_PROCESS, WP_DOORBELL, WP_LEADER_BELL, WP_MEMORY_USE, WP_RECEIVER};
  for (size_t i = 0; i < (receives ? 5u : 4u); i++) {
    bool found = false;
    for (uint16_t j = 0; j < sandbox->length && !found; j++) {
      found = is_placeholder(&sandbox->filter[j], placeholders[i]);
    }
    if (!found) return false;
  }
  return true;
}

/// libseccomp can write a filter to a file only. 0, or a negative error number.
static int export_filter(scmp_filter_ctx context, wp_sandbox *sandbox) {
  int file = wp_scratch_create("worker-pool-filter");
  if (file < 0) return -errno;
  int result = seccomp_export_bpf(context, file);
  size_t size = result == 0 ? wp_scratch_length(file) : 0;
  size_t length = size / sizeof(struct sock_filter);
  if (result == 0 && (length == 0 || length > BPF_MAXINSNS)) result = -E2BIG;
  if (result == 0) {
    sandbox->filter = (struct sock_filter *)malloc(size);
    sandbox->length = (uint16_t)length;
    if (sandbox->filter == NULL) result = -ENOMEM;
    else if (!wp_scratch_read(file, sandbox->filter, size)) result = -EIO;
  }
  close(file);
  return result;
}

wp_call wp_sandbox_prepare(wp_sandbox *sandbox, wp_sandbox_level level, bool receives) {
  if (level == WP_SANDBOX_NONE) return WP_CALL_NONE;
  native_architecture = seccomp_arch_native();
  // Threads' own arenas are given back after a look into /proc.
  mallopt(M_ARENA_MAX, 1);
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_TRAP);
  if (context == NULL) {
    errno = ENOMEM;
    return WP_CALL_SECCOMP_INIT;
  }
  int result = describe(context, receives);
  wp_call failed = WP_CALL_SECCOMP_RULE_ADD;
  if (result == 0) {
    failed = WP_CALL_SECCOMP_EXPORT_BPF;
    result = export_filter(context, sandbox);
    if (result == 0 && !has_placeholders(sandbox, receives)) result = -ENOTSUP;
  }
  seccomp_release(context);
  if (result == 0) return WP_CALL_NONE;
  errno = -result;
  return failed;
}

// MARK: In a worker

static wp_channel_status *noting;

/// Tells the host. In a signal handler.
static void note_forbidden_call(uint32_t architecture, int call) {
  bool native = architecture == native_architecture && call >= 0;
  uint32_t noted = native ? (uint32_t)call + 1 : WP_FORBIDDEN_CALL_UNKNOWN;
  uint32_t none = 0;
  wp_atomic_cas_strong(&noting->forbidden_call, &none, noted, wp_relaxed, wp_relaxed);
}

/// The buffers of standard streams are otherwise made at their first use, with a look at what they lead to.
static void fix_standard_streams(void) {
  // One that has its buffer stays as the initializer made it.
  if (__fbufsize(stdin) == 0) setvbuf(stdin, NULL, _IOFBF, 0);
  if (__fbufsize(stdout) != 0) return;
  setvbuf(stdout, NULL, _IOFBF, 0);
  if (isatty(STDOUT_FILENO)) setvbuf(stdout, NULL, _IOLBF, 0);
}

void wp_sandbox_put_numbers(const wp_sandbox *sandbox, int32_t process, const wp_sandbox_descriptors *descriptors) {
  const uint32_t own[][2] = {{WP_OWN_PROCESS, (uint32_t)process},
                             {WP_DOORBELL, (uint32_t)descriptors->doorbell},
                             {WP_LEADER_BELL, (uint32_t)descriptors->leader_bell},
                             {WP_MEMORY_USE, (uint32_t)descriptors->memory_use},
                             {WP_RECEIVER, (uint32_t)descriptors->receiver}};
  for (uint16_t i = 0; i < sandbox->length; i++) {
    for (size_t j = 0; j < 5; j++) {
      if (!is_placeholder(&sandbox->filter[i], own[j][0])) continue;
      sandbox->filter[i].k = own[j][1];
      break;
    }
  }
}

wp_call wp_sandbox_enter(const wp_sandbox *sandbox, const wp_sandbox_descriptors *descriptors,
                         wp_channel_status *status) {
  if (sandbox->filter == NULL) return WP_CALL_NONE;
  fix_standard_streams();
  noting = status;
  if (!wp_trapped_calls_note(note_forbidden_call)) return WP_CALL_SIGACTION;
  if (!wp_privileges_keep()) return WP_CALL_PRCTL;
  // With the privileges of root it could still raise its limits. A thread that an initializer left running keeps them, under
  // the same filter.
  if (!wp_capabilities_drop()) return WP_CALL_CAPSET;
  wp_sandbox_put_numbers(sandbox, getpid(), descriptors);
  if (!wp_filter_load(sandbox->filter, sandbox->length)) return WP_CALL_SECCOMP;
  if (wp_filter_answers_mremap()) return WP_CALL_NONE;
  errno = ENOTSUP;
  return WP_CALL_SECCOMP;
}

// MARK: In the host

const char *wp_sandbox_refusal(wp_sandbox_level level, wp_start_method method) {
  if (level == WP_SANDBOX_NONE || method != WP_START_FORK) return NULL;
  return "a sandboxed pool cannot be forked: its workers would have all that the host has in memory";
}

size_t wp_system_call_name(uint32_t forbidden_call, char *name, size_t capacity) {
  if (forbidden_call == 0 || forbidden_call == WP_FORBIDDEN_CALL_UNKNOWN || capacity == 0) return 0;
  char *known = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)(forbidden_call - 1));
  if (known == NULL) return 0;
  size_t length = strnlen(known, capacity - 1);
  memcpy(name, known, length);
  name[length] = '\0';
  free(known);
  return length;
}

#endif
