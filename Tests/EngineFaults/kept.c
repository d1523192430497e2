#include "kept.h"

#include <stddef.h>

const char *const kept_cases[] = {
    // A wait that failed was taken for the end of a process.
    "plain/fork:host/end/wp_poll.c:wp_poll:ppoll=ENOMEM@1",
    "bereft/fork:host/work/wp_poll.c:wp_poll:ppoll=EINVAL@1~3600000",
    // A message for which the kernel had no room counted as sent to nobody.
    "plain/fork:host/start/wp_socket.c:send_message:sendmsg, waiting=ENOMEM@1",
    "plain/reexec:template/start/wp_socket.c:send_message:sendmsg, waiting=ETOOMANYREFS@1~150",
    "plain/fork:template/work/wp_socket.c:send_message:sendmsg=ENOBUFS@2",
    // A worker that missed a memory once had it never, and then each message too late.
    "plain/fork:worker/work/wp_process_views.c:map:calloc=ENOMEM@2",
    "plain/fork:worker/work/wp_process_views.c:wp_views_receive:calloc=ENOMEM@1",
    "plain/fork:worker/work/wp_socket.c:wp_socket_receive:recvmsg=EAGAIN@1",
    "plain/reexec:worker/work/wp_shared_memory.c:wp_memory_map:mmap=ENOMEM@7",
    NULL,
};
