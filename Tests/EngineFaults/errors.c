#include "errors.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { MOST = 8 };

/// What a kernel that is sound may answer to arguments that are right. A fault must not say what is not so: that a process
/// is gone that lives, or that a pipe is full that is empty.
static const struct {
  const char *call;
  /// NULL for any.
  const char *function;
  int errors[MOST];
} table[] = {
    {"malloc", NULL, {ENOMEM}},
    {"calloc", NULL, {ENOMEM}},
    {"aligned_alloc", NULL, {ENOMEM}},
    {"realloc", NULL, {ENOMEM}},
    {"mmap", NULL, {ENOMEM, EAGAIN}},
    {"mprotect", NULL, {ENOMEM}},
    {"madvise", NULL, {ENOMEM, EINVAL}},
    {"mincore", NULL, {ENOMEM}},
    {"mbind", NULL, {ENOMEM, EPERM, ENOSYS}},
    {"move_pages", NULL, {ENOMEM, EPERM, ENOSYS}},
    {"get_mempolicy", NULL, {EPERM, ENOSYS}},
    {"open", "open_again", {EMFILE, EACCES, ENXIO}},
    {"open", "wp_file_read", {EINTR, EMFILE, EACCES, ENOMEM}},
    {"open", "open_file", {EINTR, EMFILE, EACCES, ENOMEM}},
    {"open", NULL, {EMFILE, ENFILE, EACCES, ENOMEM}},
    {"read", "wp_event_clear", {EINTR, EAGAIN}},
    {"read", "wp_job_signals_take", {EINTR, EAGAIN}},
    {"read", "take", {EINTR, EAGAIN}},
    {"read", NULL, {EINTR, EIO, ENOMEM}},
    {"pread", NULL, {ENOMEM}},
    {"write", "wp_event_ring", {EINTR}},
    {"write", "write_now", {EINTR, EAGAIN, EIO, ENOSPC, EPIPE}},
    {"write", "write_file", {EINTR, EACCES, EBUSY, ENOMEM}},
    {"write", "join_cgroup", {EACCES, EBUSY, ENOMEM}},
    {"write", NULL, {EACCES, ENOMEM}},
    {"lseek", NULL, {0}},
    {"fstat", NULL, {EBADF}},
    {"fcntl", "seal", {EPERM, EBUSY}},
    {"fcntl", "wp_event_create", {EPERM, EBUSY}},
    {"fcntl", NULL, {EMFILE}},
    {"dup2", NULL, {EBUSY}},
    {"pipe2", NULL, {EMFILE, ENFILE}},
    {"memfd_create", NULL, {EMFILE, ENFILE, ENOMEM, EPERM}},
    {"ftruncate", NULL, {ENOMEM, EPERM}},
    {"fallocate", NULL, {ENOMEM, ENOSPC, EINTR}},
    {"opendir", NULL, {EMFILE, EACCES, ENOMEM}},
    {"mkdir", NULL, {EACCES, ENOMEM, ENOSPC}},
    {"rmdir", NULL, {EBUSY}},
    {"unlinkat", NULL, {EBUSY}},
    {"eaccess", NULL, {EACCES}},
    {"getxattr", NULL, {ENODATA, EOPNOTSUPP}},
    {"socketpair", NULL, {EMFILE, ENFILE, ENOBUFS}},
    {"sendmsg", NULL, {EINTR, EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS}},
    {"sendmsg, waiting", NULL, {EINTR, ENOBUFS, ENOMEM, ETOOMANYREFS}},
    {"recvmsg", NULL, {EINTR, EAGAIN, ENOMEM, EMFILE}},
    {"recvmsg, waiting", NULL, {EINTR, ENOMEM, EMFILE}},
    {"send", NULL, {EINTR, EAGAIN, ENOBUFS, EPIPE}},
    {"getsockopt", NULL, {EACCES}},
    {"poll", NULL, {EINTR, ENOMEM, EINVAL}},
    {"ppoll", NULL, {EINTR, ENOMEM, EINVAL}},
    {"epoll_create1", NULL, {EMFILE, ENFILE, ENOMEM}},
    {"epoll_ctl", "wp_witness_end", {0}},
    {"epoll_ctl", NULL, {ENOMEM, ENOSPC}},
    {"epoll_wait", NULL, {EINTR}},
    {"signalfd", NULL, {EMFILE, ENFILE, ENOMEM}},
    {"fork", NULL, {EAGAIN, ENOMEM}},
    {"posix_spawn", NULL, {EAGAIN, ENOMEM, EACCES}},
    {"posix_spawn_file_actions_init", NULL, {ENOMEM}},
    {"posix_spawn_file_actions_adddup2", NULL, {ENOMEM}},
    {"posix_spawnattr_init", NULL, {ENOMEM}},
    {"waitpid", NULL, {EINTR}},
    {"wait4", NULL, {EINTR}},
    {"waitid", NULL, {EINTR}},
    {"kill", "wp_memory_cgroup_sweep", {0}},
    {"kill", "kill_children_of", {0}},
    {"kill", "wp_process_group_continue", {0}},
    {"kill", "spawn", {0}},
    {"kill", NULL, {EPERM}},
    {"setpgid", NULL, {EACCES, EPERM}},
    {"prctl", NULL, {EPERM}},
    {"setpriority", NULL, {EACCES}},
    {"setrlimit", NULL, {EPERM}},
    {"sigaltstack", NULL, {ENOMEM}},
    {"sched_getaffinity", NULL, {EPERM, EINVAL}},
    {"setgroups", NULL, {EPERM, ENOMEM}},
    {"setresgid", NULL, {EPERM}},
    {"setresuid", NULL, {EPERM, EAGAIN}},
    {"pthread_create", NULL, {EAGAIN}},
    {"pthread_attr_init", NULL, {ENOMEM}},
    {"pthread_attr_setaffinity_np", NULL, {ENOMEM}},
    {"pthread_attr_setsigmask_np", NULL, {ENOMEM}},
    {"pthread_getattr_np", NULL, {ENOMEM}},
    {"SYS_futex", "wp_futex_wait", {EINTR, EAGAIN}},
    {"SYS_pidfd_open", NULL, {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {"SYS_pidfd_send_signal", "wp_pidfd_kill", {EPERM}},
    {"SYS_pidfd_send_signal", "wp_pidfd_kill_group", {EPERM, EINVAL}},
    {"SYS_close_range", NULL, {ENOSYS, EPERM}},
    {"SYS_sched_setaffinity", NULL, {EINVAL, EPERM}},
    {"SYS_timer_create", NULL, {EAGAIN, ENOMEM}},
    {"SYS_capset", NULL, {EPERM}},
    {"SYS_seccomp", NULL, {EINVAL, ENOMEM, EACCES}},
};

const int *errors_of(const char *call, const char *function) {
  static const int none[MOST];
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strcmp(table[i].call, call) != 0) continue;
    if (table[i].function == NULL || strcmp(table[i].function, function) == 0) return table[i].errors;
  }
  return none;
}
