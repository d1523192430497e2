#include "wp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/// Fills `buffer` until end of file. The kernel hands out /proc files in pieces, so a short read is not the end.
static long wp_file_read_all(int descriptor, char *buffer, size_t capacity) {
  size_t length = 0;
  while (length < capacity) {
    ssize_t count = read(descriptor, buffer + length, capacity - length);
    if (count == 0) return (long)length;
    if (count > 0) {
      length += (size_t)count;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  return -EFBIG;
}

long wp_file_read(const char *path, char *buffer, size_t capacity) {
  int descriptor;
  do descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (descriptor < 0 && errno == EINTR);  // containers have these files from FUSE
  if (descriptor < 0) return -errno;
  long result = wp_file_read_all(descriptor, buffer, capacity);
  close(descriptor);
  return result;
}

int wp_scratch_create(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

size_t wp_scratch_length(int scratch) {
  off_t length = lseek(scratch, 0, SEEK_END);
  return length > 0 ? (size_t)length : 0;
}

bool wp_scratch_read(int scratch, void *buffer, size_t length) {
  return pread(scratch, buffer, length, 0) == (ssize_t)length;
}
