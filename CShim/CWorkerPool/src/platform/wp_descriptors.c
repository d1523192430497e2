#include "wp_descriptors.h"

#include "wp_close.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/// Where own descriptors end, at most, and how many places they have.
#define WP_OWN_END 1024u
#define WP_OWN_PLACES 8u
/// As far as numbers are tried without /proc.
#define WP_TRIED_NUMBERS 65536u

static int order(const void *one, const void *other) { return *(const int *)one - *(const int *)other; }

static bool add(wp_descriptors *open, size_t *capacity, int number) {
  if (open->count == *capacity) {
    *capacity = *capacity == 0 ? 64 : 2 * *capacity;
    int *grown = (int *)realloc(open->numbers, *capacity * sizeof *grown);
    if (grown == NULL) return false;
    open->numbers = grown;
  }
  open->numbers[open->count++] = number;
  return true;
}

static bool try_numbers(wp_descriptors *open, int except) {
  struct rlimit limit;
  size_t capacity = 0;
  unsigned end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < WP_TRIED_NUMBERS ? (unsigned)limit.rlim_cur
                                                                                         : WP_TRIED_NUMBERS;
  for (int number = STDERR_FILENO + 1; number < (int)end; number++) {
    if (number == except || fcntl(number, F_GETFD) < 0) continue;
    if (!add(open, &capacity, number)) return false;
  }
  return true;
}

bool wp_descriptors_find(wp_descriptors *open, int except) {
  open->numbers = NULL;
  open->count = 0;
  DIR *folder = opendir("/proc/thread-self/fd");
  if (folder == NULL) return try_numbers(open, except);
  size_t capacity = 0;
  bool enough = true;
  for (struct dirent *entry = readdir(folder); entry != NULL && enough; entry = readdir(folder)) {
    int number = atoi(entry->d_name);  // 0 for "." and ".."
    if (number <= STDERR_FILENO || number == except || number == dirfd(folder)) continue;
    enough = add(open, &capacity, number);
  }
  closedir(folder);
  if (open->count > 1) qsort(open->numbers, open->count, sizeof *open->numbers, order);
  return enough;
}

static bool is_among(const int *numbers, size_t count, int number) {
  size_t first = 0;
  for (size_t end = count; first < end;) {
    size_t middle = first + (end - first) / 2;
    if (numbers[middle] < number) first = middle + 1;
    else end = middle;
  }
  return first < count && numbers[first] == number;
}

int wp_descriptors_own_base(uint64_t open_files) {
  unsigned end = open_files < WP_OWN_END ? (unsigned)open_files : WP_OWN_END;
  return end < STDERR_FILENO + 1 + WP_OWN_PLACES ? STDERR_FILENO + 1 : (int)(end - WP_OWN_PLACES);
}

int wp_descriptor_move_up(const wp_descriptors *held, int base, int descriptor) {
  if (descriptor < 0) return descriptor;
  for (int from = base;;) {
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, from);
    if (moved < 0) return descriptor;
    if (is_among(held->numbers, held->count, moved)) {
      close(moved);
      from = moved + 1;
      continue;
    }
    close(descriptor);
    return moved;
  }
}

void wp_descriptors_hold(const wp_descriptors *held, int *keep, size_t count) {
  wp_close_all_except(keep, count);
  if (held->count == 0) return;
  int nothing = open("/dev/null", O_PATH | O_CLOEXEC);
  if (nothing < 0) nothing = open("/", O_PATH | O_CLOEXEC);
  if (nothing < 0) return;
  for (size_t i = 0; i < held->count; i++) {
    int number = held->numbers[i];
    if (number != nothing && !is_among(keep, count, number)) dup3(nothing, number, O_CLOEXEC);
  }
  if (!is_among(held->numbers, held->count, nothing)) close(nothing);
}

bool wp_descriptors_are_held(const wp_descriptors *held) {
  for (size_t i = 0; i < held->count; i++) {
    int flags = fcntl(held->numbers[i], F_GETFL);
    if (flags < 0 || (flags & O_PATH) == 0) return false;
  }
  return true;
}
