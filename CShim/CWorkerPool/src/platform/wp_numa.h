// NUMA placement of memory: on which node pages are to lie, and on which they do.
//
// These calls may be refused: a kernel without NUMA says ENOSYS, the filters of container runtimes EPERM. What is asked
// for is then not done, and the memory is as good as before.
#ifndef WP_NUMA_H
#define WP_NUMA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Node ids are below this: the kernel's own bound (MAX_NUMNODES, NODES_SHIFT of 10).
#define WP_NUMA_NODES 1024
/// Words of a set of nodes: bit `n % 64` of word `n / 64` is node `n`.
#define WP_NUMA_WORDS (WP_NUMA_NODES / 64)

typedef enum wp_numa_policy {
  /// As the policy of the thread that first touches a page says: on its own node, unless somebody changed that.
  WP_NUMA_FIRST_TOUCH = 0,
  /// On one node as long as it has memory, then elsewhere.
  WP_NUMA_PREFER,
  /// On these nodes and no others: the kernel ends processes rather than go elsewhere.
  WP_NUMA_BIND,
  /// Page by page on these nodes in turn.
  WP_NUMA_INTERLEAVE,
} wp_numa_policy;

/// Says where the pages of `[address, address + length)` are to lie that nobody has touched yet; those that are there
/// stay where they are. `address` is page aligned, and the last page counts as a whole. `nodes` are system ids, one for
/// WP_NUMA_PREFER, at least one for the last two, ignored for the first. Pages that are interleaved are small from now
/// on, since a huge one would lie on a single node. On a shared mapping this is said for all who map the object.
/// Thread-safe. Returns 0 or an errno.
///
/// The kernel drops nodes that memory may not be taken from (see `wp_numa_allowed_nodes`) without a word as long as
/// one is left: check first.
int wp_numa_place(void *address, size_t length, wp_numa_policy policy, const int *nodes, size_t node_count);

/// As `wp_numa_place` with WP_NUMA_PREFER: for memory that is better near, but never at the price of an allocation.
int wp_numa_prefer(void *address, size_t length, int node);

/// Writes the id of the node that holds each of `page_count` pages from the page aligned, readable `address` on; a negative errno
/// for one that is not there (-ENOENT when never touched, -EFAULT when only read, or no memory at all). Pages of a shared
/// mapping that others have touched are there, and this process maps them for it. Thread-safe. Returns 0 or an errno.
/// O(pages), a system call per 512 and a few where pages have to be mapped.
int wp_numa_page_nodes(void *address, size_t page_count, int *nodes);

/// Writes the ids of the nodes that the calling thread may take memory from now to `words`, the rest zero: nodes that
/// have memory and that the cpuset allows. Where the kernel may not be asked, /proc is. Thread-safe. Returns 0 or an
/// errno. Nodes beyond `word_count * 64` are dropped.
int wp_numa_allowed_nodes(uint64_t *words, size_t word_count);

/// Brings memory that is there already to the node that the caller runs on, and has what is not there yet come from
/// there. `address` is page aligned. A refusal is said once (wp_notice.h).
void wp_numa_bring_here(void *address, size_t length);

#ifdef __cplusplus
}
#endif

#endif
