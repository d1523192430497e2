#include "wp_origin.h"

#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define WP_MASK_WORDS (8192 / (8 * sizeof(unsigned long)))
/// Of a mask that nobody tells: no mask has it.
#define WP_UMASK_UNKNOWN ((mode_t)-1)

struct wp_origin {
  /// What the vectors point into.
  char *argument_bytes;
  char *environment_bytes;
  char **arguments;
  /// Its first place is the assignment's, of whoever starts the program.
  char **environment;
  /// -1 when the program may not open it: then the directory is not changed.
  int directory;
  mode_t umask;
  int niceness;
  bool knows_niceness;
  struct rlimit limits[RLIM_NLIMITS];
  unsigned long cpus[WP_MASK_WORDS];
  /// Bytes of it; 0 when they cannot be told.
  size_t cpu_bytes;
};

// MARK: Taking

/// The whole of a /proc file, which has no size to ask for, with a zero behind it. NULL with `errno` set.
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

/// A NULL-terminated vector of the NUL-separated strings in `bytes`, behind `spare` empty places. NULL with `errno` set.
static char **split(char *bytes, size_t length, size_t spare) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) count += bytes[i] == '\0';
  char **strings = (char **)calloc(spare + count + 2, sizeof *strings);
  if (strings == NULL) return NULL;
  size_t used = spare;
  for (size_t i = 0; i < length && used <= spare + count; i += strlen(bytes + i) + 1) strings[used++] = bytes + i;
  return strings;
}

/// The environment, one string behind the other.
static char *copy_environment(size_t *length) {
  *length = 0;
  for (char **entry = environ; entry != NULL && *entry != NULL; entry++) *length += strlen(*entry) + 1;
  char *bytes = (char *)malloc(*length + 1);
  if (bytes == NULL) return NULL;
  size_t used = 0;
  for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
    size_t size = strlen(*entry) + 1;
    if (size > *length - used) break;  // somebody changes it meanwhile, who may not
    memcpy(bytes + used, *entry, size);
    used += size;
  }
  bytes[used] = '\0';
  *length = used;
  return bytes;
}

static int open_directory(void) {
  int directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return directory < 0 ? -1 : wp_above_stdio(directory);
}

/// From /proc (Linux 4.7), since to ask the kernel is to change it, for all threads.
static mode_t read_umask(void) {
  size_t length;
  char *status = read_all("/proc/thread-self/status", &length);
  const char *line = status == NULL ? NULL : strstr(status, "\nUmask:");
  unsigned mask = 0;
  bool known = line != NULL && sscanf(line, "\nUmask: %o", &mask) == 1;
  free(status);
  return known ? (mode_t)mask : WP_UMASK_UNKNOWN;
}

static void read_use(wp_origin *self) {
  self->umask = read_umask();
  errno = 0;
  self->niceness = getpriority(PRIO_PROCESS, 0);
  self->knows_niceness = errno == 0;
  for (int i = 0; i < RLIM_NLIMITS; i++) getrlimit((__rlimit_resource_t)i, &self->limits[i]);
  long bytes = syscall(SYS_sched_getaffinity, 0, sizeof self->cpus, self->cpus);
  self->cpu_bytes = bytes > 0 ? (size_t)bytes : 0;
}

wp_origin *wp_origin_take(const char **call) {
  *call = "calloc";
  wp_origin *self = (wp_origin *)calloc(1, sizeof *self);
  if (self == NULL) return NULL;
  self->directory = open_directory();
  size_t length;
  // Not /proc/self, which is the main thread: that has no arguments once it has ended (dispatchMain ends it).
  self->argument_bytes = read_all("/proc/thread-self/cmdline", &length);
  if (self->argument_bytes != NULL) self->arguments = split(self->argument_bytes, length, 0);
  else *call = "open /proc/thread-self/cmdline";
  if (self->arguments != NULL) self->environment_bytes = copy_environment(&length);
  if (self->environment_bytes != NULL) self->environment = split(self->environment_bytes, length, 1);
  if (self->environment == NULL) {
    int number = errno;
    wp_origin_destroy(self);
    errno = number;
    return NULL;
  }
  read_use(self);
  return self;
}

void wp_origin_destroy(wp_origin *self) {
  if (self == NULL) return;
  if (self->directory >= 0) close(self->directory);
  free(self->environment);
  free(self->environment_bytes);
  free(self->arguments);
  free(self->argument_bytes);
  free(self);
}

// MARK: Starting again

/// One start. What the child writes, the parent reads: they have their memory in common until the program runs.
typedef struct wp_start {
  const wp_origin *origin;
  int descriptor;
  const char *volatile call;
  volatile int failure;
} wp_start;

/// As much of what a limit was as may be had.
static void restore_limit(int resource, const struct rlimit *then) {
  struct rlimit now;
  if (getrlimit((__rlimit_resource_t)resource, &now) != 0) return;
  if (now.rlim_cur == then->rlim_cur && now.rlim_max == then->rlim_max) return;
  if (setrlimit((__rlimit_resource_t)resource, then) == 0) return;
  now.rlim_cur = then->rlim_cur < now.rlim_max ? then->rlim_cur : now.rlim_max;
  setrlimit((__rlimit_resource_t)resource, &now);
}

static void restore_use(const wp_origin *origin) {
  if (origin->umask != WP_UMASK_UNKNOWN) umask(origin->umask);
  if (origin->knows_niceness && getpriority(PRIO_PROCESS, 0) != origin->niceness) {
    setpriority(PRIO_PROCESS, 0, origin->niceness);
  }
  if (origin->cpu_bytes > 0) syscall(SYS_sched_setaffinity, 0, origin->cpu_bytes, origin->cpus);
  for (int i = 0; i < RLIM_NLIMITS; i++) restore_limit(i, &origin->limits[i]);
}

/// The descriptor is the third then, and survives the start of the program.
static bool hand_over(int descriptor) {
  if (descriptor != STDERR_FILENO + 1) return dup2(descriptor, STDERR_FILENO + 1) >= 0;
  return fcntl(descriptor, F_SETFD, 0) == 0;
}

/// In the child: nothing but system calls.
static __attribute__((noreturn)) void become(wp_start *start) {
  const wp_origin *origin = start->origin;
  start->call = "dup2";
  bool ready = hand_over(start->descriptor);
  if (ready && origin->directory >= 0) {
    start->call = "fchdir";
    // A program that has given up rights may not go back there: then the template begins where the program is.
    ready = fchdir(origin->directory) == 0 || errno == EACCES || errno == EPERM;
  }
  if (ready) {
    restore_use(origin);
    start->call = "execve";
    execve("/proc/self/exe", origin->arguments, origin->environment);
  }
  start->failure = errno;
  _exit(127);
}

/// The thread waits until the child runs the program or has ended. Not posix_spawn, which knows neither masks nor limits; not
/// fork, which copies page tables and locks.
static __attribute__((noinline)) pid_t start_child(wp_start *start) {
  pid_t child = vfork();
  if (child == 0) become(start);
  return child;
}

int wp_origin_start_again(wp_origin *self, const char *assignment, int descriptor, pid_t *process, const char **call) {
  size_t name = strcspn(assignment, "=") + 1;
  self->environment[0] = (char *)(uintptr_t)assignment;
  size_t used = 1;
  for (size_t i = 1; self->environment[i] != NULL; i++) {
    if (strncmp(self->environment[i], assignment, name) != 0) self->environment[used++] = self->environment[i];
  }
  self->environment[used] = NULL;
  wp_start start = {self, descriptor, "vfork", 0};
  *process = start_child(&start);
  self->environment[0] = NULL;
  int failure = *process < 0 ? errno : start.failure;
  *call = start.call;
  if (*process < 0 || failure == 0) return failure;
  while (waitpid(*process, NULL, 0) < 0 && errno == EINTR) continue;
  return failure;
}
