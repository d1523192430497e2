// malloc_trim, which the module of glibc leaves out, and the affinity of threads, which is not there without _GNU_SOURCE.
#include <malloc.h>
#include <sched.h>
#include <sys/types.h>

int sched_getaffinity(pid_t thread, size_t size, cpu_set_t *cpus);
int sched_setaffinity(pid_t thread, size_t size, const cpu_set_t *cpus);
