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

#include <errno.h>
#include <linux/filter.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/// Placeholders: values that no process id and no descriptor has.
enum {
  WP_OWN_PROCESS = 0x7fffff01,
  WP_DOORBELL = 0x7fffff02,
  WP_LEADER_BELL = 0x7fffff03,
  WP_MEMORY_USE = 0x7fffff04,
  WP_RECEIVER = 0x7fffff05,
};

// MARK: The list

typedef struct wp_rule {
  int call;
  unsigned count;
  struct scmp_arg_cmp compare[3];
} wp_rule;

#define WP_WHERE(argument, comparison, ...) {argument, comparison, __VA_ARGS__}
#define WP_EQUAL(argument, value) WP_WHERE(argument, SCMP_CMP_EQ, (scmp_datum_t)(value), 0)
#define WP_BELOW(argument, value) WP_WHERE(argument, SCMP_CMP_LT, (scmp_datum_t)(value), 0)
#define WP_ABOVE(argument, value) WP_WHERE(argument, SCMP_CMP_GT, (scmp_datum_t)(value), 0)
/// The bits of `mask` are `value`.
#define WP_BITS(argument, mask, value) \
  WP_WHERE(argument, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value))

#define WP_ALLOW(name) {SCMP_SYS(name), 0, {WP_EQUAL(0, 0)}}
#define WP_ALLOW_IF(name, ...) {SCMP_SYS(name), 1, {__VA_ARGS__}}
#define WP_ALLOW_IF2(name, ...) {SCMP_SYS(name), 2, {__VA_ARGS__}}
#define WP_ALLOW_IF3(name, ...) {SCMP_SYS(name), 3, {__VA_ARGS__}}

#define WP_NEW_NAMESPACES                                                                                            \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const wp_rule compute_only[] = {
    // Memory without a file behind it, and none of it executable. Private, and no stack that grows: the limit of
    // memory counts nothing else.
    WP_ALLOW(brk),
    WP_ALLOW(munmap),
    WP_ALLOW_IF2(mmap, WP_BITS(2, PROT_EXEC, 0),
                 WP_BITS(3, MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN, MAP_PRIVATE | MAP_ANONYMOUS)),
    WP_ALLOW_IF(mprotect, WP_BITS(2, PROT_EXEC, 0)),
    WP_ALLOW_IF(madvise, WP_BELOW(2, MADV_HWPOISON)),  // that one takes memory from the machine
    // On which nodes its own memory lies, and is to lie. Not that of others, nor by moving single pages.
    WP_ALLOW(mbind),
    WP_ALLOW(get_mempolicy),
    WP_ALLOW(mincore),
    WP_ALLOW_IF2(move_pages, WP_EQUAL(0, 0), WP_EQUAL(3, 0)),
    // Own threads: not processes, and not out of the namespaces.
    WP_ALLOW_IF(clone, WP_BITS(0, CLONE_THREAD | WP_NEW_NAMESPACES, CLONE_THREAD)),
    WP_ALLOW(set_robust_list),
    WP_ALLOW(rseq),
    WP_ALLOW(futex),
    WP_ALLOW(sched_yield),
    WP_ALLOW(getcpu),
    WP_ALLOW_IF(sched_getaffinity, WP_EQUAL(0, 0)),
    WP_ALLOW_IF(prctl, WP_EQUAL(0, PR_SET_NAME)),
    WP_ALLOW_IF(prctl, WP_EQUAL(0, PR_GET_NAME)),
    WP_ALLOW_IF(prctl, WP_EQUAL(0, 0x53564d41)),  // PR_SET_VMA of newer headers: glibc names its own memory
    WP_ALLOW(exit),
    WP_ALLOW(exit_group),
    // Signals to itself, and what to do about them: for all but SIGSYS, which is 31.
    WP_ALLOW_IF(kill, WP_EQUAL(0, WP_OWN_PROCESS)),
    WP_ALLOW_IF(tgkill, WP_EQUAL(0, WP_OWN_PROCESS)),
    WP_ALLOW_IF(rt_sigaction, WP_BELOW(0, SIGSYS)),
    WP_ALLOW_IF(rt_sigaction, WP_BITS(0, ~31ull, 32)),
    WP_ALLOW_IF(rt_sigaction, WP_EQUAL(0, 64)),
    WP_ALLOW(rt_sigprocmask),
    WP_ALLOW(rt_sigreturn),
    WP_ALLOW(sigaltstack),
    // Clocks and random numbers.
    WP_ALLOW(clock_gettime),
    WP_ALLOW(clock_getres),
    WP_ALLOW(gettimeofday),
    WP_ALLOW(time),
    WP_ALLOW(clock_nanosleep),
    WP_ALLOW(nanosleep),
    WP_ALLOW(restart_syscall),
    WP_ALLOW(getrandom),
    // Who it is, what it used, which limits it has.
    WP_ALLOW(getpid),
    WP_ALLOW(gettid),
    WP_ALLOW(getuid),
    WP_ALLOW(geteuid),
    WP_ALLOW(getgid),
    WP_ALLOW(getegid),
    WP_ALLOW(getrusage),
    WP_ALLOW(times),
    WP_ALLOW(sysinfo),
    WP_ALLOW(uname),
    WP_ALLOW_IF2(prlimit64, WP_EQUAL(0, 0), WP_EQUAL(2, 0)),
    // A task's own limits, which the engine sets from inside: the kernel keeps them below those of the worker's life.
    WP_ALLOW_IF2(prlimit64, WP_EQUAL(0, 0), WP_EQUAL(1, RLIMIT_DATA)),
    WP_ALLOW(timer_create),
    WP_ALLOW(timer_settime),
    WP_ALLOW(timer_delete),
    // Descriptors: standard input, which reads nothing, and output, and the engine's own.
    WP_ALLOW_IF(read, WP_EQUAL(0, STDIN_FILENO)),
    WP_ALLOW_IF(lseek, WP_EQUAL(0, STDIN_FILENO)),
    WP_ALLOW_IF(write, WP_EQUAL(0, STDOUT_FILENO)),
    WP_ALLOW_IF(write, WP_EQUAL(0, STDERR_FILENO)),
    WP_ALLOW_IF(write, WP_EQUAL(0, WP_DOORBELL)),
    WP_ALLOW_IF(write, WP_EQUAL(0, WP_LEADER_BELL)),
    WP_ALLOW_IF(pread64, WP_EQUAL(0, WP_MEMORY_USE)),
    WP_ALLOW_IF(writev, WP_EQUAL(0, STDOUT_FILENO)),
    WP_ALLOW_IF(writev, WP_EQUAL(0, STDERR_FILENO)),
    WP_ALLOW_IF(ioctl, WP_EQUAL(1, TCGETS)),
    WP_ALLOW(fstat),  // takes a descriptor; newfstatat takes a path, and is forbidden
    WP_ALLOW(close),
};

/// Of workers that are sent memory files. Beside the standard streams, which may be files of the user's, these and what
/// the initializer left open are all that they could map.
static const wp_rule receiving[] = {
    WP_ALLOW_IF(recvmsg, WP_EQUAL(0, WP_RECEIVER)),
    WP_ALLOW_IF3(mmap, WP_BITS(2, PROT_EXEC, 0), WP_BITS(3, MAP_TYPE | MAP_ANONYMOUS, MAP_SHARED),
                 WP_ABOVE(4, STDERR_FILENO)),
};

static int add_rules(scmp_filter_ctx context, const wp_rule *rules, size_t count) {
  int result = 0;
  for (size_t i = 0; i < count && result == 0; i++) {
    result = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, rules[i].call, rules[i].count, rules[i].compare);
  }
  return result;
}

/// 0, or a negative error number.
static int describe(scmp_filter_ctx context, bool receives) {
  int result = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
  if (result == 0) result = add_rules(context, compute_only, sizeof compute_only / sizeof compute_only[0]);
  if (result == 0 && receives) result = add_rules(context, receiving, sizeof receiving / sizeof receiving[0]);
  if (result == 0) result = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  if (result == 0) result = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(mremap), 0);
  return result;
}

// MARK: In the template

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

static void put_own_numbers(const wp_sandbox *sandbox, const wp_sandbox_descriptors *descriptors) {
  const uint32_t own[][2] = {{WP_OWN_PROCESS, (uint32_t)getpid()},
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
  put_own_numbers(sandbox, descriptors);
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
