// The table of checks.
#include "check.h"
#include "memory_checks.h"
#include "process_checks.h"

#include <stdlib.h>
#include <string.h>

static void memory(void) { failures += check_memory(); }

static const struct {
  const char *name;
  check_function *run;
} checks[] = {
    {"topology", topology},
    {"libnuma-agrees", libnuma_agrees},
    {"granted-by-cgroups", granted_by_cgroups},
    {"pinned", pinned},
    {"refused", refused},
    {"floats", floats},
    {"memory", memory},
    {"process-slots", check_process_slots},
    {"process-unplug", check_process_unplug},
    {"unplugged", unplugged},
};
enum { CHECKS = sizeof checks / sizeof checks[0] };

int failures;

_Noreturn void give_up(void) {
  fflush(stdout);
  exit(1);
}

int main(int count, char **arguments) {
  const char *name = count > 1 ? arguments[1] : "";
  if (strcmp(name, "list") == 0) {
    for (size_t i = 0; i < CHECKS; i++) puts(checks[i].name);
    return 0;
  }
  machine_read();
  if (strcmp(name, "inside") == 0) return inside(count - 2, arguments + 2);
  for (size_t i = 0; i < CHECKS; i++) {
    if (strcmp(name, checks[i].name) == 0) {
      checks[i].run();
      return failures > 0;
    }
  }
  printf("%s: not a check; `list` names them\n", name);
  return 64;
}
