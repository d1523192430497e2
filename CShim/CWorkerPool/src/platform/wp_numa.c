// mbind, move_pages and get_mempolicy, through libnuma's bare wrappers of these calls.
//
// Rejected: numa_alloc_onnode and its kin. They map memory themselves, under a cpuset without the node they silently
// land on another, and what fails they print.
#include "wp_numa.h"

#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/wp_assert.h"
#include "../base/wp_notice_once.h"

WP_STATIC_ASSERT(sizeof(unsigned long) == sizeof(uint64_t), "the kernel's masks are of these words");

/// The kernel takes one from what it calls the number of bits in a mask.
#define MASK_BITS ((unsigned long)WP_NUMA_NODES + 1)

static bool make_mask(const int *nodes, size_t count, unsigned long mask[WP_NUMA_WORDS]) {
  memset(mask, 0, WP_NUMA_WORDS * sizeof *mask);
  for (size_t i = 0; i < count; i++) {
    if (nodes[i] < 0 || nodes[i] >= WP_NUMA_NODES) return false;
    mask[nodes[i] / 64] |= 1ul << (nodes[i] % 64);
  }
  return count > 0;
}

int wp_numa_place(void *address, size_t length, wp_numa_policy policy, const int *nodes, size_t node_count) {
  unsigned long mask[WP_NUMA_WORDS];
  int mode = MPOL_DEFAULT;
  switch (policy) {
  case WP_NUMA_FIRST_TOUCH: return mbind(address, length, mode, NULL, 0, 0) == 0 ? 0 : errno;
  case WP_NUMA_PREFER:
    if (node_count != 1) return EINVAL;
    mode = MPOL_PREFERRED;
    break;
  case WP_NUMA_BIND: mode = MPOL_BIND; break;
  case WP_NUMA_INTERLEAVE: mode = MPOL_INTERLEAVE; break;
  default: return EINVAL;
  }
  if (!make_mask(nodes, node_count, mask)) return EINVAL;
  if (mbind(address, length, mode, mask, MASK_BITS, 0) != 0) return errno;
  // A kernel without huge pages refuses, and has none.
  if (policy == WP_NUMA_INTERLEAVE) madvise(address, length, MADV_NOHUGEPAGE);
  return 0;
}

int wp_numa_prefer(void *address, size_t length, int node) {
  return wp_numa_place(address, length, WP_NUMA_PREFER, &node, 1);
}

// MARK: Where pages are

enum { PAGES_AT_A_TIME = 512 };

/// Reads a byte, so that the page is mapped; whoever may write it meanwhile.
__attribute__((no_sanitize("thread"))) static void read_byte(const volatile char *byte) { (void)*byte; }

/// move_pages sees what this process has mapped. Maps those of the missing pages that are in memory, which others have
/// brought there: a page that nobody has written stays away. Whether there were any.
static bool map_missing(char *address, size_t count, const int *nodes, size_t page_size) {
  unsigned char resident[PAGES_AT_A_TIME];
  bool any = false;
  for (size_t i = 0; i < count && !any; i++) any = nodes[i] == -ENOENT;
  if (!any || mincore(address, count * page_size, resident) != 0) return false;
  any = false;
  for (size_t i = 0; i < count; i++) {
    if (nodes[i] != -ENOENT || (resident[i] & 1) == 0) continue;
    any = true;
    read_byte(address + i * page_size);
  }
  return any;
}

int wp_numa_page_nodes(void *address, size_t page_count, int *nodes) {
  void *pages[PAGES_AT_A_TIME];
  size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t done = 0; done < page_count;) {
    size_t count = page_count - done < PAGES_AT_A_TIME ? page_count - done : PAGES_AT_A_TIME;
    char *first = (char *)address + done * page_size;
    for (size_t i = 0; i < count; i++) pages[i] = first + i * page_size;
    // Without target nodes it only asks.
    if (move_pages(0, count, pages, NULL, nodes + done, 0) != 0) return errno;
    if (map_missing(first, count, nodes + done, page_size) && move_pages(0, count, pages, NULL, nodes + done, 0) != 0) {
      return errno;
    }
    done += count;
  }
  return 0;
}

// MARK: Nodes that memory may be taken from

static ssize_t read_whole(const char *path, char *text, size_t capacity) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  ssize_t length = 0, count;
  while ((count = read(descriptor, text + length, capacity - 1 - (size_t)length)) > 0 ||
         (count < 0 && errno == EINTR)) {
    if (count > 0) length += count;
  }
  int problem = errno;
  close(descriptor);
  text[length] = 0;
  errno = problem;
  return count < 0 ? -1 : length;
}

/// "Mems_allowed:\t00000000,0000000f": the mask in words of 32 bits, the highest first.
static bool parse_allowed(const char *text, unsigned long mask[WP_NUMA_WORDS]) {
  static const char label[] = "\nMems_allowed:\t";
  const char *start = strstr(text, label);
  if (start == NULL) return false;
  start += sizeof label - 1;
  size_t length = strcspn(start, "\n"), bit = 0;
  memset(mask, 0, WP_NUMA_WORDS * sizeof *mask);
  while (length > 0) {
    char digit = start[--length];
    if (digit == ',') continue;
    const char *digits = "0123456789abcdef", *found = strchr(digits, digit);
    if (digit == 0 || found == NULL) return false;
    if (bit < WP_NUMA_NODES) mask[bit / 64] |= (unsigned long)(found - digits) << (bit % 64);
    bit += 4;
  }
  return bit > 0;
}

int wp_numa_allowed_nodes(uint64_t *words, size_t word_count) {
  unsigned long mask[WP_NUMA_WORDS];
  memset(words, 0, word_count * sizeof *words);
  if (get_mempolicy(NULL, mask, MASK_BITS, NULL, MPOL_F_MEMS_ALLOWED) != 0) {
    int problem = errno;
    // A few lines more than a kilobyte; the rest does not matter.
    char text[16384];
    if (read_whole("/proc/thread-self/status", text, sizeof text) < 0 || !parse_allowed(text, mask)) return problem;
  }
  for (size_t word = 0; word < WP_NUMA_WORDS && word < word_count; word++) words[word] = mask[word];
  return 0;
}

// MARK: Moving

void wp_numa_bring_here(void *address, size_t length) {
  // What a huge page leaves behind when the rest of it is given back mbind would leave where it is, without a word; this
  // splits it.
  madvise(address, length, MADV_COLD);
  if (mbind(address, length, MPOL_LOCAL, NULL, 0, MPOL_MF_MOVE) == 0) return;
  wp_notice_once(errno == ENOSYS ? WP_NOTICE_NO_NUMA : WP_NOTICE_MEMORY_NOT_PLACED, errno,
                 "the first pages of workers' stacks lie where the pool was made, since mbind failed");
}
