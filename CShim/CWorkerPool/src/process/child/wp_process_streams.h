// The standard C library's streams in the processes of a pool: whose lines stand in them, and where they go.
//
//     inherited, with lines of the host     the host's to print: a template forgets those of the standard streams
//     inherited, with lines of a task       go nowhere: the numbers that they name are held (platform/wp_descriptors.h)
//     standard output and error             written out after each task, since a worker may be killed at any time
//     opened by a task                      written out when the worker leaves by itself
#ifndef WP_PROCESS_STREAMS_H
#define WP_PROCESS_STREAMS_H

#include "../../platform/wp_descriptors.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Forgets what the host has not written out of its standard streams.
void wp_streams_forget(void);
/// Writes the standard streams out. Two loads when nothing was printed. What a thread prints at this moment is that thread's.
void wp_streams_flush(void);
/// Writes out what the worker's tasks have left in streams of their own. When a number of the host's is not held any more, or
/// none of it can be looked at (`restricted`), only the standard streams: another could name a file that it was not opened for.
void wp_streams_end(const wp_descriptors *held, bool restricted);

#ifdef __cplusplus
}
#endif

#endif
