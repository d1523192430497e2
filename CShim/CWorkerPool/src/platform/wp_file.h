// Reading small kernel files whole, with a bound; and files in memory.
#ifndef WP_FILE_H
#define WP_FILE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Reads the file at `path` into `buffer` and returns its length, or a negated errno. A file that does not fit in
/// `capacity` bytes is refused whole (-EFBIG): half a list of CPUs is a wrong list of CPUs. Never blocks on a FIFO.
long wp_file_read(const char *path, char *buffer, size_t capacity);

/// A file in memory, for what can be written to a file only. -1 with `errno` set ("memfd_create").
int wp_scratch_create(const char *name);
/// How much was written to it, 0 when that cannot be told.
size_t wp_scratch_length(int scratch);
/// Reads the first `length` bytes. False if it cannot read them all.
bool wp_scratch_read(int scratch, void *buffer, size_t length);

#ifdef __cplusplus
}
#endif

#endif
