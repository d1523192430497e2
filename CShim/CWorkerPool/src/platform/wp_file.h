// Reading small kernel files whole, with a bound.
#ifndef WP_FILE_H
#define WP_FILE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Reads the file at `path` into `buffer` and returns its length, or a negated errno. A file that does not fit in
/// `capacity` bytes is refused whole (-EFBIG): half a list of CPUs is a wrong list of CPUs. Never blocks on a FIFO.
long wp_file_read(const char *path, char *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
