// Memory that a layer above is about to use.
#ifndef WP_MEMORY_H
#define WP_MEMORY_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// Says that all of a large piece of fresh memory is about to be written, by several threads: the kernel may bring it
/// in huge pages, whose faults are 512 times fewer. A hint, which stays with the addresses until they are unmapped. Any
/// thread; does nothing for less than 8 MiB.
void wp_expect_writes(void *address, size_t length);

WP_NONNULL_END
WP_END_DECLS

#endif
