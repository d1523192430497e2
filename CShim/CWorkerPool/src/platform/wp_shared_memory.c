#include "wp_shared_memory.h"

#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

static int fail(int descriptor, const char **call, const char *name) {
  int saved = errno;
  if (descriptor >= 0) close(descriptor);
  errno = saved;
  *call = name;
  return -1;
}

uint64_t wp_memory_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  return limit.rlim_cur;
}

static int create(const char *name, uint64_t size, const char **call) {
  // Past this limit ftruncate would raise SIGXFSZ, which ends a process that does not expect it.
  if (size > wp_memory_file_limit()) {
    errno = EFBIG;
    return fail(-1, call, "ftruncate");
  }
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return fail(-1, call, "memfd_create");
  descriptor = wp_above_stdio(descriptor);
  if (descriptor < 0) return fail(-1, call, "fcntl");
  if (ftruncate(descriptor, (off_t)size) != 0) return fail(descriptor, call, "ftruncate");
  return descriptor;
}

static int seal(int descriptor, int seals, const char **call) {
  if (descriptor < 0) return descriptor;
  if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals) == 0) return descriptor;
  return fail(descriptor, call, "fcntl");
}

int wp_memory_file_create(const char *name, uint64_t size, const char **call) {
  return seal(create(name, size, call), 0, call);
}

int wp_memory_open_for_reading(int descriptor) {
  char path[40];
  // Not /proc/self, which is the main thread: that has no descriptors once it has ended.
  snprintf(path, sizeof path, "/proc/thread-self/fd/%d", descriptor);
  int opened = open(path, O_RDONLY | O_CLOEXEC);
  return opened < 0 ? -1 : wp_above_stdio(opened);
}

int wp_memory_share(const char *name, size_t size, bool sealed, void **address, const char **call) {
  int descriptor = create(name, size, call);
  if (descriptor < 0) return descriptor;
  *address = wp_memory_map(descriptor, 0, size, true);
  if (*address == NULL) return fail(descriptor, call, "mmap");
  // After the mapping, which alone stays writable.
  int shared = seal(descriptor, sealed ? F_SEAL_FUTURE_WRITE : 0, call);
  if (shared < 0) {
    int saved = errno;
    munmap(*address, size);
    errno = saved;
    return -1;
  }
  // A system that takes the seal and does not heed it still heeds how the file was opened.
  int reading = sealed ? wp_memory_open_for_reading(shared) : -1;
  if (reading < 0) return shared;
  close(shared);
  return reading;
}

int wp_memory_open_again(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); }

void *wp_memory_map(int descriptor, uint64_t offset, size_t length, bool writable) {
  int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void *address = mmap(NULL, length, protection, MAP_SHARED | MAP_NORESERVE, descriptor, (off_t)offset);
  if (address == MAP_FAILED) return NULL;
  madvise(address, length, MADV_DONTDUMP);
  madvise(address, length, MADV_DONTFORK);
  return address;
}

void *wp_memory_zeros(size_t length) {
  void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return address == MAP_FAILED ? NULL : address;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int wp_memory_populate(void *address, size_t length) {
  size_t before = (uintptr_t)address & (wp_page_size() - 1);
  int result;
  do result = madvise((unsigned char *)address - before, before + length, MADV_POPULATE_WRITE);
  while (result != 0 && errno == EINTR);
  if (result == 0 || (errno != ENOMEM && errno != EFAULT && errno != ENOSPC)) return 0;
  return ENOMEM;  // EFAULT is what would have been SIGBUS
}

bool wp_memory_has_room(uint64_t length) {
  if (length > SIZE_MAX) return false;
  void *address = mmap(NULL, (size_t)length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return false;
  munmap(address, (size_t)length);
  return true;
}

void wp_memory_unmap(void *address, size_t length) {
  if (address != NULL) munmap(address, length);
}

void wp_memory_give_back(void *address, size_t length) { madvise(address, length, MADV_REMOVE); }

size_t wp_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
