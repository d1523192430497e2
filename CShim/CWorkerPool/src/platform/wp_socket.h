// The sockets between host, template and workers: whole messages (SOCK_SEQPACKET) that may carry descriptors.
#ifndef WP_SOCKET_H
#define WP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WP_SOCKET_MAX_DESCRIPTORS 64

/// Makes a connected pair, close-on-exec, blocking. False with `errno` set ("socketpair").
bool wp_socket_pair(int ends[2]);

/// Sends one message and up to `WP_SOCKET_MAX_DESCRIPTORS` descriptors; raises no SIGPIPE. False with `errno` set.
/// Where socket or kernel have no room now it is EAGAIN if `wait` is false; else this waits, for memory of the kernel's and
/// for descriptors under way at most a second.
bool wp_socket_send(int socket, const void *bytes, size_t length, const int *descriptors, size_t count, bool wait);

/// Receives one message. Descriptors that come with it are close-on-exec; missing ones are -1. Returns its length,
/// 0 at the end of the stream, -1 with `errno` set (EAGAIN when `wait` is false and nothing is there).
ssize_t wp_socket_receive(int socket, void *bytes, size_t capacity, int *descriptors, size_t count, bool wait);

/// Ends receiving: what the other end sends fails there, and does not pile up here.
void wp_socket_only_send(int socket);

/// The number by which the kernel knows the socket, which no other has while it is open; 0 when it is no socket.
uint64_t wp_socket_number(int socket);
/// Whether nobody has the other end any more.
bool wp_socket_hung_up(int socket);

#ifdef __cplusplus
}
#endif

#endif
