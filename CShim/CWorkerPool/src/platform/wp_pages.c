#include "wp_pages.h"

#include <errno.h>
#include <sys/mman.h>

#include "../base/wp_notice_once.h"
#include "wp_numa.h"

// A leak checker follows no pointer that stands in mapped memory, unless it is told to. There only where one is linked.
extern void __lsan_register_root_region(const void *begin, size_t size) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *begin, size_t size) __attribute__((weak));

void *wp_pages_map(size_t size) {
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return NULL;
  if (__lsan_register_root_region != NULL) __lsan_register_root_region(pages, size);
  return pages;
}

void *wp_pages_map_on(size_t size, int node) {
  void *pages = wp_pages_map(size);
  int problem = pages == NULL ? 0 : wp_numa_prefer(pages, size, node);
  if (problem != 0) {
    wp_notice_once(problem == ENOSYS ? WP_NOTICE_NO_NUMA : WP_NOTICE_MEMORY_NOT_PLACED, problem,
                   "workers' memory lies where it is first used, since mbind failed");
  }
  return pages;
}

void wp_pages_unmap(void *pages, size_t size) {
  if (pages == NULL) return;
  if (__lsan_unregister_root_region != NULL) __lsan_unregister_root_region(pages, size);
  munmap(pages, size);
}
