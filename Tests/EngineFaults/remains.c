#include "remains.h"

#include "life.h"
#include "site.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static size_t count_entries(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL) return 0;
  size_t count = 0;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

/// Lines of a file that contain `part`.
static size_t count_lines(const char *path, const char *part) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  char line[4096];
  size_t count = 0;
  while (fgets(line, sizeof line, file) != NULL) count += strstr(line, part) != NULL;
  fclose(file);
  return count;
}

static size_t count_children(void) {
  FILE *file = fopen("/proc/thread-self/children", "re");
  if (file == NULL) return 0;
  size_t count = 0;
  for (int byte = getc(file); byte != EOF; byte = getc(file)) count += byte == ' ';
  fclose(file);
  return count;
}

remains remains_count(void) {
  remains found;
  found.children = count_children();
  found.memory_files = count_lines("/proc/self/maps", "memfd:worker-pool") +
                       count_lines("/proc/self/maps", "memfd:shared-array");
  found.descriptors = count_entries("/proc/self/fd");
  found.threads = count_entries("/proc/self/task");
  found.blocks = seam_held(SEAM_BLOCKS);
  found.mappings = seam_held(SEAM_MAPPINGS);
  return found;
}

static void check(const char *what, size_t before, size_t now) {
  if (now != before) life_fails("%zu %s were %zu", now, what, before);
}

void remains_check(remains before) {
  remains now = remains_count();
  // A thread that has said its last may take a moment to leave.
  for (int tries = 0; tries < 200 && now.threads > before.threads; tries++) {
    struct timespec moment = {0, 5000000};
    nanosleep(&moment, NULL);
    now = remains_count();
  }
  check("descriptors", before.descriptors, now.descriptors);
  check("children", before.children, now.children);
  check("memory files", before.memory_files, now.memory_files);
  check("threads", before.threads, now.threads);
  check("blocks of memory", (size_t)before.blocks, (size_t)now.blocks);
  check("mappings", (size_t)before.mappings, (size_t)now.mappings);
}
