// A C program that links the engine alone and checks placed memory and notices, one scenario per run, since a filter of
// system calls stays with its process, and a notice is said once in its life:
//
//     memory-check <scenario> [EPERM|ENOSYS|EACCES]
//     memory-check exec EPERM|ENOSYS <program> <argument>…     runs a program that is denied placement
//
// Exits 0 when the scenario holds, 1 with a line on stdout for each thing that does not.
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

extern int failures;

#define CHECK(condition, ...)                                  \
  do {                                                         \
    if (!(condition)) {                                        \
      failures++;                                              \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);   \
      printf(__VA_ARGS__);                                     \
      printf("\n");                                            \
    }                                                          \
  } while (0)

/// From now on, the calls that place memory, and those that ask where it is, fail with this errno in this process, as
/// under the filter of a container. Ends the program when that cannot be had.
void deny_placement(int error);

void placed(int error), bad_input(int error), denied(int error), notices(int error), no_handler(int error);

#endif
