// A file in memory that several processes map: created sparse, sealed at its size, given back page by page.
#ifndef WP_SHARED_MEMORY_H
#define WP_SHARED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Creates a sparse, anonymous, close-on-exec file of `size` bytes that can neither shrink nor grow: nobody can turn
/// another process's mapping into SIGBUS. Returns its descriptor, or -1 with `errno` set and `*call` naming the call.
int wp_memory_file_create(const char *name, uint64_t size, const char **call);

/// How large such a file may be (RLIMIT_FSIZE).
uint64_t wp_memory_file_limit(void);

/// Creates such a file and maps it writable at `*address`. With `sealed` nobody can map or write it for writing any more
/// but through this one mapping, whatever rights it has, and the descriptor is one for reading, where /proc allows that. -1 as
/// above.
int wp_memory_share(const char *name, size_t size, bool sealed, void **address, const char **call);

/// Opens the file a second time, for reading alone: no mapping by this descriptor can ever be made writable. -1 with `errno` set
/// ("open").
int wp_memory_open_for_reading(int descriptor);
/// The same with all rights. -1 with `errno` set ("fcntl").
int wp_memory_open_again(int descriptor);

/// Maps `[offset, offset + length)` of the file. Left out of core dumps and of children made by `fork`, so that no
/// process but the one that asked writes there. NULL with `errno` set on failure ("mmap").
void *wp_memory_map(int descriptor, uint64_t offset, size_t length, bool writable);
void wp_memory_unmap(void *address, size_t length);

/// Private memory that reads as zeros and takes pages as they are touched: for tables of which most is not used. Not seen
/// by leak checkers, and so no place for pointers to what they look for. NULL with `errno` set on failure ("mmap").
void *wp_memory_zeros(size_t length);

/// Gives the memory its pages, for writing: 0, or an `errno`. A page that cannot be had would raise SIGBUS in whoever touches
/// it first. Where the kernel does not know the call (before Linux 5.14) pages come as they are touched.
int wp_memory_populate(void *address, size_t length);

/// Whether this process could map so many bytes now, wherever.
bool wp_memory_has_room(uint64_t length);

/// Gives the pages of `[address, address + length)` back to the system, for all processes: they read as zeros.
/// `address` is page aligned. Best effort.
void wp_memory_give_back(void *address, size_t length);

size_t wp_page_size(void);

#ifdef __cplusplus
}
#endif

#endif
