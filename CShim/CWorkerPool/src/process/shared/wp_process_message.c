#include "wp_process_message.h"

#include <stddef.h>

const char *wp_call_name(uint32_t call) {
  switch (call) {
  case WP_CALL_FORK: return "fork";
  case WP_CALL_MMAP: return "mmap";
  case WP_CALL_PIDFD_OPEN: return "pidfd_open";
  case WP_CALL_SIGNALFD: return "signalfd";
  case WP_CALL_RECVMSG: return "recvmsg";
  case WP_CALL_CALLOC: return "calloc";
  case WP_CALL_SOCKETPAIR: return "socketpair";
  case WP_CALL_HANDLER: return "wp_process_reexec_handler";
  case WP_CALL_PIPE: return "pipe2";
  case WP_CALL_OPEN: return "open";
  case WP_CALL_DUP: return "dup2";
  case WP_CALL_SETPRIORITY: return "setpriority";
  case WP_CALL_LIMIT_DATA: return "setrlimit(RLIMIT_DATA)";
  case WP_CALL_LIMIT_FILES: return "setrlimit(RLIMIT_NOFILE)";
  case WP_CALL_LIMIT_CORE: return "setrlimit(RLIMIT_CORE)";
  case WP_CALL_TIMER_CREATE: return "timer_create";
  case WP_CALL_SIGALTSTACK: return "sigaltstack";
  case WP_CALL_MEMORY_FLOOR: return "limits.memory";
  case WP_CALL_SECCOMP_INIT: return "seccomp_init";
  case WP_CALL_SECCOMP_RULE_ADD: return "seccomp_rule_add";
  case WP_CALL_SECCOMP_EXPORT_BPF: return "seccomp_export_bpf";
  case WP_CALL_SECCOMP: return "seccomp";
  case WP_CALL_PRCTL: return "prctl";
  case WP_CALL_CAPSET: return "capset";
  case WP_CALL_SIGACTION: return "sigaction";
  case WP_CALL_SETRESUID: return "setresuid";
  case WP_CALL_PTHREAD_CREATE: return "pthread_create";
  case WP_CALL_SENDMSG: return "sendmsg";
  case WP_CALL_JOIN_CGROUP: return "write(cgroup.procs)";
  case WP_CALL_MPROTECT: return "mprotect";
  default: return "?";
  }
}

const char *wp_call_rule(uint32_t call) {
  if (call != WP_CALL_MEMORY_FLOOR) return NULL;
  return "is less than the private memory that a worker has when it starts";
}
