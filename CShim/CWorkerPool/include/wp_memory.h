// Memory that a layer above is about to use: on which NUMA nodes it lies, and that it is about to be written.
//
// Thread-safety: all functions may be called from any thread.
#ifndef WP_MEMORY_H
#define WP_MEMORY_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// On which nodes the pages of a memory are to lie.
typedef enum wp_memory_policy {
  /// Each where the thread runs that first writes to it: what the system does on its own.
  WP_MEMORY_FIRST_TOUCH = 0,
  /// On the listed nodes and no others. When these are full, the kernel ends processes.
  WP_MEMORY_ON_NODES,
  /// One by one on the listed nodes in turn, or, when none is listed, on all that memory may be taken from.
  WP_MEMORY_INTERLEAVED,
} wp_memory_policy;

/// A policy and, for all but the first, system ids of nodes.
typedef struct wp_memory_placement {
  wp_memory_policy policy;
  const int *WP_NULLABLE nodes;
  size_t node_count;
} wp_memory_placement;

/// Makes a memory of `length` bytes, at least 1, all zero and page aligned, of this process alone (a child of `fork` gets
/// a copy). NULL as `placement` means first touch. No page is taken before it is touched.
///
/// A node that does not exist, has no memory or may not be used by this process (cpuset) fails with
/// `WP_INVALID_ARGUMENT`, and `*refused_node` (if not NULL) names it; so does an empty list for `WP_MEMORY_ON_NODES`, or a NULL
/// with a count, naming none (-1); and a `length` of 0.
///
/// Where the system does not let memory be placed, as in many containers, or has no NUMA, the memory is
/// made all the same and lies where it is first touched: a notice (wp_notice.h) says so.
///
/// Other errors: `WP_SYSTEM_CALL_FAILED` ("mmap").
wp_status wp_memory_create(size_t length, const wp_memory_placement *WP_NULLABLE placement,
                           void *WP_NULLABLE *WP_NONNULL address, int *WP_NULLABLE refused_node,
                           wp_error *WP_NULLABLE error);
/// Gives the memory back; `length` as it was made.
void wp_memory_destroy(void *address, size_t length);

/// Says the same of memory that the caller has mapped, of whole pages from `address` on, which is page aligned. Pages that
/// are there already stay where they are. Of a shared mapping it is said for all who map the object. Errors as above.
wp_status wp_memory_place(void *address, size_t length, const wp_memory_placement *placement,
                          int *WP_NULLABLE refused_node, wp_error *WP_NULLABLE error);

/// Number of pages that `length` bytes from the start of a page touch.
size_t wp_memory_page_count(size_t length);
/// Writes the id of the node that holds each page of a memory, as the kernel tells it; -1 for a page that was never
/// written. `nodes` has room for `wp_memory_page_count(length)`. An answer can be old when it arrives: the kernel moves
/// pages, if it is set up to balance them. O(pages).
///
/// Errors: `WP_SYSTEM_CALL_FAILED` ("move_pages"), where the system does not let this be asked.
wp_status wp_memory_page_nodes(void *address, size_t length, int *nodes, wp_error *WP_NULLABLE error);

/// Says that all of a large piece of fresh memory is about to be written, by several threads: the kernel may bring it
/// in huge pages, whose faults are 512 times fewer. A hint, which stays with the addresses until they are unmapped. Any
/// thread; does nothing for less than 8 MiB.
void wp_expect_writes(void *address, size_t length);

WP_NONNULL_END
WP_END_DECLS

#endif
