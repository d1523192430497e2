// The sandbox's filter as it is loaded, run here over calls at the edges of their arguments, and compared with what is said of
// each call a second time.
#include "check.h"

#ifndef WP_SANDBOX

void sandbox_filter(wp_start_method method) { sandbox_refuses(method); }

#else

#include "../../CShim/CWorkerPool/src/process/child/wp_process_sandbox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#ifdef __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

enum { PROCESS = 4242, DOORBELL = 40, LEADER_BELL, MEMORY_USE, RECEIVER };

// MARK: The filter

/// What the filter answers; 0, which would kill a thread, for a program that this does not understand.
static uint32_t run_filter(const wp_sandbox *sandbox, const struct seccomp_data *data) {
  uint32_t accumulator = 0;
  for (size_t i = 0; i < sandbox->length; i++) {
    const struct sock_filter *step = &sandbox->filter[i];
    switch (step->code) {
    case BPF_LD | BPF_W | BPF_ABS:
      if (step->k % 4 != 0 || step->k > sizeof *data - 4) return 0;
      memcpy(&accumulator, (const unsigned char *)data + step->k, 4);
      break;
    case BPF_ALU | BPF_AND | BPF_K: accumulator &= step->k; break;
    case BPF_JMP | BPF_JA: i += step->k; break;
    case BPF_JMP | BPF_JEQ | BPF_K: i += accumulator == step->k ? step->jt : step->jf; break;
    case BPF_JMP | BPF_JGT | BPF_K: i += accumulator > step->k ? step->jt : step->jf; break;
    case BPF_JMP | BPF_JGE | BPF_K: i += accumulator >= step->k ? step->jt : step->jf; break;
    case BPF_JMP | BPF_JSET | BPF_K: i += (accumulator & step->k) != 0 ? step->jt : step->jf; break;
    case BPF_RET | BPF_K: return step->k;
    default: return 0;
    }
  }
  return 0;
}

// MARK: What it has to answer

static bool in(uint32_t value, uint32_t first, uint32_t last) { return value >= first && value <= last; }

static bool is_own_clock(uint32_t clock) {
  return clock <= 11 || in(clock, 0xfffffff8u, 0xfffffffau) || (clock >= 0x80000000u && (clock & 4) != 0);
}

static bool is_allowed_mapping(const uint64_t *all, bool receives) {
  uint64_t protection = all[2], flags = all[3];
  uint32_t descriptor = (uint32_t)all[4];
  if ((protection & 4) != 0) return false;
  if ((flags & 0x2f) == 0x22) return (flags & 0x100) == 0;
  return receives && (flags & 0x2f) == 0x01 && in(descriptor, 3, 0x7fffffff);
}

static bool is_allowed_advice(uint32_t advice) {
  return advice <= 4 || advice == 8 || in(advice, 10, 11) || in(advice, 14, 20) || in(advice, 22, 25) ||
         in(advice, 102, 103);
}

/// Of `int` arguments the lower 32 bits count, whatever stands above them; of all others, all bits.
static bool is_allowed(uint32_t call, const uint64_t *all, bool receives) {
  uint32_t low[6];
  for (size_t i = 0; i < 6; i++) low[i] = (uint32_t)all[i];
  switch (call) {
  case SYS_brk:
  case SYS_munmap:
  case SYS_get_mempolicy:
  case SYS_mincore:
  case SYS_set_robust_list:
  case SYS_rseq:
  case SYS_sched_yield:
  case SYS_getcpu:
  case SYS_exit:
  case SYS_exit_group:
  case SYS_rt_sigprocmask:
  case SYS_rt_sigreturn:
  case SYS_sigaltstack:
  case SYS_timer_settime:
  case SYS_timer_delete:
  case SYS_gettimeofday:
#ifdef SYS_time
  case SYS_time:
#endif
  case SYS_nanosleep:
  case SYS_restart_syscall:
  case SYS_getrandom:
  case SYS_getpid:
  case SYS_gettid:
  case SYS_getuid:
  case SYS_geteuid:
  case SYS_getgid:
  case SYS_getegid:
  case SYS_getrusage:
  case SYS_times:
  case SYS_sysinfo:
  case SYS_uname:
  case SYS_fstat:
  case SYS_close: return true;
  case SYS_mmap: return is_allowed_mapping(all, receives);
  case SYS_mprotect: return (all[2] & 4) == 0;
  case SYS_madvise: return is_allowed_advice(low[2]);
  case SYS_mbind: return (low[5] & 4) == 0;
  case SYS_move_pages: return low[0] == 0 && all[3] == 0;
  case SYS_clone: return (low[0] & 0x7e031000u) == 0x00010000;
  case SYS_futex: {
    uint32_t command = low[1] & ~0x180u;
    return command <= 10 ? command != 2 : command == 13;
  }
  case SYS_sched_getaffinity: return low[0] == 0;
  case SYS_prctl: return low[0] == 15 || low[0] == 16 || (low[0] == 0x53564d41 && all[1] == 0);
  case SYS_kill:
  case SYS_tgkill: return low[0] == PROCESS;
  case SYS_rt_sigaction: return low[0] <= 64 && low[0] != 31;
  case SYS_clock_gettime:
  case SYS_clock_getres:
  case SYS_clock_nanosleep:
  case SYS_timer_create: return is_own_clock(low[0]);
  case SYS_prlimit64: return low[0] == 0 && (all[2] == 0 || low[1] == 2);
  case SYS_read:
  case SYS_lseek: return low[0] == 0;
  case SYS_write: return in(low[0], 1, 2) || in(low[0], DOORBELL, LEADER_BELL);
  case SYS_writev: return in(low[0], 1, 2);
  case SYS_pread64: return low[0] == MEMORY_USE;
  case SYS_ioctl: return low[1] == 0x5401;
  case SYS_recvmsg: return receives && low[0] == RECEIVER;
  default: return false;
  }
}

// MARK: Calls

static uint64_t random_number(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 29 ^ *state << 35;
}

/// Numbers that stand in the table or beside it; all others are made from them.
static const uint64_t numbers[] = {
    PROCESS, DOORBELL, LEADER_BELL, MEMORY_USE, RECEIVER, 0x5401, 15, 16, 0x53564d41, 100, 102, 103, 22, 0x22, 0x122, 0x21,
    0x10000, 0x3d0f00, 0x180, 0x80000004u, 0xfffffff8u, 0xfffffffau, 0xfffffffcu, 11, 13, 20, 25, 31, 64,
    0x7fffff01, 0x7fffff02, 0x7fffff03, 0x7fffff04, 0x7fffff05,
};

/// Arguments that some call is allowed with.
static const uint64_t tuples[][6] = {
    {0},
    {PROCESS},
    {0, 0, 3, 0x22, UINT64_MAX, 0},
    {0, 0, 3, 0x01, 5, 0},
    {0x3d0f00},
    {0x53564d41},
    {0, 2, 4096},
    {0, 0x189, 102},
    {0, 0x5401},
    {1},
    {DOORBELL},
    {MEMORY_USE},
    {RECEIVER},
    {0x8000000cu},
};

enum { NUMBERS = sizeof numbers / sizeof numbers[0], TUPLES = sizeof tuples / sizeof tuples[0], MOST_VALUES = 8192 };

/// Each number and each power of two, one less and one more, and the same with bits above the 32nd.
static size_t make_values(uint64_t *values) {
  static const uint64_t above[] = {0, 1ull << 32, 1ull << 63, 0xffffffffull << 32};
  size_t count = 0;
  for (size_t i = 0; i < NUMBERS + 64; i++) {
    uint64_t middle = i < NUMBERS ? numbers[i] : 1ull << (i - NUMBERS);
    for (uint64_t value = middle - 1; value != middle + 2; value++) {
      for (size_t j = 0; j < 4; j++) values[count++] = value | above[j];
    }
    for (size_t j = 0; j < 4; j++) values[count++] = ~middle | above[j];
  }
  values[count++] = 0;
  return count;
}

typedef struct trial {
  wp_sandbox sandbox;
  bool receives;
  uint64_t values[MOST_VALUES];
  size_t count;
  size_t allowed;
  size_t calls;
} trial;

static void try_call(trial *self, uint32_t call, const uint64_t *all) {
  struct seccomp_data data;
  memset(&data, 0, sizeof data);
  data.nr = (int)call;
  data.arch = NATIVE;
  memcpy(data.args, all, sizeof data.args);
  uint32_t expected = SECCOMP_RET_TRAP;
  if (call == SYS_clone3 || call == SYS_mremap) expected = SECCOMP_RET_ERRNO | 38;
  else if (is_allowed(call, all, self->receives)) expected = SECCOMP_RET_ALLOW;
  uint32_t found = run_filter(&self->sandbox, &data);
  self->calls++;
  self->allowed += found == SECCOMP_RET_ALLOW;
  if (found == expected || failures > 20) return;
  CHECK(found == expected, "call %u (%llx, %llx, %llx, %llx, %llx, %llx): %x, not %x", call, (unsigned long long)all[0],
        (unsigned long long)all[1], (unsigned long long)all[2], (unsigned long long)all[3], (unsigned long long)all[4],
        (unsigned long long)all[5], found, expected);
}

/// Every argument in turn at every edge, the others as some call is allowed with them; then arguments at random.
static void try_edges(trial *self, uint32_t call) {
  for (size_t tuple = 0; tuple < TUPLES; tuple++) {
    for (size_t argument = 0; argument < 6; argument++) {
      uint64_t all[6];
      memcpy(all, tuples[tuple], sizeof all);
      for (size_t i = 0; i < self->count; i++) {
        all[argument] = self->values[i];
        try_call(self, call, all);
      }
    }
  }
  uint64_t state = call;
  for (size_t i = 0; i < 20000; i++) {
    uint64_t all[6];
    memcpy(all, tuples[random_number(&state) % TUPLES], sizeof all);
    for (size_t j = 0; j < 3; j++) all[random_number(&state) % 6] = self->values[random_number(&state) % self->count];
    try_call(self, call, all);
  }
}

static bool is_ever_allowed(const trial *self, uint32_t call) {
  for (size_t tuple = 0; tuple < TUPLES; tuple++) {
    if (is_allowed(call, tuples[tuple], self->receives)) return true;
  }
  return false;
}

/// Calls that are made as another architecture makes them, and those of x86-64 that have another number (x32).
static void try_architectures(trial *self) {
  static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0, UINT32_MAX,
                                    NATIVE == AUDIT_ARCH_X86_64 ? AUDIT_ARCH_AARCH64 : AUDIT_ARCH_X86_64};
  struct seccomp_data data;
  memset(&data, 0, sizeof data);
  for (uint32_t call = 0; call < 1024; call++) {
    data.nr = (int)call;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
      data.arch = others[i];
      CHECK(run_filter(&self->sandbox, &data) == SECCOMP_RET_TRAP, "architecture %x, call %u", data.arch, call);
    }
    data.arch = NATIVE;
    data.nr = (int)(call | 0x40000000u);
    CHECK(run_filter(&self->sandbox, &data) == SECCOMP_RET_TRAP, "x32, call %u", call);
    data.nr = -(int)call - 1;
    CHECK(run_filter(&self->sandbox, &data) == SECCOMP_RET_TRAP, "call %d", data.nr);
  }
}

static void try_filter(bool receives) {
  trial *self = (trial *)calloc(1, sizeof *self);
  self->receives = receives;
  self->count = make_values(self->values);
  wp_call failed = wp_sandbox_prepare(&self->sandbox, WP_SANDBOX_COMPUTE_ONLY, receives);
  CHECK(failed == WP_CALL_NONE, "call %d", (int)failed);
  if (failed != WP_CALL_NONE) return;
  const wp_sandbox_descriptors descriptors = {DOORBELL, LEADER_BELL, MEMORY_USE, RECEIVER};
  wp_sandbox_put_numbers(&self->sandbox, PROCESS, &descriptors);
  try_architectures(self);
  for (uint32_t call = 0; call < 1024; call++) {
    size_t before = self->allowed;
    bool ever = is_ever_allowed(self, call);
    for (size_t i = 0; i < TUPLES; i++) try_call(self, call, tuples[i]);
    if (ever || call == SYS_clone3 || call == SYS_mremap) try_edges(self, call);
    CHECK(ever == (self->allowed > before), "call %u is allowed %zu times", call, self->allowed - before);
  }
  CHECK(self->allowed > 100000 && self->calls > self->allowed + 100000, "%zu of %zu", self->allowed, self->calls);
  free(self->sandbox.filter);
  free(self);
}

void sandbox_filter(wp_start_method method) { try_filter(method == WP_START_REEXEC); }

#endif
