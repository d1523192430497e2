#include "wp_process_streams.h"

#include <stdio.h>
#include <stdio_ext.h>

void wp_streams_forget(void) {
  __fpurge(stdout);
  __fpurge(stderr);
}

static void flush(FILE *stream) {
  // Read without the stream's lock: a thread of the task may have that for as long as nobody reads what it prints.
  if (__fpending(stream) == 0 || ftrylockfile(stream) != 0) return;
  fflush_unlocked(stream);
  funlockfile(stream);
}

void wp_streams_flush(void) {
  flush(stdout);
  flush(stderr);
}

void wp_streams_end(const wp_descriptors *held, bool restricted) {
  if (!restricted && wp_descriptors_are_held(held)) fflush(NULL);
  else wp_streams_flush();
}
