// A call of the engine at the seam, and what is told to whoever looks.
#ifndef SITE_H
#define SITE_H

#include <sys/types.h>

/// A call in the engine's sources.
typedef struct seam_site {
  const char *call;
  const char *file;
  const char *function;
  int line;
  /// Its place among all, -1 for one that is not told to fail.
  int number;
} seam_site;

/// 0, or the error number with which the call is to fail, which `errno` is then, too. Async-signal-safe.
int seam_fails(const seam_site *site);

/// What the engine holds in this process: blocks of memory, mappings.
enum { SEAM_BLOCKS, SEAM_MAPPINGS, SEAM_HOLDINGS };
void seam_holds(int what, int more);
/// After a fork, in both processes.
pid_t seam_forked(pid_t process);
/// A child that was waited for, as from `waitpid`.
void seam_reaped(pid_t process, int status);

#endif
