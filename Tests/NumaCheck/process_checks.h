// Checks of process pools for a machine of several nodes. Each is run in a process of its own that has one thread, by root,
// and ends it with status 1 after a line on standard output for what is not as it should be.
#ifndef PROCESS_CHECKS_H
#define PROCESS_CHECKS_H

/// Whether the slots and payloads of placed workers are on their nodes, whoever wrote them first; that nothing is placed
/// for others; and that a pool works where memory may not be placed.
void check_process_slots(void);
/// Whether a pool goes on without a CPU that its workers were pinned to.
void check_process_unplug(void);

#endif
