#include "wp_process_sandbox_rules.h"

#ifdef WP_SANDBOX

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

// MARK: How the table is written

typedef enum wp_condition_kind { WP_RANGE, WP_BITS } wp_condition_kind;

/// What one argument has to be. The kernel looks at `width` bits of it: at 32 of an `int`, whatever stands above them in its
/// register, and at 64 of a `long` and of an address. A width of 0: no condition.
typedef struct wp_condition {
  uint8_t argument;
  uint8_t width;
  wp_condition_kind kind;
  /// The first and the last value; or a mask, and what its bits have to be.
  uint64_t first, second;
} wp_condition;

enum { WP_MAX_CONDITIONS = 3 };

/// A call is allowed if all conditions of one of its lines hold.
typedef struct wp_allowed {
  int call;
  wp_condition conditions[WP_MAX_CONDITIONS];
} wp_allowed;

#define ALWAYS(name) {SCMP_SYS(name), {{0, 0, WP_RANGE, 0, 0}}}
#define IF(name, ...) {SCMP_SYS(name), {__VA_ARGS__}}
#define RANGE(argument, width, first, last) {argument, width, WP_RANGE, (uint64_t)(first), (uint64_t)(last)}
#define EQUAL(argument, width, value) RANGE(argument, width, value, value)
#define BITS(argument, width, mask, value) {argument, width, WP_BITS, (uint64_t)(mask), (uint64_t)(value)}

#define NEW_NAMESPACES                                                                                               \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/// What older headers do not have, and what the kernel has for itself.
enum {
  SET_VMA = 0x53564d41,  // PR_SET_VMA
  SET_VMA_NAME = 0,      // PR_SET_VMA_ANON_NAME
  LOCK_PI2 = 13,         // FUTEX_LOCK_PI2
  MOVE_ALL = 4,          // MPOL_MF_MOVE_ALL
  LAST_CLOCK = 11,       // CLOCK_TAI
};
/// Bits that are set in each clock of a thread, of which the kernel grants those of this process only.
#define THREAD_CLOCK 0x80000004u

/// The fixed clocks, the processor time of this process, and that of its threads. Other negative numbers are clocks of other
/// processes, and of devices.
#define CLOCKS(name, argument)                                                                                       \
  IF(name, RANGE(argument, 32, 0, LAST_CLOCK)), IF(name, RANGE(argument, 32, 0xfffffff8u, 0xfffffffau)),             \
      IF(name, BITS(argument, 32, THREAD_CLOCK, THREAD_CLOCK))
#define FUTEX(command) IF(futex, BITS(1, 32, FUTEX_CMD_MASK, command))

// MARK: The table

static const wp_allowed compute_only[] = {
    // Memory without a file behind it, and none of it executable. Private, and no stack that grows: the limit of
    // memory counts nothing else.
    ALWAYS(brk),
    ALWAYS(munmap),
    IF(mmap, BITS(2, 64, PROT_EXEC, 0),
       BITS(3, 64, MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN, MAP_PRIVATE | MAP_ANONYMOUS)),
    IF(mprotect, BITS(2, 64, PROT_EXEC, 0)),
    // Advice on the process's own memory. Not REMOVE (9), which punches holes into files; nor MERGEABLE and UNMERGEABLE (12,
    // 13), by which time tells what others have in memory; nor PAGEOUT (21), by which it tells what they use; nor HWPOISON and
    // SOFT_OFFLINE (100, 101), which take memory from the machine.
    IF(madvise, RANGE(2, 32, 0, 4)),      // NORMAL to DONTNEED
    IF(madvise, EQUAL(2, 32, 8)),         // FREE
    IF(madvise, RANGE(2, 32, 10, 11)),    // DONTFORK, DOFORK
    IF(madvise, RANGE(2, 32, 14, 20)),    // HUGEPAGE to COLD
    IF(madvise, RANGE(2, 32, 22, 25)),    // POPULATE_READ to COLLAPSE
    IF(madvise, RANGE(2, 32, 102, 103)),  // GUARD_INSTALL, GUARD_REMOVE: newer C libraries guard stacks of threads so
    // On which nodes its own memory lies, and is to lie. Not that of others, nor by moving single pages.
    IF(mbind, BITS(5, 32, MOVE_ALL, 0)),
    ALWAYS(get_mempolicy),
    ALWAYS(mincore),
    IF(move_pages, EQUAL(0, 32, 0), EQUAL(3, 64, NULL)),
    // Own threads: not processes, not out of the namespaces, and without a descriptor. Of the flags the kernel takes 32 bits.
    IF(clone, BITS(0, 32, CLONE_THREAD | CLONE_PIDFD | NEW_NAMESPACES, CLONE_THREAD)),
    ALWAYS(set_robust_list),
    ALWAYS(rseq),
    // All commands but those of which the C library makes no use: FD (2), and the two that requeue to a lock with
    // inheritance of priority (11, 12). Swift's Mutex is such a lock.
    FUTEX(FUTEX_WAIT),
    FUTEX(FUTEX_WAKE),
    FUTEX(FUTEX_REQUEUE),
    FUTEX(FUTEX_CMP_REQUEUE),
    FUTEX(FUTEX_WAKE_OP),
    FUTEX(FUTEX_LOCK_PI),
    FUTEX(FUTEX_UNLOCK_PI),
    FUTEX(FUTEX_TRYLOCK_PI),
    FUTEX(FUTEX_WAIT_BITSET),
    FUTEX(FUTEX_WAKE_BITSET),
    FUTEX(LOCK_PI2),
    ALWAYS(sched_yield),
    ALWAYS(getcpu),
    IF(sched_getaffinity, EQUAL(0, 32, 0)),
    IF(prctl, EQUAL(0, 32, PR_SET_NAME)),
    IF(prctl, EQUAL(0, 32, PR_GET_NAME)),
    IF(prctl, EQUAL(0, 32, SET_VMA), EQUAL(1, 64, SET_VMA_NAME)),  // the C library names its own memory
    ALWAYS(exit),
    ALWAYS(exit_group),
    // Signals to itself, and what to do about them: for all but SIGSYS, which is 31.
    IF(kill, EQUAL(0, 32, WP_OWN_PROCESS)),
    IF(tgkill, EQUAL(0, 32, WP_OWN_PROCESS)),
    IF(rt_sigaction, RANGE(0, 32, 0, SIGSYS - 1)),
    IF(rt_sigaction, RANGE(0, 32, SIGSYS + 1, 64)),
    ALWAYS(rt_sigprocmask),
    ALWAYS(rt_sigreturn),
    ALWAYS(sigaltstack),
    // Clocks and random numbers. The clocks of other processes would tell that these exist, and what they use.
    CLOCKS(clock_gettime, 0),
    CLOCKS(clock_getres, 0),
    CLOCKS(clock_nanosleep, 0),
    CLOCKS(timer_create, 0),
    ALWAYS(timer_settime),
    ALWAYS(timer_delete),
    ALWAYS(gettimeofday),
    ALWAYS(time),
    ALWAYS(nanosleep),
    ALWAYS(restart_syscall),
    ALWAYS(getrandom),
    // Who it is, what it used, which limits it has.
    ALWAYS(getpid),
    ALWAYS(gettid),
    ALWAYS(getuid),
    ALWAYS(geteuid),
    ALWAYS(getgid),
    ALWAYS(getegid),
    ALWAYS(getrusage),
    ALWAYS(times),
    ALWAYS(sysinfo),
    ALWAYS(uname),
    IF(prlimit64, EQUAL(0, 32, 0), EQUAL(2, 64, NULL)),
    // A task's own limits, which the engine sets from inside: the kernel keeps them below those of the worker's life.
    IF(prlimit64, EQUAL(0, 32, 0), EQUAL(1, 32, RLIMIT_DATA)),
    // Descriptors: standard input, which reads nothing, and output, and the engine's own.
    IF(read, EQUAL(0, 32, STDIN_FILENO)),
    IF(lseek, EQUAL(0, 32, STDIN_FILENO)),
    IF(write, RANGE(0, 32, STDOUT_FILENO, STDERR_FILENO)),
    IF(write, EQUAL(0, 32, WP_DOORBELL)),
    IF(write, EQUAL(0, 32, WP_LEADER_BELL)),
    IF(pread64, EQUAL(0, 32, WP_MEMORY_USE)),
    IF(writev, RANGE(0, 32, STDOUT_FILENO, STDERR_FILENO)),
    IF(ioctl, EQUAL(1, 32, TCGETS)),
    ALWAYS(fstat),  // takes a descriptor; newfstatat takes a path, and is forbidden
    ALWAYS(close),
};

/// Of workers that are sent memory files. Beside the standard streams, which may be files of the user's, these and what
/// the initializer left open are all that they could map.
static const wp_allowed receiving[] = {
    IF(recvmsg, EQUAL(0, 32, WP_RECEIVER)),
    IF(mmap, BITS(2, 64, PROT_EXEC, 0), BITS(3, 64, MAP_TYPE | MAP_ANONYMOUS, MAP_SHARED),
       RANGE(4, 32, STDERR_FILENO + 1, INT32_MAX)),
};

/// Answered with ENOSYS: whoever calls them knows another way.
static const int answered[] = {SCMP_SYS(clone3), SCMP_SYS(mremap)};

// MARK: The rules

/// Size of the largest block of values that begins with `first`, ends at `last` at most, and is all that has the same bits
/// above some bit.
static uint64_t block_size(uint64_t first, uint64_t last) {
  uint64_t size = 1;
  while (first % (2 * size) == 0 && last - first >= 2 * size - 1) size *= 2;
  return size;
}

/// Adds the rules of a line, the conditions from `index` on being still open. Each is a comparison of bits for equality, and a
/// range as many of them as it has blocks: no other comparison of libseccomp can leave bits out, and before 2.4 those for
/// order were wrong.
static int add(scmp_filter_ctx context, const wp_allowed *line, unsigned index, struct scmp_arg_cmp *compare) {
  const wp_condition *condition = &line->conditions[index];
  if (index == WP_MAX_CONDITIONS || condition->width == 0) {
    return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, line->call, index, compare);
  }
  uint64_t all = condition->width == 32 ? UINT32_MAX : UINT64_MAX;
  compare[index].arg = condition->argument;
  compare[index].op = SCMP_CMP_MASKED_EQ;
  compare[index].datum_a = condition->first & all;
  compare[index].datum_b = condition->second;
  if (condition->kind == WP_BITS) return add(context, line, index + 1, compare);
  uint64_t first = condition->first;
  for (;;) {
    uint64_t size = block_size(first, condition->second);
    compare[index].datum_a = all & ~(size - 1);
    compare[index].datum_b = first;
    int result = add(context, line, index + 1, compare);
    if (result != 0 || condition->second - first < size) return result;
    first += size;
  }
}

static int add_lines(scmp_filter_ctx context, const wp_allowed *lines, size_t count) {
  struct scmp_arg_cmp compare[WP_MAX_CONDITIONS];
  int result = 0;
  for (size_t i = 0; i < count && result == 0; i++) result = add(context, &lines[i], 0, compare);
  return result;
}

int wp_sandbox_add_rules(scmp_filter_ctx context, bool receives) {
  int result = add_lines(context, compute_only, sizeof compute_only / sizeof compute_only[0]);
  if (result == 0 && receives) result = add_lines(context, receiving, sizeof receiving / sizeof receiving[0]);
  for (size_t i = 0; i < sizeof answered / sizeof answered[0] && result == 0; i++) {
    result = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), answered[i], 0);
  }
  return result;
}

#endif
