// Checks of placed memory that hold on a machine of any shape, and say more the more nodes it has.
#ifndef MEMORY_CHECKS_H
#define MEMORY_CHECKS_H

/// Whether memory that is bound, interleaved or first touched lies where it should, shared memory in a second process
/// too, and nodes that cannot be had are refused. In a process with one thread, which is pinned here and there meanwhile.
/// Returns how many things are not as they should be, after a line on standard output for each.
int check_memory(void);

#endif
