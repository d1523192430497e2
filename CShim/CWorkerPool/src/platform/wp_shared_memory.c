#include "wp_shared_memory.h"

#include "wp_process.h"

#include <errno.h>
#include <fcntl.h>
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

int wp_memory_file_create(const char *name, uint64_t size, const char **call) {
  // Past this limit ftruncate would raise SIGXFSZ, which ends a process that does not expect it.
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur) {
    errno = EFBIG;
    return fail(-1, call, "ftruncate");
  }
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return fail(-1, call, "memfd_create");
  descriptor = wp_above_stdio(descriptor);
  if (descriptor < 0) return fail(-1, call, "fcntl");
  if (ftruncate(descriptor, (off_t)size) != 0) return fail(descriptor, call, "ftruncate");
  if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail(descriptor, call, "fcntl");
  }
  return descriptor;
}

void *wp_memory_map(int descriptor, uint64_t offset, size_t length, bool writable) {
  int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void *address = mmap(NULL, length, protection, MAP_SHARED | MAP_NORESERVE, descriptor, (off_t)offset);
  if (address == MAP_FAILED) return NULL;
  madvise(address, length, MADV_DONTDUMP);
  madvise(address, length, MADV_DONTFORK);
  return address;
}

void wp_memory_unmap(void *address, size_t length) {
  if (address != NULL) munmap(address, length);
}

void wp_memory_give_back(void *address, size_t length) { madvise(address, length, MADV_REMOVE); }

size_t wp_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
