// What the scenarios of sandboxed pools have in common.
#ifndef SANDBOXED_H
#define SANDBOXED_H

#include "check.h"

#include <fcntl.h>
#include <sys/syscall.h>

/// Where a worker finds its task's bytes, which are readable memory.
#define ARGUMENT UINT64_MAX

typedef struct call {
  const char *name;
  uint64_t number;
  uint64_t arguments[6];
} call;

#define CALL(name, ...) {#name, SYS_##name, {__VA_ARGS__}}
#define AT (uint64_t)AT_FDCWD

void open_sandboxed(test_lab *lab, uint32_t workers, size_t tasks);
/// `function`: DO_SYSTEM_CALL, with SIGSYS blocked or not.
void submit_call(test_lab *lab, size_t task, uint32_t function, const call *made);
/// Checks that the worker died of a forbidden call, and of which: "-" for one that it did not tell.
void check_forbidden(test_lab *lab, size_t task, const char *expected, const char *what);

#endif
