#include "excuses.h"

#include <stddef.h>
#include <string.h>

#define CGROUP "a memory cgroup is its machine's; make test-cgroups emulates one"
#define NODES "threads move their stacks where there are several nodes; make test-numa emulates them"

/// By the beginning of a site's name.
static const struct {
  const char *site;
  const char *reason;
} table[] = {
    {"wp_host_cgroup.c:wp_memory_cgroups_destroy:rmdir", CGROUP},
    {"wp_process_worker.c:join_cgroup:write", CGROUP},
    {"wp_numa.c:wp_numa_bring_here:", NODES},
    {"wp_thread.c:find_stack:pthread_getattr_np", NODES},
    {"wp_process_template.c:forget_last:kill",
     "a worker ends between a look at the children and the order to fork the next: nobody can make it do so"},
};

const char *excuse_of(const char *site) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strncmp(site, table[i].site, strlen(table[i].site)) == 0) return table[i].reason;
  }
  return NULL;
}
