#include "wp_socket.h"

#include "wp_clock.h"
#include "wp_process.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/// How long a message that may wait does so for memory of the kernel's.
#define WP_SHORTAGE_NS ((uint64_t)1000000000)

/// Room for the descriptors that travel with a message, aligned as the kernel wants it.
typedef union wp_socket_ancillary {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * WP_SOCKET_MAX_DESCRIPTORS)];
} wp_socket_ancillary;

bool wp_socket_pair(int ends[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
  ends[0] = wp_above_stdio(ends[0]);
  ends[1] = wp_above_stdio(ends[1]);
  if (ends[0] >= 0 && ends[1] >= 0) return true;
  int saved = errno;
  if (ends[0] >= 0) close(ends[0]);
  if (ends[1] >= 0) close(ends[1]);
  errno = saved;
  return false;
}

/// Whether the kernel had no room for a message, which passes.
static bool is_shortage(int number) { return number == ENOBUFS || number == ENOMEM || number == ETOOMANYREFS; }

static bool send_message(int socket, const struct msghdr *message, size_t length, bool wait) {
  uint64_t end = 0;
  for (;;) {
    ssize_t sent = sendmsg(socket, message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    if (sent == (ssize_t)length) return true;
    if (sent < 0 && errno == EINTR) continue;
    if (sent >= 0 || !is_shortage(errno)) return false;
    if (!wait) {
      errno = EAGAIN;
      return false;
    }
    int number = errno;
    uint64_t now = wp_clock_now();
    if (end == 0) end = now + WP_SHORTAGE_NS;
    if (now >= end) {
      errno = number;
      return false;
    }
    struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
  }
}

bool wp_socket_send(int socket, const void *bytes, size_t length, const int *descriptors, size_t count, bool wait) {
  struct iovec part;
  part.iov_base = (void *)(uintptr_t)bytes;
  part.iov_len = length;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  wp_socket_ancillary ancillary;
  if (count > 0) {
    memset(&ancillary, 0, sizeof ancillary);
    message.msg_control = ancillary.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  return send_message(socket, &message, length, wait);
}

/// Moves the descriptors of one control message out, dropping any beyond `count`.
static void take_descriptors(struct cmsghdr *header, int *descriptors, size_t count) {
  size_t carried = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < carried; i++) {
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
    if (i < count && descriptors[i] < 0) {
      descriptors[i] = wp_above_stdio(descriptor);
    } else {
      close(descriptor);
    }
  }
}

ssize_t wp_socket_receive(int socket, void *bytes, size_t capacity, int *descriptors, size_t count, bool wait) {
  for (size_t i = 0; i < count; i++) descriptors[i] = -1;
  struct iovec part;
  part.iov_base = bytes;
  part.iov_len = capacity;
  wp_socket_ancillary ancillary;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.bytes;
  message.msg_controllen = sizeof ancillary.bytes;
  ssize_t received;
  do received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  while (received < 0 && errno == EINTR);
  if (received < 0) return received;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      take_descriptors(header, descriptors, count);
    }
  }
  return received;
}

void wp_socket_only_send(int socket) { shutdown(socket, SHUT_RD); }

uint64_t wp_socket_number(int socket) {
  struct stat status;
  return fstat(socket, &status) == 0 && S_ISSOCK(status.st_mode) ? (uint64_t)status.st_ino : 0;
}

bool wp_socket_hung_up(int socket) {
  struct pollfd other_end;
  other_end.fd = socket;
  other_end.events = 0;
  return poll(&other_end, 1, 0) == 1 && (other_end.revents & POLLHUP) != 0;
}
