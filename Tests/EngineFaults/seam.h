// The seam of the system calls: what the engine asks of the system, told to fail one call at a time.
//
// A test build puts this before each of the engine's files (-include), which stay as they are: a call of one of the functions
// below then asks `seam_fails` first, and does not happen if that says so. Each call that stands in the sources is a site,
// which the linker collects in a section of its own, so that a test knows those too that nothing has reached.
#ifndef SEAM_H
#define SEAM_H

// Before the macros, which would meddle with the declarations. A file of the engine has an `accept` of its own.
#define accept seam_other_accept
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <numa.h>
#include <numaif.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#undef accept

#include "site.h"

static inline void *seam_block(void *block) {
  if (block != NULL) seam_holds(SEAM_BLOCKS, 1);
  return block;
}

static inline void *seam_resized(const void *before, void *block) { return before == NULL ? seam_block(block) : block; }

static inline void *seam_freed(void *block) {
  if (block != NULL) seam_holds(SEAM_BLOCKS, -1);
  return block;
}

static inline void *seam_mapped(void *address) {
  if (address != MAP_FAILED) seam_holds(SEAM_MAPPINGS, 1);
  return address;
}

static inline int seam_unmapped(int result) {
  if (result == 0) seam_holds(SEAM_MAPPINGS, -1);
  return result;
}

static inline pid_t seam_waited(pid_t process, const int *status) {
  if (process > 0) seam_reaped(process, *status);
  return process;
}

static inline int seam_waited_id(int result, const siginfo_t *info, int options) {
  if (result != 0 || info->si_pid == 0 || (options & WNOWAIT) != 0) return result;
  seam_reaped(info->si_pid, info->si_code == CLD_EXITED ? info->si_status << 8 : info->si_status & 0x7f);
  return result;
}

static inline void seam_drop_descriptors(struct msghdr *message) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    int descriptors[(sizeof(struct cmsghdr) + 1024) / sizeof(int)];
    size_t length = header->cmsg_len - CMSG_LEN(0);
    memcpy(descriptors, CMSG_DATA(header), length);
    for (size_t i = 0; i < length / sizeof(int); i++) close(descriptors[i]);
  }
  message->msg_controllen = 0;
  message->msg_flags |= MSG_CTRUNC;
}

#define SEAM_SITE(name)                                                            \
  ({                                                                               \
    static seam_site site __attribute__((section("seam_sites"), used)) = {name, __FILE__, __func__, __LINE__, -1}; \
    &site;                                                                         \
  })
/// A call that returns something else than `failed` unless it fails; one that returns an error number.
#define SEAM(failed, name, call) (seam_fails(SEAM_SITE(name)) ? (failed) : (call))
#define SEAM_NUMBER(name, call) (seam_fails(SEAM_SITE(name)) ?: (call))

// Memory.
#define malloc(...) seam_block(SEAM(NULL, "malloc", malloc(__VA_ARGS__)))
#define calloc(...) seam_block(SEAM(NULL, "calloc", calloc(__VA_ARGS__)))
#define aligned_alloc(...) seam_block(SEAM(NULL, "aligned_alloc", aligned_alloc(__VA_ARGS__)))
#define realloc(block, ...) seam_resized(block, SEAM(NULL, "realloc", realloc(block, __VA_ARGS__)))
#define free(block) free(seam_freed((void *)(uintptr_t)(block)))
#define mmap(...) seam_mapped(SEAM(MAP_FAILED, "mmap", mmap(__VA_ARGS__)))
#define munmap(...) seam_unmapped(munmap(__VA_ARGS__))
#define mprotect(...) SEAM(-1, "mprotect", mprotect(__VA_ARGS__))
#define madvise(...) SEAM(-1, "madvise", madvise(__VA_ARGS__))
#define mincore(...) SEAM(-1, "mincore", mincore(__VA_ARGS__))
#define mbind(...) SEAM(-1, "mbind", mbind(__VA_ARGS__))
#define move_pages(...) SEAM(-1, "move_pages", move_pages(__VA_ARGS__))
#define get_mempolicy(...) SEAM(-1, "get_mempolicy", get_mempolicy(__VA_ARGS__))

// Files.
#define open(...) SEAM(-1, "open", open(__VA_ARGS__))
#define read(...) SEAM(-1, "read", read(__VA_ARGS__))
#define pread(...) SEAM(-1, "pread", pread(__VA_ARGS__))
#define write(...) SEAM(-1, "write", write(__VA_ARGS__))
#define lseek(...) SEAM(-1, "lseek", lseek(__VA_ARGS__))
#define fstat(...) SEAM(-1, "fstat", fstat(__VA_ARGS__))
#define fcntl(...) SEAM(-1, "fcntl", fcntl(__VA_ARGS__))
#define dup2(...) SEAM(-1, "dup2", dup2(__VA_ARGS__))
#define pipe2(...) SEAM(-1, "pipe2", pipe2(__VA_ARGS__))
#define memfd_create(...) SEAM(-1, "memfd_create", memfd_create(__VA_ARGS__))
#define ftruncate(...) SEAM(-1, "ftruncate", ftruncate(__VA_ARGS__))
#define fallocate(...) SEAM(-1, "fallocate", fallocate(__VA_ARGS__))
#define opendir(...) SEAM(NULL, "opendir", opendir(__VA_ARGS__))
#define mkdir(...) SEAM(-1, "mkdir", mkdir(__VA_ARGS__))
#define rmdir(...) SEAM(-1, "rmdir", rmdir(__VA_ARGS__))
#define unlinkat(...) SEAM(-1, "unlinkat", unlinkat(__VA_ARGS__))
#define eaccess(...) SEAM(-1, "eaccess", eaccess(__VA_ARGS__))
#define getxattr(...) SEAM(-1, "getxattr", getxattr(__VA_ARGS__))

// Sockets and events.
#define socketpair(...) SEAM(-1, "socketpair", socketpair(__VA_ARGS__))
/// A call that may wait is another one: it is not put off.
#define sendmsg(socket, message, flags)                                           \
  (((flags) & MSG_DONTWAIT) != 0 ? SEAM(-1, "sendmsg", sendmsg(socket, message, flags)) \
                                 : SEAM(-1, "sendmsg, waiting", sendmsg(socket, message, flags)))
#define recvmsg(socket, message, flags)                                                   \
  (((flags) & MSG_DONTWAIT) != 0 ? SEAM_RECEIVE("recvmsg", socket, message, flags)        \
                                 : SEAM_RECEIVE("recvmsg, waiting", socket, message, flags))
/// Without room for descriptors the message comes, and they do not.
#define SEAM_RECEIVE(name, socket, message, flags)                                        \
  ({                                                                                      \
    int seam_number = seam_fails(SEAM_SITE(name));                                        \
    ssize_t seam_length = seam_number == 0 || seam_number == EMFILE ? recvmsg(socket, message, flags) : -1; \
    if (seam_number == EMFILE && seam_length > 0) seam_drop_descriptors(message);         \
    seam_length;                                                                          \
  })
#define send(...) SEAM(-1, "send", send(__VA_ARGS__))
#define getsockopt(...) SEAM(-1, "getsockopt", getsockopt(__VA_ARGS__))
#define poll(...) SEAM(-1, "poll", poll(__VA_ARGS__))
#define ppoll(...) SEAM(-1, "ppoll", ppoll(__VA_ARGS__))
#define epoll_create1(...) SEAM(-1, "epoll_create1", epoll_create1(__VA_ARGS__))
#define epoll_ctl(...) SEAM(-1, "epoll_ctl", epoll_ctl(__VA_ARGS__))
#define epoll_wait(...) SEAM(-1, "epoll_wait", epoll_wait(__VA_ARGS__))
#define signalfd(...) SEAM(-1, "signalfd", signalfd(__VA_ARGS__))

// Processes and threads.
#define fork() seam_forked(SEAM(-1, "fork", fork()))
#define posix_spawn(...) SEAM_NUMBER("posix_spawn", posix_spawn(__VA_ARGS__))
#define posix_spawn_file_actions_init(...) \
  SEAM_NUMBER("posix_spawn_file_actions_init", posix_spawn_file_actions_init(__VA_ARGS__))
#define posix_spawn_file_actions_adddup2(...) \
  SEAM_NUMBER("posix_spawn_file_actions_adddup2", posix_spawn_file_actions_adddup2(__VA_ARGS__))
#define posix_spawnattr_init(...) SEAM_NUMBER("posix_spawnattr_init", posix_spawnattr_init(__VA_ARGS__))
#define seam_status_of(status) ((status) != NULL ? (status) : &(int){0})
#define waitpid(process, status, options)                                               \
  ({                                                                                    \
    int *seam_status = seam_status_of((int *)(status));                                 \
    seam_waited(SEAM(-1, "waitpid", waitpid(process, seam_status, options)), seam_status); \
  })
#define wait4(process, status, options, usage) \
  seam_waited(SEAM(-1, "wait4", wait4(process, status, options, usage)), status)
#define waitid(kind, id, info, options) \
  seam_waited_id(SEAM(-1, "waitid", waitid(kind, id, info, options)), info, options)
#define kill(...) SEAM(-1, "kill", kill(__VA_ARGS__))
#define setpgid(...) SEAM(-1, "setpgid", setpgid(__VA_ARGS__))
#define prctl(...) SEAM(-1, "prctl", prctl(__VA_ARGS__))
#define setpriority(...) SEAM(-1, "setpriority", setpriority(__VA_ARGS__))
#define setrlimit(...) SEAM(-1, "setrlimit", setrlimit(__VA_ARGS__))
#define sigaltstack(...) SEAM(-1, "sigaltstack", sigaltstack(__VA_ARGS__))
#define sched_getaffinity(...) SEAM(-1, "sched_getaffinity", sched_getaffinity(__VA_ARGS__))
#define setgroups(...) SEAM(-1, "setgroups", setgroups(__VA_ARGS__))
#define setresgid(...) SEAM(-1, "setresgid", setresgid(__VA_ARGS__))
#define setresuid(...) SEAM(-1, "setresuid", setresuid(__VA_ARGS__))
#define pthread_create(...) SEAM_NUMBER("pthread_create", pthread_create(__VA_ARGS__))
#define pthread_attr_init(...) SEAM_NUMBER("pthread_attr_init", pthread_attr_init(__VA_ARGS__))
#define pthread_attr_setaffinity_np(...) \
  SEAM_NUMBER("pthread_attr_setaffinity_np", pthread_attr_setaffinity_np(__VA_ARGS__))
#define pthread_attr_setsigmask_np(...) \
  SEAM_NUMBER("pthread_attr_setsigmask_np", pthread_attr_setsigmask_np(__VA_ARGS__))
#define pthread_getattr_np(...) SEAM_NUMBER("pthread_getattr_np", pthread_getattr_np(__VA_ARGS__))
/// By the name of its number.
#define syscall(number, ...) SEAM(-1, #number, syscall(number, ##__VA_ARGS__))

#endif
