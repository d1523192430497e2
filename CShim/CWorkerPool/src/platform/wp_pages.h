// Anonymous memory in whole pages: for what is large and used in part, or has to lie on a node.
#ifndef WP_PAGES_H
#define WP_PAGES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Maps `size` bytes, rounded up to pages: all zero, and no memory as long as nobody touches them. NULL with `errno` set
/// on failure ("mmap").
void *wp_pages_map(size_t size);
/// The same, on a node as long as that has memory (by its system id; a refusal is said once, wp_notice.h).
void *wp_pages_map_on(size_t size, int node);
/// `size` as it was mapped; NULL does nothing.
void wp_pages_unmap(void *pages, size_t size);

#ifdef __cplusplus
}
#endif

#endif
