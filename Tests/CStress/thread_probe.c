#include "CStress.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int32_t cs_thread_id(void) { return (int32_t)gettid(); }

int32_t cs_current_cpu(void) { return sched_getcpu(); }

size_t cs_allowed_cpus(int32_t *cpus, size_t capacity) {
  size_t count = 0;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (int32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET((size_t)cpu, &set)) continue;
    if (count < capacity) cpus[count] = cpu;
    count++;
  }
  return count;
}

size_t cs_stack_size(void) {
  pthread_attr_t attribute;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attribute) != 0) return 0;
  pthread_attr_getstacksize(&attribute, &size);
  pthread_attr_destroy(&attribute);
  return size;
}

void cs_signal_threads(int number) {
  DIR *folder = opendir("/proc/self/task");
  if (folder == NULL) return;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    int thread = atoi(entry->d_name);
    if (thread > 0) tgkill(getpid(), thread, number);  // fails for one that has ended meanwhile
  }
  closedir(folder);
}

void cs_trim_memory(void) { malloc_trim(0); }

void cs_adopt_orphans(void) { prctl(PR_SET_CHILD_SUBREAPER, 1UL); }

size_t cs_block_size(void *block) { return malloc_usable_size(block); }
