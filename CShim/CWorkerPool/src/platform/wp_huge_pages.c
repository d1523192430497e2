#include "wp_memory.h"

#include <stdint.h>
#include <sys/mman.h>

// A huge page on x86-64, and on arm64 with pages of 4 KiB.
#define HUGE_PAGE ((uintptr_t)2 << 20)

void wp_expect_writes(void *address, size_t length) {
  uintptr_t first = ((uintptr_t)address + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
  uintptr_t end = ((uintptr_t)address + length) & ~(HUGE_PAGE - 1);
  // Below a few of them the system call is not worth it. It may be refused: then pages are small.
  if (first < end && end - first >= 4 * HUGE_PAGE) madvise((void *)first, end - first, MADV_HUGEPAGE);
}
