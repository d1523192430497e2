#include "wp_process_capture.h"

#include "../../platform/wp_shared_memory.h"
#include "../shared/wp_process_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

WP_STATIC_ASSERT(WP_OUTPUT_CHUNK <= WP_ECHO_BYTES, "what is read at once can be passed on at once");

/// Chunks that are read from one pipe before the others have their turn.
#define WP_CHUNKS_AT_ONCE 4
/// Most that is read from a dead worker's pipe: its children may go on writing to it.
#define WP_CHUNKS_AT_END 1024

static struct pollfd *echo_event(wp_capture *self, uint32_t stream) {
  return &self->events[self->first_event + stream];
}

static struct pollfd *pipe_event(wp_capture *self, uint32_t worker, uint32_t stream) {
  return &self->events[self->first_event + WP_STREAM_COUNT + worker * WP_STREAM_COUNT + stream];
}

static int *pipe_of(wp_capture *self, uint32_t worker, uint32_t stream) {
  return &self->pipes[worker * WP_STREAM_COUNT + stream];
}

static void close_pipe(int *pipe) {
  if (*pipe >= 0) close(*pipe);
  *pipe = -1;
}

wp_call wp_capture_init(wp_capture *self, int file, const wp_geometry *geometry, const wp_pool_head *head,
                        size_t own_events) {
  memset(self, 0, sizeof *self);
  self->geometry = *geometry;
  memcpy(self->settings, head->output, sizeof self->settings);
  self->first_event = own_events;
  size_t pipes = (size_t)geometry->capacity * WP_STREAM_COUNT;
  self->event_count = own_events + WP_STREAM_COUNT;
  self->pipes = (int *)calloc(pipes, sizeof *self->pipes);
  self->events = (struct pollfd *)calloc(self->event_count + pipes, sizeof *self->events);
  if (self->pipes == NULL || self->events == NULL) return WP_CALL_CALLOC;
  for (size_t i = 0; i < pipes; i++) self->pipes[i] = -1;
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    self->given[i] = -1;
    self->echoes[i].descriptor = -1;
    bool echo = self->settings[i].mode == WP_OUTPUT_CAPTURE && self->settings[i].echo;
    if (echo) wp_echo_open(&self->echoes[i], STDOUT_FILENO + (int)i);
  }
  if (geometry->output_size == 0) return WP_CALL_NONE;
  self->rings = wp_memory_map(file, 0, (size_t)geometry->output_size, true);
  return self->rings == NULL ? WP_CALL_MMAP : WP_CALL_NONE;
}

bool wp_capture_begin(wp_capture *self, uint32_t worker) {
  if (worker >= self->workers) self->workers = worker + 1;
  self->event_count = self->first_event + WP_STREAM_COUNT + (size_t)self->workers * WP_STREAM_COUNT;
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    if (self->settings[i].mode != WP_OUTPUT_CAPTURE) continue;
    wp_output_clear(wp_output_ring_at(self->rings, &self->geometry, worker, i));
    int ends[2];
    if (!wp_pipe_open(ends)) {
      int saved = errno;
      wp_capture_forked(self);
      for (uint32_t j = 0; j < i; j++) close_pipe(pipe_of(self, worker, j));
      errno = saved;
      return false;
    }
    *pipe_of(self, worker, i) = ends[0];
    self->given[i] = ends[1];
  }
  return true;
}

wp_call wp_capture_attach(const wp_capture *self) {
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    int target = STDOUT_FILENO + (int)i;
    if (self->settings[i].mode == WP_OUTPUT_CAPTURE && dup2(self->given[i], target) < 0) return WP_CALL_DUP;
    if (self->settings[i].mode != WP_OUTPUT_DISCARD) continue;
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing < 0) return WP_CALL_OPEN;
    if (dup2(nothing, target) < 0) return WP_CALL_DUP;
    if (nothing == target) fcntl(target, F_SETFD, 0);
    else close(nothing);
  }
  return WP_CALL_NONE;
}

void wp_capture_forked(wp_capture *self) {
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    if (self->given[i] >= 0) close(self->given[i]);
    self->given[i] = -1;
  }
}

void wp_capture_prepare(wp_capture *self) {
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    bool behind = wp_echo_is_behind(&self->echoes[i]);
    struct pollfd *waiting = echo_event(self, i);
    waiting->fd = behind ? self->echoes[i].descriptor : -1;
    waiting->events = POLLOUT;
    // Nothing is read while the stream takes nothing: the worker then waits in its write, as it would without us.
    for (uint32_t j = 0; j < self->workers; j++) {
      struct pollfd *event = pipe_event(self, j, i);
      event->fd = behind ? -1 : *pipe_of(self, j, i);
      event->events = POLLIN;
    }
  }
}

/// Reads one chunk. False when there is nothing now.
static bool take(wp_capture *self, uint32_t worker, uint32_t stream) {
  int *pipe = pipe_of(self, worker, stream);
  unsigned char bytes[WP_OUTPUT_CHUNK];
  ssize_t length;
  do length = read(*pipe, bytes, sizeof bytes);
  while (length < 0 && errno == EINTR);
  if (length == 0) close_pipe(pipe);  // the worker has closed the stream, or is gone
  if (length <= 0) return false;
  wp_output_ring *ring = wp_output_ring_at(self->rings, &self->geometry, worker, stream);
  wp_output_put(ring, self->geometry.output_limit[stream], bytes, (size_t)length);
  wp_echo_write(&self->echoes[stream], bytes, (size_t)length);
  return true;
}

void wp_capture_serve(wp_capture *self) {
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    wp_echo *echo = &self->echoes[i];
    if (echo_event(self, i)->fd >= 0 && echo_event(self, i)->revents != 0) wp_echo_flush(echo);
    for (uint32_t j = 0; j < self->workers; j++) {
      const struct pollfd *event = pipe_event(self, j, i);
      if (event->fd < 0 || event->revents == 0) continue;
      for (int k = 0; k < WP_CHUNKS_AT_ONCE && !wp_echo_is_behind(echo); k++) {
        if (!take(self, j, i)) break;
      }
    }
  }
}

void wp_capture_end(wp_capture *self, uint32_t worker) {
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    int *pipe = pipe_of(self, worker, i);
    wp_echo_flush(&self->echoes[i]);
    for (int k = 0; k < WP_CHUNKS_AT_END && *pipe >= 0; k++) {
      if (!take(self, worker, i)) break;
    }
    close_pipe(pipe);
  }
}
