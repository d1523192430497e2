// Ways out of what a worker may write, tried one by one: by protection, by mappings that grow or move, by descriptors under
// /proc, by /proc/self/mem. None may lead to what the host writes.
#include "hostile.h"
#include "sandboxed.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE = 64 << 10 };

/// Bits of an answer: what let the worker write, and where.
enum {
  BY_PROTECTION = 1,
  BY_GROWTH = 2,
  BY_MEMORY_FILE = 4,
  BY_MAPPING_FILE = 8,
  BY_DESCRIPTOR = 16,
  BY_OWN_GROWTH = 32,
  BY_REARRANGING = 64,
  IN_POOL_PART = 8,   // times 2^8
  IN_HOST_PART = 16,  // times 2^16
  IN_ARGUMENTS = 24,  // times 2^24
};

// MARK: In the worker

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/// Whether the kernel would write there for this process.
static bool is_writable(void *address) { return syscall(SYS_getrandom, address, 1, 0) == 1; }

static void *page_of(const void *address) { return (void *)((uintptr_t)address & ~(uintptr_t)(page_bytes() - 1)); }

static bool by_protection(void *page) {
  return mprotect(page, page_bytes(), PROT_READ | PROT_WRITE) == 0 || is_writable(page);
}

static bool by_growth(void *page) {
  size_t size = page_bytes();
  void *grown = mremap(page, 0, 4 * size, MREMAP_MAYMOVE);  // a second mapping of the same pages, and of those behind them
  if (grown == MAP_FAILED) return false;
  bool found = by_protection(grown) || is_writable((char *)grown + 2 * size);
  munmap(grown, 4 * size);
  return found;
}

static bool by_memory_file(void *page) {
  int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (memory < 0) return false;
  char byte = *(volatile char *)page;
  bool written = pwrite(memory, &byte, 1, (off_t)(uintptr_t)page) == 1;
  close(memory);
  return written;
}

/// Whether the file behind an opening can be written.
static bool can_write_file(int file) {
  char byte = 0;
  if (pread(file, &byte, 1, 0) == 1 && pwrite(file, &byte, 1, 0) == 1) return true;
  void *mapped = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return false;
  munmap(mapped, page_bytes());
  return true;
}

/// Opens the file of each mapping again, as far as the system lets a process do that: of all that the host writes.
static bool by_mapping_file(const char *name) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return false;
  char line[512];
  bool found = false;
  while (fgets(line, sizeof line, maps) != NULL) {
    if (strstr(line, name) == NULL) continue;
    char path[128];
    snprintf(path, sizeof path, "/proc/self/map_files/%.*s", (int)strcspn(line, " "), line);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) continue;
    found = found || can_write_file(file);
    close(file);
  }
  fclose(maps);
  return found;
}

/// Whether a descriptor leads to any memory of the pool.
static bool by_descriptor(void) {
  DIR *folder = opendir("/proc/self/fd");
  if (folder == NULL) return false;
  bool found = false;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    char path[64], target[128] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%.20s", entry->d_name);
    ssize_t length = readlink(path, target, sizeof target - 1);
    found = found || (length > 0 && strstr(target, "worker-pool") != NULL);
  }
  closedir(folder);
  return found;
}

/// Whether a mapping that may be written reaches more of its file than it should: what lies behind the worker's own part.
static bool by_own_growth(void *own) {
  size_t far = (size_t)1 << 40;
  void *grown = mremap(own, 0, far, MREMAP_MAYMOVE);
  if (grown == MAP_FAILED) return false;
  // Its own part ends somewhere before; nothing may follow.
  bool found = is_writable((char *)grown + far - page_bytes());
  munmap(grown, far);
  return found;
}

static bool by_rearranging(void *own) {
  void *second = mremap(own, 0, page_bytes(), MREMAP_MAYMOVE);
  void *moving = second == MAP_FAILED ? own : second;
  bool moved = syscall(SYS_remap_file_pages, moving, page_bytes(), 0, (size_t)1 << 28, 0) == 0;
  bool found = moved && is_writable(moving);
  if (second != MAP_FAILED) munmap(second, page_bytes());
  return found;
}

static uint64_t attack(uint64_t ways, void *page, uint32_t where) {
  uint64_t found = 0;
  if ((ways & BY_PROTECTION) != 0 && by_protection(page)) found |= BY_PROTECTION;
  if ((ways & BY_GROWTH) != 0 && by_growth(page)) found |= BY_GROWTH;
  if ((ways & BY_MEMORY_FILE) != 0 && by_memory_file(page)) found |= BY_MEMORY_FILE;
  return found << where;
}

void break_out(const wp_process_request *request, wp_process_reply *reply) {
  unsigned char *own = (unsigned char *)wp_process_reply_reserve(reply, sizeof(uint64_t));
  size_t length = 0;
  const char *name = wp_process_worker_name(0, &length);
  uint64_t ways = 0;
  memcpy(&ways, request->bytes, sizeof ways);
  uint64_t found = attack(ways, page_of(name), IN_POOL_PART);
  found |= attack(ways, page_of(request->bytes), request->length == LARGE ? IN_ARGUMENTS : IN_HOST_PART);
  if ((ways & BY_MAPPING_FILE) != 0 && by_mapping_file("worker-pool-given")) found |= BY_MAPPING_FILE;
  if ((ways & BY_DESCRIPTOR) != 0 && by_descriptor()) found |= BY_DESCRIPTOR;
  if ((ways & BY_OWN_GROWTH) != 0 && by_own_growth(page_of(own))) found |= BY_OWN_GROWTH;
  if ((ways & BY_REARRANGING) != 0 && by_rearranging(page_of(own))) found |= BY_REARRANGING;
  memcpy(own, &found, sizeof found);
}

// MARK: In the host

/// `ways`, with an argument of this length.
static void submit_attack(test_lab *lab, size_t task, uint64_t ways, size_t length) {
  static unsigned char argument[LARGE];
  memcpy(argument, &ways, sizeof ways);
  lab_submit(lab, task, DO_BREAK_OUT, argument, length);
}

static void check_no_way_out(const ending *end, uint64_t ways) {
  CHECK(end->outcome.end == WP_TASK_REPLIED && end->outcome.length == 8, "%llx ended as %d", (unsigned long long)ways,
        (int)end->outcome.end);
  uint64_t found;
  memcpy(&found, end->head, sizeof found);
  CHECK(found == 0, "%llx: ways out: %llx", (unsigned long long)ways, (unsigned long long)found);
}

void breakouts(wp_start_method method) {
  test_lab lab;
  lab_open(&lab, 2, method, 8);
  uint32_t index = 1;
  CHECK(wp_process_pool_intern(lab.pool, "first", 5, &index) == WP_OK && index == 0, "index %u", index);
  for (size_t i = 0; i < 8; i++) submit_attack(&lab, i, UINT64_MAX, i % 2 == 0 ? 16 : LARGE);
  lab_await(&lab, 8);
  for (size_t i = 0; i < 8; i++) check_no_way_out(&lab.endings[i], UINT64_MAX);
  CHECK(wp_process_pool_intern(lab.pool, "second", 6, &index) == WP_OK && index == 1, "index %u", index);
  lab_close(&lab);
}

#ifdef WP_SANDBOX

/// From inside the sandbox each way is refused without an end, or ends its task with the call that it needs.
void sandbox_breakouts(wp_start_method method) {
  if (method == WP_START_FORK) return;
  static const struct {
    uint64_t way;
    const char *call;
  } ways[] = {{BY_PROTECTION, NULL},        {BY_GROWTH, NULL},         {BY_MEMORY_FILE, "openat"},
              {BY_MAPPING_FILE, "openat"},  {BY_DESCRIPTOR, "openat"}, {BY_OWN_GROWTH, NULL},
              {BY_REARRANGING, "remap_file_pages"}};
  enum { WAYS = sizeof ways / sizeof ways[0] };
  test_lab lab;
  open_sandboxed(&lab, 2, 2 * WAYS);
  uint32_t index = 1;
  CHECK(wp_process_pool_intern(lab.pool, "first", 5, &index) == WP_OK && index == 0, "index %u", index);
  for (size_t i = 0; i < 2 * WAYS; i++) submit_attack(&lab, i, ways[i / 2].way, i % 2 == 0 ? 16 : LARGE);
  for (size_t i = 0; i < 2 * WAYS; i++) {
    ending end = lab_await_task(&lab, i);
    if (ways[i / 2].call == NULL) check_no_way_out(&end, ways[i / 2].way);
    else check_forbidden(&lab, i, ways[i / 2].call, "a way out");
  }
  CHECK(wp_process_pool_intern(lab.pool, "second", 6, &index) == WP_OK && index == 1, "index %u", index);
  lab_close(&lab);
}

#else

void sandbox_breakouts(wp_start_method method) { sandbox_refuses(method); }

#endif
