#include "wp_close.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Where a search ends that nothing else bounds: as many files as the kernel lets a process open, unless told.
#define WP_MOST_FILES ((rlim_t)1 << 20)

/// What getdents64 writes for each entry of a folder; the name has a zero behind it.
typedef struct wp_folder_entry {
  uint64_t inode;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
} wp_folder_entry;

static bool is_kept(int descriptor, const int *keep, size_t count) {
  if (descriptor <= STDERR_FILENO) return true;
  for (size_t i = 0; i < count; i++) {
    if (keep[i] == descriptor) return true;
  }
  return false;
}

/// The number that a name is, or -1.
static int number_in(const char *name) {
  int number = 0;
  for (; *name != '\0'; name++) {
    if (*name < '0' || *name > '9') return -1;
    number = number * 10 + (*name - '0');
  }
  return number;
}

/// Closes what /proc names, by system calls alone: opendir would allocate. False when it cannot.
static bool close_named(const int *keep, size_t count) {
  int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return false;
  _Alignas(wp_folder_entry) char entries[4096];
  long length;
  // Its place in the folder is the last number that it gave: what was closed meanwhile hides no other.
  while ((length = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
    for (long at = 0; at < length;) {
      const wp_folder_entry *entry = (const wp_folder_entry *)(const void *)(entries + at);
      at += entry->length;
      int descriptor = number_in(entry->name);
      if (descriptor != folder && !is_kept(descriptor, keep, count)) close(descriptor);
    }
  }
  close(folder);
  return length == 0;
}

/// Tries every number. The soft limit may have been lowered since some were opened.
static void close_each(const int *keep, size_t count) {
  struct rlimit limit;
  bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < WP_MOST_FILES;
  int end = (int)(known ? limit.rlim_max : WP_MOST_FILES);
  for (int i = 0; i < end; i++) {
    if (!is_kept(i, keep, count)) close(i);
  }
}

static bool close_between(unsigned first, unsigned last) {
  return first > last || syscall(SYS_close_range, first, last, 0u) == 0;
}

static void sort(int *numbers, size_t count) {
  for (size_t i = 1; i < count; i++) {
    for (size_t j = i; j > 0 && numbers[j - 1] > numbers[j]; j--) {
      int swapped = numbers[j];
      numbers[j] = numbers[j - 1];
      numbers[j - 1] = swapped;
    }
  }
}

void wp_close_all_except(int *keep, size_t count) {
  sort(keep, count);
  unsigned first = STDERR_FILENO + 1;
  bool closed = true;
  for (size_t i = 0; closed && i < count; i++) {
    if (keep[i] < (int)first) continue;
    closed = close_between(first, (unsigned)keep[i] - 1);
    first = (unsigned)keep[i] + 1;
  }
  if (closed && close_between(first, ~0u)) return;
  // Before Linux 5.9, or under a filter that does not know the call.
  if (!close_named(keep, count)) close_each(keep, count);
}
