// sched_getaffinity, and the part of libnuma that the topology checks itself against.
//
// The mask is asked for with a buffer that doubles on EINVAL: the kernel refuses one that is smaller than its own,
// whose size (nr_cpu_ids) no file tells reliably. sysconf(_SC_NPROCESSORS_*) and numa_num_task_cpus count CPUs that
// are offline or not allowed, and glibc's cpu_set_t ends at 1024.
#include "wp_affinity.h"

#include <errno.h>
#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// No kernel can be built for more (x86 stops at 8192); the loop below has to end somewhere.
#define WP_AFFINITY_MAX_CPUS ((size_t)1 << 20)

int wp_affinity_get(bool of_process, uint64_t *words, size_t count) {
  pid_t thread = of_process ? getpid() : 0;
  memset(words, 0, count * sizeof *words);
  for (size_t cpus = 1024; cpus <= WP_AFFINITY_MAX_CPUS; cpus *= 2) {
    size_t size = CPU_ALLOC_SIZE(cpus);
    cpu_set_t *set = (cpu_set_t *)calloc(1, size);
    if (set == NULL) return ENOMEM;
    if (sched_getaffinity(thread, size, set) == 0) {
      for (size_t cpu = 0; cpu < cpus && cpu < count * 64; cpu++) {
        if (CPU_ISSET_S(cpu, size, set)) words[cpu / 64] |= (uint64_t)1 << (cpu % 64);
      }
      free(set);
      return 0;
    }
    int problem = errno;
    free(set);
    if (problem != EINVAL) return problem;
  }
  return EINVAL;
}

bool wp_numa_works(void) { return numa_available() >= 0; }

bool wp_numa_node_cpus(int node, uint64_t *words, size_t count) {
  // libnuma fills a cache of masks without a lock of its own.
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  memset(words, 0, count * sizeof *words);
  if (node < 0 || node > numa_max_node()) return false;
  struct bitmask *mask = numa_allocate_cpumask();
  if (mask == NULL) return false;
  pthread_mutex_lock(&lock);
  bool known = numa_node_to_cpus(node, mask) == 0;
  pthread_mutex_unlock(&lock);
  for (size_t cpu = 0; known && cpu < mask->size && cpu < count * 64; cpu++) {
    if (numa_bitmask_isbitset(mask, (unsigned)cpu)) words[cpu / 64] |= (uint64_t)1 << (cpu % 64);
  }
  numa_bitmask_free(mask);
  return known;
}
