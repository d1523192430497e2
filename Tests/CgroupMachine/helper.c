// What busybox does not have: `helper mark <folder>` says that a cgroup was handed over to root, `helper user <program…>`
// runs a program as user 1000.
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[1], "mark") == 0) {
    if (setxattr(arguments[2], "trusted.delegate", "1", 1, 0) == 0) return 0;
  } else if (count > 2 && strcmp(arguments[1], "user") == 0) {
    if (setgroups(0, NULL) == 0 && setgid(1000) == 0 && setuid(1000) == 0) execv(arguments[2], arguments + 2);
  }
  perror(arguments[0]);
  return 1;
}
