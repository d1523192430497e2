// Where memory cgroups may be made, as told from trees of plain files.
#include "check.h"

#include "../../CShim/CWorkerPool/src/process/host/wp_host_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/// Files of a tree: path and content, up to a NULL.
typedef struct file {
  const char *path;
  const char *content;
} file;

/// A machine, and what is expected of it: the folder, or words of the rule against it.
typedef struct machine {
  const char *what;
  file files[10];
  const char *folder;
  const char *rule;
  bool enable;
} machine;

#define V1 "35 32 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
#define V2 "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n"
#define SELF(membership, mounts) {"proc/self/cgroup", membership}, {"proc/self/mountinfo", mounts}

static const machine machines[] = {
    {"v1", {SELF("4:memory:/a/b\n0::/\n", V1 V2), {"cg/memory/a/b/cgroup.procs", "1\n"},
            {"cg/memory/a/b/memory.use_hierarchy", "1\n"}}, "cg/memory/a/b", NULL, false},
    {"v1 without the file of kernels that always inherit",
     {SELF("7:cpu,memory:/a\n", V1), {"cg/memory/a/cgroup.procs", ""}}, "cg/memory/a", NULL, false},
    {"v1 of a container", {SELF("4:memory:/docker/x/y\n", "35 32 0:32 /docker/x /cg/memory rw - cgroup c rw,memory\n"),
                           {"cg/memory/y/cgroup.procs", ""}}, "cg/memory/y", NULL, false},
    {"v1 that does not inherit", {SELF("4:memory:/a\n", V1), {"cg/memory/a/cgroup.procs", ""},
                                  {"cg/memory/a/memory.use_hierarchy", "0\n"}}, NULL, "use_hierarchy", false},
    {"v1 that may not be written to", {SELF("4:memory:/a\n", V1), {"cg/memory/a/tasks", ""}},
     NULL, "written to", false},
    {"v1 elsewhere", {SELF("4:memory:/a\n", "35 32 0:32 /b /cg/memory rw - cgroup cgroup rw,memory\n"),
                      {"cg/memory/a/cgroup.procs", ""}}, NULL, "mounted", false},
    {"v1 without memory", {SELF("4:cpu:/a\n", "35 32 0:32 / /cg/cpu rw - cgroup cgroup rw,cpu\n")}, NULL, "mounted",
     false},
    {"v2", {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", ""}, {"cg/unified/s/own/cgroup.procs", "7\n"},
            {"cg/unified/s/cgroup.controllers", "cpu memory pids\n"},
            {"cg/unified/s/cgroup.subtree_control", "memory pids\n"}}, "cg/unified/s", NULL, false},
    {"v2 that has to be given the controller",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", ""}, {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "cpu memory\n"}, {"cg/unified/s/cgroup.subtree_control", "cpu\n"}},
     "cg/unified/s", NULL, true},
    {"v2 with processes in the parent",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", "12\n"}, {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "cpu memory\n"}, {"cg/unified/s/cgroup.subtree_control", "\n"}},
     NULL, "holds processes", false},
    {"v2 without the controller",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/cgroup.procs", ""}, {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "cpu memory_of_none\n"}}, NULL, "no memory controller", false},
    {"v2 on top", {SELF("0::/\n", V2), {"cg/unified/cgroup.procs", "7\n"},
                   {"cg/unified/cgroup.controllers", "memory\n"}}, NULL, "topmost", false},
    {"v2 on top of a container", {SELF("0::/c\n", "41 31 0:38 /c /cg/unified rw - cgroup2 cgroup2 rw\n"),
                                  {"cg/unified/cgroup.procs", "7\n"}}, NULL, "topmost", false},
    {"v2, the root", {SELF("0::/\n", V2), {"cg/unified/cgroup.procs", "7\n"},
                      {"cg/unified/cgroup.subtree_control", "memory\n"}}, "cg/unified", NULL, false},
    {"v2 that may not be written to",
     {SELF("0::/s/own\n", V2), {"cg/unified/s/own/cgroup.procs", "7\n"},
      {"cg/unified/s/cgroup.controllers", "memory\n"}}, NULL, "written to", false},
    {"nothing", {{"proc/self/mountinfo", ""}}, NULL, "mounted", false},
};

/// Makes the folders that lead to a file, and the file, unless the path ends in a slash.
static void put_file(const char *root, const char *path, const char *content) {
  char full[512];
  snprintf(full, sizeof full, "%s/%s", root, path);
  for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(full, 0755) != 0 && errno != EEXIST) exit(1);
    *slash = '/';
  }
  if (full[strlen(full) - 1] == '/') return;
  FILE *out = fopen(full, "w");
  if (out == NULL || fputs(content, out) < 0 || fclose(out) != 0) exit(1);
}

static void make_tree(char root[64]) {
  strcpy(root, "/tmp/process-engine-check.XXXXXX");
  if (mkdtemp(root) == NULL) exit(1);
}

static void remove_tree(const char *path) {
  char inner[512];
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int length = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
    if (length > 0 && (size_t)length < sizeof inner && unlink(inner) != 0) remove_tree(inner);
  }
  if (folder != NULL) closedir(folder);
  rmdir(path);
}

/// What is not asked for needs a mark for root, and none for others.
static void check_automatic(const machine *expected, const char *proc_root, const char *folder) {
  wp_cgroup_parent parent;
  const char *rule = wp_memory_cgroup_parent(proc_root, false, &parent);
  if (geteuid() != 0) {
    CHECK(rule == NULL, "%s: %s", expected->what, rule);
    return;
  }
  CHECK(rule != NULL && strstr(rule, "delegated") != NULL, "%s: %s", expected->what, rule == NULL ? "granted" : rule);
  const char *marks[] = {"trusted.delegate", "user.delegate"};
  int set = 0;
  for (int i = 0; i < 2; i++) {
    if (setxattr(folder, marks[i], "0", 1, 0) != 0) continue;  // not on every file system, nor in every container
    set++;
    CHECK(wp_memory_cgroup_parent(proc_root, false, &parent) != NULL, "%s, %s: 0", expected->what, marks[i]);
    setxattr(folder, marks[i], "1", 1, 0);
    rule = wp_memory_cgroup_parent(proc_root, false, &parent);
    CHECK(rule == NULL, "%s, %s: %s", expected->what, marks[i], rule);
    removexattr(folder, marks[i]);
  }
  if (set < 2) printf("%s: %d of 2 marks can be set here\n", expected->what, set);
}

static void check_machine(const machine *expected) {
  char root[64], proc_root[80], folder[160];
  make_tree(root);
  snprintf(proc_root, sizeof proc_root, "%s/proc", root);
  for (const file *f = expected->files; f->path != NULL; f++) put_file(root, f->path, f->content);
  wp_cgroup_parent parent;
  const char *rule = wp_memory_cgroup_parent(proc_root, true, &parent);
  if (expected->rule != NULL) {
    CHECK(rule != NULL && strstr(rule, expected->rule) != NULL, "%s: %s", expected->what, rule == NULL ? "-" : rule);
    CHECK(wp_memory_cgroup_parent(proc_root, false, &parent) != NULL, "%s", expected->what);
  } else {
    snprintf(folder, sizeof folder, "%s/%s", root, expected->folder);
    CHECK(rule == NULL && strcmp(parent.folder.path, folder) == 0, "%s: %s (%s)", expected->what, parent.folder.path,
          rule == NULL ? "-" : rule);
    CHECK(parent.enable == expected->enable, "%s", expected->what);
    check_automatic(expected, proc_root, folder);
  }
  remove_tree(root);
}

static pid_t dead_process(void) {
  pid_t process = fork();
  if (process == 0) _exit(0);
  waitpid(process, NULL, 0);
  return process;
}

/// Groups of dead hosts go, and nothing else.
static void check_sweep(void) {
  static const struct {
    const char *format;
    bool dead;
    bool goes;
  } groups[] = {{"worker-pool.w-%d-0-3/", true, true},      {"worker-pool.a-b.c_-1-%d-12-1023/", true, true},
                {"worker-pool.w-%d-0-3/", false, false},    {"worker-pool.w-%d-0/", true, false},
                {"worker-pool.w-%d-0-3x/", true, false},    {"worker-pool.w-%d-0-/", true, false},
                {"worker-pool-w-%d-0-3/", true, false},     {"w-%d-0-4/", true, false},
                {"worker-pool.w-%d-7-3/used", true, false}, {"worker-pool.w-%d-8-3", true, false}};
  enum { GROUPS = sizeof groups / sizeof groups[0] };
  char root[64], path[160], full[240];
  make_tree(root);
  pid_t dead = dead_process();
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < GROUPS; i++) {
      snprintf(path, sizeof path, groups[i].format, (int)(groups[i].dead ? dead : getpid()));
      snprintf(full, sizeof full, "%s/%s", root, path);
      if (pass == 0) put_file(root, path, "");
      else CHECK((access(full, F_OK) != 0) == groups[i].goes, "%s", path);
    }
    wp_memory_cgroup_sweep(root);
  }
  remove_tree(root);
}

/// Folders that are no cgroups cannot be given a limit; what was made is gone.
static void check_failed_create(void) {
  char root[64], proc_root[80], folder[160];
  make_tree(root);
  snprintf(proc_root, sizeof proc_root, "%s/proc", root);
  for (const file *f = machines[0].files; f->path != NULL; f++) put_file(root, f->path, f->content);
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.limits.memory = 1 << 20;
  config.limits.memory_cgroup = WP_CGROUP_REQUIRED;
  wp_memory_cgroups *groups = NULL;
  wp_error error;
  wp_status status = wp_memory_cgroups_create(proc_root, &config, 3, &groups, &error);
  CHECK(status == WP_SYSTEM_CALL_FAILED && groups == NULL && error.system_errno == ENOENT &&
            strcmp(error.call, "write(memory.limit_in_bytes)") == 0,
        "%s: %s", wp_status_name(status), error.call);
  snprintf(folder, sizeof folder, "%s/%s", root, machines[0].folder);
  DIR *entries = opendir(folder);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    CHECK(strncmp(entry->d_name, "worker-pool", 11) != 0, "%s is left", entry->d_name);
  }
  if (entries != NULL) closedir(entries);
  remove_tree(root);
}

void cgroup_places(wp_start_method method) {
  (void)method;
  for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) check_machine(&machines[i]);
  check_sweep();
  check_failed_create();
}
