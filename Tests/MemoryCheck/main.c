#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The checks that an emulated machine with several nodes runs, too.
#include "../NumaCheck/memory.c"

int failures;

void placed(int error) {
  (void)error;
  failures += check_memory();
}

static const struct {
  const char *name;
  void (*run)(int error);
} scenarios[] = {
    {"placed", placed}, {"bad-input", bad_input}, {"denied", denied}, {"notices", notices}, {"no-handler", no_handler},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static int error_named(const char *name) {
  if (strcmp(name, "EPERM") == 0) return EPERM;
  if (strcmp(name, "ENOSYS") == 0) return ENOSYS;
  if (strcmp(name, "EACCES") == 0) return EACCES;
  return 0;
}

int main(int count, char **arguments) {
  const char *name = count > 1 ? arguments[1] : "";
  int error = count > 2 ? error_named(arguments[2]) : 0;
  if (strcmp(name, "exec") == 0 && count > 3 && error != 0) {
    deny_placement(error);
    execv(arguments[3], arguments + 3);
    printf("%s: %s\n", arguments[3], strerror(errno));
    return 1;
  }
  for (size_t i = 0; i < SCENARIOS; i++) {
    if (strcmp(name, scenarios[i].name) == 0) {
      scenarios[i].run(error);
      return failures > 0;
    }
  }
  for (size_t i = 0; i < SCENARIOS; i++) puts(scenarios[i].name);
  return count > 1 ? 64 : 0;
}
