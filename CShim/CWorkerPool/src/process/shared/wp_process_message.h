// What host and template say to each other over the control socket, and how a failed call travels between processes.
//
//     host ──▶ template   START (files, bells)     SPAWN (worker's file, door of a cgroup)   KILL          QUIT
//     template ──▶ host   HELLO | FAILED           SPAWNED (pidfd, socket) | SPAWN_FAILED    KILL_FAILED   EXITED
//
// Over the socket of each worker it sends shared memories (host/wp_host_share.h).
//
// For each worker the host asks for the next one only after EXITED or SPAWN_FAILED of the last, so that few reports are ever on
// their way; or after it has seen the last one's end for itself, when the template does not answer.
#ifndef WP_PROCESS_MESSAGE_H
#define WP_PROCESS_MESSAGE_H

#include "../../platform/wp_credentials.h"
#include "../../platform/wp_name.h"
#include "wp_process_data.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Calls that may fail in another process than the one that reports them.
typedef enum wp_call {
  WP_CALL_NONE = 0,
  WP_CALL_FORK,
  WP_CALL_MMAP,
  WP_CALL_PIDFD_OPEN,
  WP_CALL_SIGNALFD,
  WP_CALL_RECVMSG,
  WP_CALL_CALLOC,
  WP_CALL_SOCKETPAIR,
  /// `wp_process_reexec_handler` is missing or returned nothing.
  WP_CALL_HANDLER,
  WP_CALL_PIPE,
  WP_CALL_OPEN,
  WP_CALL_DUP,
  WP_CALL_SETPRIORITY,
  WP_CALL_LIMIT_DATA,
  WP_CALL_LIMIT_FILES,
  WP_CALL_LIMIT_CORE,
  WP_CALL_TIMER_CREATE,
  WP_CALL_SIGALTSTACK,
  /// No call: the memory limit is below what a worker has when it starts.
  WP_CALL_MEMORY_FLOOR,
  /// No call: the initializer replied with a code.
  WP_CALL_INITIALIZER,
  WP_CALL_SECCOMP_INIT,
  WP_CALL_SECCOMP_RULE_ADD,
  WP_CALL_SECCOMP_EXPORT_BPF,
  WP_CALL_SECCOMP,
  WP_CALL_PRCTL,
  WP_CALL_CAPSET,
  WP_CALL_SIGACTION,
  WP_CALL_JOIN_CGROUP,
  WP_CALL_SETRESUID,
  WP_CALL_PTHREAD_CREATE,
  WP_CALL_MPROTECT,
  WP_CALL_SENDMSG,
} wp_call;

/// The name of a call, "?" for a number that is none.
const char *wp_call_name(uint32_t call);
/// The rule that was broken, for what is no call; else NULL.
const char *wp_call_rule(uint32_t call);

typedef enum wp_message_kind {
  WP_MESSAGE_START = 1,
  WP_MESSAGE_SPAWN,
  WP_MESSAGE_QUIT,
  WP_MESSAGE_HELLO,
  WP_MESSAGE_FAILED,
  WP_MESSAGE_SPAWNED,
  WP_MESSAGE_SPAWN_FAILED,
  WP_MESSAGE_EXITED,
  WP_MESSAGE_KILL,
  WP_MESSAGE_KILL_FAILED,
} wp_message_kind;

/// Descriptors that come with START: the given file, the arguments, the bells; and the output, if any is captured.
#define WP_START_DESCRIPTORS 4u

typedef struct wp_message {
  uint32_t kind;
  uint32_t worker;
  uint32_t generation;
  /// The host's in START, the template's in HELLO, the worker's elsewhere.
  int32_t process;
  /// Wait status in EXITED, `errno` in failures, and in SPAWN when there should be a door and is none.
  int32_t value;
  uint32_t call;
  /// Largest resident memory in bytes, in EXITED.
  uint64_t peak_memory;
  /// What the host does with signals (platform/wp_signals.h), in SPAWN.
  uint64_t ignored_signals;
  uint64_t handled_signals;
  /// In SPAWN: whether the worker is to be somebody else than the template, and who: the host, as it is now.
  uint32_t changes_credentials;
  wp_credentials credentials;
  /// In HELLO: a thread besides the template's first, in `worker`, and its name.
  char thread_name[WP_NAME_BYTES];
} wp_message;

// MARK: Over a worker's own socket

/// A shared memory for one of the worker's cells.
typedef struct wp_share_delivery {
  uint64_t id;
  uint64_t length;
  uint32_t cell;
  uint32_t writable;
} wp_share_delivery;

/// What comes over the socket, with one descriptor for each delivery.
typedef struct wp_share_message {
  /// Of the task that brings it.
  uint32_t position;
  uint32_t count;
  wp_share_delivery deliveries[WP_PROCESS_MAX_SHARED];
} wp_share_message;

#ifdef __cplusplus
}
#endif

#endif
