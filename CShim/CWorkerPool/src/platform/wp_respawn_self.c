// Starting this program anew: /proc/self/exe with its own arguments, so that a host which loads us late (a test
// runner that opens a bundle) reaches our constructor again.
#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/// The whole of a /proc file, which has no size to ask for. NULL with `errno` set.
static char *read_all(const char *path, size_t *length) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return NULL;
  size_t capacity = 4096;
  char *bytes = (char *)malloc(capacity);
  *length = 0;
  while (bytes != NULL) {
    ssize_t got = read(file, bytes + *length, capacity - *length - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    *length += (size_t)got;
    if (capacity - *length > 1) continue;
    char *grown = (char *)realloc(bytes, capacity *= 2);
    if (grown == NULL) free(bytes);
    bytes = grown;
  }
  close(file);
  if (bytes != NULL) bytes[*length] = '\0';
  return bytes;
}

/// A NULL-terminated vector of the NUL-separated strings in `bytes`. NULL with `errno` set.
static char **split(char *bytes, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) count += bytes[i] == '\0';
  char **strings = (char **)calloc(count + 2, sizeof *strings);
  if (strings == NULL) return NULL;
  size_t used = 0;
  for (size_t i = 0; i < length && used <= count; i += strlen(bytes + i) + 1) strings[used++] = bytes + i;
  return strings;
}

/// The environment with one assignment in front.
static char **environment_with(const char *assignment) {
  size_t count = 0;
  while (environ != NULL && environ[count] != NULL) count++;
  char **strings = (char **)calloc(count + 2, sizeof *strings);
  if (strings == NULL) return NULL;
  strings[0] = (char *)(uintptr_t)assignment;
  for (size_t i = 0; i < count; i++) strings[i + 1] = environ[i];
  return strings;
}

static int spawn(char **arguments, char **environment, int descriptor, pid_t *process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int failure = posix_spawn_file_actions_init(&actions);
  if (failure != 0) return failure;
  failure = posix_spawnattr_init(&attributes);
  if (failure == 0) {
    sigset_t all;
    sigfillset(&all);
    // dup2 onto itself still clears close-on-exec here, as POSIX asks of this call.
    failure = posix_spawn_file_actions_adddup2(&actions, descriptor, STDERR_FILENO + 1);
    if (failure == 0) failure = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (failure == 0) failure = posix_spawnattr_setsigmask(&attributes, &all);
    if (failure == 0) failure = posix_spawn(process, "/proc/self/exe", &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

int wp_process_respawn_self(const char *assignment, int descriptor, pid_t *process, const char **call) {
  size_t length = 0;
  // Not /proc/self, which is the main thread: that has no arguments once it has ended (dispatchMain ends it).
  char *line = read_all("/proc/thread-self/cmdline", &length);
  if (line == NULL) {
    *call = "open /proc/thread-self/cmdline";
    return errno;
  }
  char **arguments = split(line, length);
  char **environment = environment_with(assignment);
  int failure = ENOMEM;
  *call = "calloc";
  if (arguments != NULL && environment != NULL) {
    *call = "posix_spawn";
    failure = spawn(arguments, environment, descriptor, process);
  }
  free(environment);
  free(arguments);
  free(line);
  return failure;
}
