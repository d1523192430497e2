#include "CStress.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

/// Whether everybody may pass the folders that lead to this program.
static bool is_open_to_all(void) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = '\0';
  struct stat status;
  for (char *slash = strrchr(path, '/'); slash != NULL && slash != path; slash = strrchr(path, '/')) {
    *slash = '\0';
    if (stat(path, &status) != 0 || (status.st_mode & S_IXOTH) == 0) return false;
  }
  return true;
}

bool cs_become_user(uint32_t number) {
  if (!is_open_to_all()) return false;
  return setgroups(0, NULL) == 0 && setresgid(number, number, number) == 0 && setresuid(number, number, number) == 0 &&
         prctl(PR_SET_DUMPABLE, 1UL) == 0;
}

bool cs_limit_process(int32_t process, bool descriptors, uint64_t limit, uint64_t *before) {
  __rlimit_resource_t resource = descriptors ? RLIMIT_NOFILE : RLIMIT_NPROC;
  struct rlimit found;
  if (prlimit(process, resource, NULL, &found) != 0) return false;
  *before = found.rlim_cur;
  found.rlim_cur = limit;
  return prlimit(process, resource, &found, NULL) == 0;
}

size_t cs_block_size(void *block) { return malloc_usable_size(block); }
