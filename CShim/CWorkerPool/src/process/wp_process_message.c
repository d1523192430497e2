#include "wp_process_message.h"

const char *wp_call_name(uint32_t call) {
  switch (call) {
  case WP_CALL_FORK: return "fork";
  case WP_CALL_MMAP: return "mmap";
  case WP_CALL_PIDFD_OPEN: return "pidfd_open";
  case WP_CALL_SIGNALFD: return "signalfd";
  case WP_CALL_RECVMSG: return "recvmsg";
  case WP_CALL_CALLOC: return "calloc";
  case WP_CALL_SCHED_SETAFFINITY: return "sched_setaffinity";
  case WP_CALL_SOCKETPAIR: return "socketpair";
  case WP_CALL_HANDLER: return "wp_process_reexec_handler";
  default: return "?";
  }
}
