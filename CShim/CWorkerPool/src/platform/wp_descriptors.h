// Numbers of descriptors that objects of a program still name after a fork.
//
// A worker has none of its host's files, but it has the host's objects: streams and handles that name descriptors by number.
// Such a number is *held* in a worker: by a descriptor on which read and write answer EBADF. Were it free, the next file that a
// task opens would get it, and an inherited log stream would write there. What the worker itself needs lies elsewhere, high up,
// so that a task which closes what it has inherited closes nothing of the pool's.
//
// All of it may be called between `fork` and the worker loop, but for `wp_descriptors_find`, which allocates.
#ifndef WP_DESCRIPTORS_H
#define WP_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Numbers from 3 up, in order. Lives as long as its process.
typedef struct wp_descriptors {
  int *numbers;
  size_t count;
} wp_descriptors;

/// Finds what is open now, but for `except`. False without memory.
bool wp_descriptors_find(wp_descriptors *open, int except);

/// From where up a process with this limit of open files keeps what is its own. Not too high: the kernel copies the table of
/// descriptors up to the highest with every fork.
int wp_descriptors_own_base(uint64_t open_files);
/// Moves a close-on-exec descriptor to a number at or above `base` that is not held; -1 stays what it is. Where there is no
/// such number it stays where it is.
int wp_descriptor_move_up(const wp_descriptors *held, int base, int descriptor);

/// Closes all from 3 up but the `count` descriptors of `keep`, which are sorted in place, and holds the numbers. Best effort
/// for numbers that the limit of open files forbids.
void wp_descriptors_hold(const wp_descriptors *held, int *keep, size_t count);
/// Whether all numbers are still held: a stream that names one of them writes nowhere.
bool wp_descriptors_are_held(const wp_descriptors *held);

#ifdef __cplusplus
}
#endif

#endif
