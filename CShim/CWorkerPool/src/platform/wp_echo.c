#include "wp_echo.h"

#include "wp_poll.h"
#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool wp_pipe_open(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  ends[0] = wp_above_stdio(ends[0]);
  int saved = errno;
  ends[1] = wp_above_stdio(ends[1]);
  if (ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) return true;
  if (ends[0] >= 0) saved = errno;
  if (ends[0] >= 0) close(ends[0]);
  if (ends[1] >= 0) close(ends[1]);
  errno = saved;
  return false;
}

/// Opens a pipe or terminal once more, without blocking; -1 where that is not allowed.
static int open_again(int descriptor) {
  char path[] = "/proc/self/fd/0";
  path[sizeof path - 2] = (char)('0' + descriptor);
  int again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return again < 0 ? -1 : wp_above_stdio(again);
}

void wp_echo_open(wp_echo *echo, int descriptor) {
  echo->descriptor = descriptor;
  echo->kind = WP_ECHO_PLAIN;
  echo->from = echo->to = 0;
  struct stat status;
  if (fstat(descriptor, &status) != 0) {
    echo->descriptor = -1;
  } else if (S_ISSOCK(status.st_mode)) {
    echo->kind = WP_ECHO_SOCKET;
  } else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    int again = descriptor <= STDERR_FILENO ? open_again(descriptor) : -1;
    if (again >= 0) echo->descriptor = again;
    else echo->kind = WP_ECHO_ASK_FIRST;
  }
}

bool wp_echo_is_behind(const wp_echo *echo) { return echo->from < echo->to; }

static ssize_t write_now(const wp_echo *echo, const unsigned char *bytes, size_t length) {
  if (echo->kind == WP_ECHO_SOCKET) return send(echo->descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (echo->kind == WP_ECHO_ASK_FIRST) {
    struct pollfd room = {echo->descriptor, POLLOUT, 0};
    if (wp_poll(&room, 1, 0) <= 0) {
      errno = EAGAIN;
      return -1;
    }
  }
  return write(echo->descriptor, bytes, length);
}

void wp_echo_flush(wp_echo *echo) {
  while (echo->from < echo->to && echo->descriptor >= 0) {
    ssize_t written = write_now(echo, echo->bytes + echo->from, echo->to - echo->from);
    if (written > 0) echo->from += (size_t)written;
    else if (written < 0 && errno == EINTR) continue;
    else if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    else if (written < 0 && errno == ENOSPC) echo->from = echo->to;  // there may be room again later
    else echo->descriptor = -1;                                      // nobody reads; it is not ours to close
  }
  if (echo->descriptor < 0) echo->from = echo->to;
}

void wp_echo_write(wp_echo *echo, const unsigned char *bytes, size_t length) {
  if (echo->descriptor < 0 || wp_echo_is_behind(echo)) return;
  memcpy(echo->bytes, bytes, length);
  echo->from = 0;
  echo->to = length;
  wp_echo_flush(echo);
}
