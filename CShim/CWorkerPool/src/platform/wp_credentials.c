#include "wp_credentials.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

void wp_credentials_read(wp_credentials *self) {
  memset(self, 0, sizeof *self);
  getresuid(&self->users[0], &self->users[1], &self->users[2]);
  getresgid(&self->groups[0], &self->groups[1], &self->groups[2]);
  int count = getgroups((int)WP_MAX_GROUPS, self->others);
  self->other_count = count < 0 ? WP_MAX_GROUPS + 1 : (uint32_t)count;
}

bool wp_credentials_equal(const wp_credentials *first, const wp_credentials *second) {
  return memcmp(first, second, sizeof *first) == 0;
}

bool wp_credentials_take(const wp_credentials *self) {
  if (self->other_count > WP_MAX_GROUPS) {
    errno = E2BIG;
    return false;
  }
  // Groups first: who has given up the user has no right to change them.
  return setgroups(self->other_count, self->others) == 0 &&
         setresgid(self->groups[0], self->groups[1], self->groups[2]) == 0 &&
         setresuid(self->users[0], self->users[1], self->users[2]) == 0;
}
