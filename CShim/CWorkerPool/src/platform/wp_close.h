// Closing what a process has inherited. [fork]: may be called between `fork` and the worker loop, see wp_process.h.
#ifndef WP_CLOSE_H
#define WP_CLOSE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Closes everything from 3 up except the `count` descriptors in `keep`, which are sorted in place. [fork]
void wp_close_all_except(int *keep, size_t count);

#ifdef __cplusplus
}
#endif

#endif
