// Scenarios of sandboxed pools. An engine without libseccomp has one thing to do: to refuse.
#include "sandboxed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_refusal(wp_start_method method, const char *reason) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.sandbox = WP_SANDBOX_COMPUTE_ONLY;
  wp_error error;
  wp_status status = wp_process_pool_create(&config, &lab.pool, &error);
  CHECK(status == WP_UNSUPPORTED, "create: %s", wp_status_name(status));
  CHECK(status == WP_UNSUPPORTED && strstr(error.rule, reason) != NULL, "%s", error.rule);
}

#ifndef WP_SANDBOX

void sandbox_refuses(wp_start_method method) { check_refusal(method, "trait 'Sandbox'"); }
void sandbox_allows(wp_start_method method) { sandbox_refuses(method); }
void sandbox_not_granted(wp_start_method method) { sandbox_refuses(method); }

#else

static const call forbidden[] = {
    // Files.
    CALL(openat, AT, ARGUMENT, O_RDONLY), CALL(openat2, AT, ARGUMENT, ARGUMENT, 24), CALL(newfstatat, AT, ARGUMENT),
    CALL(statx, AT, ARGUMENT), CALL(unlinkat, AT, ARGUMENT), CALL(renameat2, AT, ARGUMENT), CALL(mkdirat, AT, ARGUMENT),
    CALL(readlinkat, AT, ARGUMENT), CALL(getdents64, 1), CALL(ftruncate, 1, 0), CALL(chdir, ARGUMENT), CALL(umask, 0),
    CALL(chroot, ARGUMENT), CALL(open_by_handle_at, 1), CALL(memfd_create, ARGUMENT, 0), CALL(io_uring_setup, 1),
    // Descriptors.
    CALL(read, 1, 0, 0), CALL(read, 2, 0, 0), CALL(read, 3, 0, 0), CALL(pread64, 1, 0, 0), CALL(write, 9, 0, 0),
    CALL(lseek, 1, 0, 0), CALL(dup, 1), CALL(fcntl, 1, F_DUPFD, 0), CALL(pipe2, ARGUMENT, 0), CALL(eventfd2, 0, 0),
    CALL(epoll_create1, 0), CALL(ioctl, 0, TIOCSTI, ARGUMENT), CALL(pidfd_getfd, 1, 0, 0), CALL(splice, 0, 0, 1),
    // Sockets.
    CALL(socket, 1, 1, 0), CALL(socketpair, 1, 1, 0, ARGUMENT), CALL(connect, 1), CALL(sendmsg, 1), CALL(recvmsg, 1),
    CALL(sendto, 1),
    // Programs and processes. A thread must share all that threads share, and stay in its namespaces.
    CALL(execve, ARGUMENT, 0, 0), CALL(execveat, AT, ARGUMENT), CALL(clone, SIGCHLD), CALL(clone, CLONE_VM | SIGCHLD),
    CALL(clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWNS), CALL(unshare, CLONE_NEWUSER), CALL(setns, 1, 0),
    CALL(wait4, UINT64_MAX - 1), CALL(setsid, 0), CALL(setuid, 0), CALL(capset, 0), CALL(personality, 0),
    // Signals to others, and how others are looked into.
    CALL(kill, 1, 0), CALL(kill, 0, 0), CALL(tkill, 1, 0), CALL(tgkill, 1, 1, 0), CALL(rt_sigqueueinfo, 1, 0, ARGUMENT),
    CALL(rt_tgsigqueueinfo, 1, 1, 0, ARGUMENT), CALL(pidfd_open, 1, 0), CALL(pidfd_send_signal, 1, 0, 0, 0),
    CALL(ptrace, 16, 1), CALL(process_vm_readv, 1), CALL(process_vm_writev, 1), CALL(process_madvise, 1), CALL(kcmp, 1),
    CALL(perf_event_open, ARGUMENT), CALL(bpf, 0), CALL(userfaultfd, 0),
    // Limits, and ways out of the sandbox.
    CALL(prlimit64, 0, RLIMIT_CPU, ARGUMENT, 0), CALL(prlimit64, 1, RLIMIT_CPU, 0, ARGUMENT),
    CALL(setrlimit, RLIMIT_DATA, ARGUMENT), CALL(setpriority, 0, 0, 0), CALL(sched_setaffinity, 0, 8, ARGUMENT),
    CALL(sched_setscheduler, 0, 0, ARGUMENT), CALL(prctl, PR_SET_PDEATHSIG, 0), CALL(prctl, PR_SET_DUMPABLE, 1),
    CALL(seccomp, 0, 0, 0), CALL(rt_sigaction, SIGSYS, 0, 0, 8), CALL(rt_sigaction, (1ull << 32) | SIGSYS, 0, 0, 8),
    // Memory that is a file, or is executed, or is somebody else's.
    CALL(mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 1, 0), CALL(mmap, 0, 4096, PROT_READ, MAP_SHARED, 0, 0),
    CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX - 1, 0),
    CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, UINT64_MAX - 1, 0),
    CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, UINT64_MAX - 1, 0),
    CALL(move_pages, 1), CALL(move_pages, 0, 0, 0, ARGUMENT, 0, 0), CALL(migrate_pages, 1),
    CALL(mprotect, ARGUMENT, 0, PROT_EXEC), CALL(madvise, ARGUMENT, 0, 100), CALL(remap_file_pages, ARGUMENT),
    CALL(shmget, 0), CALL(mq_open, ARGUMENT), CALL(add_key, ARGUMENT),
#ifdef __x86_64__
    CALL(open, ARGUMENT, O_RDONLY), CALL(creat, ARGUMENT), CALL(fork, 0), CALL(vfork, 0), CALL(arch_prctl, 0),
    CALL(ioperm, 0),
#endif
};

static const call allowed[] = {
    CALL(getpid, 0), CALL(gettid, 0), CALL(sched_yield, 0), CALL(brk, 0), CALL(write, 2, ARGUMENT, 0),
    CALL(read, 0, ARGUMENT, 1), CALL(prlimit64, 0, RLIMIT_CPU, 0, 0), CALL(getrandom, 0, 0, 0),
    CALL(clock_gettime, CLOCK_MONOTONIC, 0), CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
    CALL(prlimit64, 0, RLIMIT_DATA, 0, 0), CALL(timer_delete, 1),
    CALL(rt_sigaction, SIGUSR1, 0, 0, 8), CALL(rt_sigaction, 64, 0, 0, 8), CALL(mbind, 0, 0, 0, 0, 0, 0),
    CALL(get_mempolicy, 0, 0, 0, 0, 0), CALL(mincore, 0, 0, ARGUMENT), CALL(move_pages, 0, 0, 0, 0, 0, 0),
};

enum { FORBIDDEN = sizeof forbidden / sizeof forbidden[0], ALLOWED = sizeof allowed / sizeof allowed[0] };

void open_sandboxed(test_lab *lab, uint32_t workers, size_t tasks) {
  wp_process_pool_config config = lab_config(lab, workers, WP_START_REEXEC);
  config.sandbox = WP_SANDBOX_COMPUTE_ONLY;
  lab_open_with(lab, &config, tasks);
}

void submit_call(test_lab *lab, size_t task, uint32_t function, const call *made) {
  uint64_t bytes[7] = {made->number};
  memcpy(bytes + 1, made->arguments, sizeof made->arguments);
  lab_submit(lab, task, function, bytes, sizeof bytes);
}

void check_forbidden(test_lab *lab, size_t task, const char *expected, const char *what) {
  ending end = lab_await_task(lab, task);
  int status = end.outcome.wait_status;
  CHECK(end.outcome.end == WP_TASK_WORKER_DIED && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
        "%s (%zu): end %d, wait status %x", what, task, (int)end.outcome.end, status);
  char name[64] = "-";
  CHECK(end.outcome.forbidden_call != 0, "%s: no forbidden call", what);
  wp_system_call_name(end.outcome.forbidden_call, name, sizeof name);
  CHECK(strcmp(name, expected) == 0, "%s (%zu): %s", what, task, name);
}

static void check_echo(test_lab *lab, size_t task) {
  ending end = lab_await_task(lab, task);
  CHECK(end.times == 1 && end.outcome.end == WP_TASK_REPLIED && end.hash == hash_bytes(&task, sizeof task),
        "neighbour %zu: end %d", task, (int)end.outcome.end);
}

void sandbox_refuses(wp_start_method method) {
  if (method == WP_START_FORK) {
    check_refusal(method, "cannot be forked");
    return;
  }
  enum { BLOCKED = 2 * FORBIDDEN, RAISED, LAST };
  leftovers before = count_leftovers();
  test_lab lab;
  open_sandboxed(&lab, 2, LAST + 1);
  for (size_t i = 0; i < FORBIDDEN; i++) {
    submit_call(&lab, 2 * i, DO_SYSTEM_CALL, &forbidden[i]);
    size_t neighbour = 2 * i + 1;
    lab_submit(&lab, neighbour, DO_ECHO, &neighbour, sizeof neighbour);
  }
  // Without the handler's help: the kernel kills all the same, and the call stays unnamed.
  submit_call(&lab, BLOCKED, DO_SYSTEM_CALL_BLOCKED, &forbidden[0]);
  lab_submit(&lab, RAISED, DO_RAISE_SIGSYS, NULL, 0);
  size_t last = LAST;
  lab_submit(&lab, last, DO_ECHO, &last, sizeof last);
  for (size_t i = 0; i < FORBIDDEN; i++) {
    check_forbidden(&lab, 2 * i, forbidden[i].name, forbidden[i].name);
    check_echo(&lab, 2 * i + 1);
  }
  check_forbidden(&lab, BLOCKED, "-", "with SIGSYS blocked");
  check_forbidden(&lab, RAISED, "-", "SIGSYS raised");
  check_echo(&lab, last);
  lab_close(&lab);
  check_leftovers(before, "after a sandboxed pool");
}

void sandbox_allows(wp_start_method method) {
  if (method == WP_START_FORK) {
    check_refusal(method, "cannot be forked");
    return;
  }
  enum { TRAPPED = ALLOWED, ABORTED, WITHOUT_MREMAP, WITHOUT_CLONE3, EXITED, LAST };
  test_lab lab;
  open_sandboxed(&lab, 1, LAST);
  int32_t first = 0, last = 0;
  CHECK(wp_process_pool_worker_pids(lab.pool, &first, 1) == 1, "one worker");
  for (size_t i = 0; i < ALLOWED; i++) submit_call(&lab, i, DO_SYSTEM_CALL, &allowed[i]);
  const call answered[] = {CALL(mremap, 0, 0, 0, 0), CALL(clone3, ARGUMENT, 88)};
  submit_call(&lab, WITHOUT_MREMAP, DO_SYSTEM_CALL, &answered[0]);
  submit_call(&lab, WITHOUT_CLONE3, DO_SYSTEM_CALL, &answered[1]);
  for (size_t i = 0; i < ALLOWED; i++) {
    ending end = lab_await_task(&lab, i);
    CHECK(end.outcome.end == WP_TASK_REPLIED, "%s (%zu): end %d", allowed[i].name, i, (int)end.outcome.end);
  }
  for (size_t i = WITHOUT_MREMAP; i <= WITHOUT_CLONE3; i++) {
    ending end = lab_await_task(&lab, i);
    int64_t result = 0;
    memcpy(&result, end.head, sizeof result);
    CHECK(end.outcome.end == WP_TASK_REPLIED && result == -ENOSYS, "%zu: %lld", i, (long long)result);
  }
  CHECK(wp_process_pool_worker_pids(lab.pool, &last, 1) == 1 && last == first, "the worker did not die");
  // Other ways to die are what they are elsewhere.
  lab_submit(&lab, TRAPPED, DO_TRAP, NULL, 0);
  lab_submit(&lab, ABORTED, DO_ABORT, NULL, 0);
  lab_submit(&lab, EXITED, DO_EXIT_3, NULL, 0);
  const int statuses[][2] = {{TRAPPED, SIGILL}, {ABORTED, SIGABRT}, {EXITED, 3 << 8}};
  for (size_t i = 0; i < 3; i++) {
    ending end = lab_await_task(&lab, (size_t)statuses[i][0]);
    CHECK(end.outcome.end == WP_TASK_WORKER_DIED && (end.outcome.wait_status & 0xff7f) == statuses[i][1] &&
              end.outcome.forbidden_call == 0,
          "wait status %x, call %u", end.outcome.wait_status, end.outcome.forbidden_call);
  }
  lab_close(&lab);
}

/// Lets this process and its children have `answer` in place of what seccomp(2) would do.
static void answer_seccomp(uint32_t answer) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program;
  program.len = sizeof steps / sizeof steps[0];
  program.filter = steps;
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs: %s", strerror(errno));
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "PR_SET_SECCOMP: %s", strerror(errno));
}

void sandbox_not_granted(wp_start_method method) {
  if (method == WP_START_FORK) {
    check_refusal(method, "cannot be forked");
    return;
  }
  leftovers before = count_leftovers();
  // First somebody who says yes and does nothing, then one who says no: of filters that answer alike the newest counts.
  const struct {
    uint32_t answer;
    int expected;
  } cases[] = {{0, ENOTSUP}, {EPERM, EPERM}};
  for (size_t i = 0; i < 2; i++) {
    answer_seccomp(cases[i].answer);
    test_lab lab;
    wp_process_pool_config config = lab_config(&lab, 2, method);
    config.sandbox = WP_SANDBOX_COMPUTE_ONLY;
    wp_error error;
    wp_status status = wp_process_pool_create(&config, &lab.pool, &error);
    CHECK(status == WP_SYSTEM_CALL_FAILED && strcmp(error.call, "seccomp") == 0 &&
              error.system_errno == cases[i].expected,
          "seccomp answers %u: %s, errno %d", cases[i].answer, wp_status_name(status), error.system_errno);
    check_leftovers(before, "after a sandbox that was not granted");
  }
}

#endif
