#include "wp_poll.h"

#include "wp_clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WP_BITS (8 * sizeof(unsigned long))
/// Descriptors that select is asked about: those below this.
#define WP_MOST_SELECTED 65536u
/// Between two attempts that the kernel refuses.
#define WP_REFUSED_PAUSE_NS 10000000

typedef struct wp_selection {
  unsigned long read[WP_MOST_SELECTED / WP_BITS];
  unsigned long write[WP_MOST_SELECTED / WP_BITS];
} wp_selection;

static unsigned long bit_of(int descriptor) { return 1ul << ((size_t)descriptor % WP_BITS); }
static size_t word_of(int descriptor) { return (size_t)descriptor / WP_BITS; }

/// One past the largest descriptor; 0 when one is too large.
static int select_entries(const struct pollfd *entries, size_t count, wp_selection *selection) {
  int end = 1;
  memset(selection, 0, sizeof *selection);
  for (size_t i = 0; i < count; i++) {
    int descriptor = entries[i].fd;
    if (descriptor < 0) continue;
    if ((unsigned)descriptor >= WP_MOST_SELECTED) return 0;
    if (descriptor >= end) end = descriptor + 1;
    if ((entries[i].events & POLLIN) != 0) selection->read[word_of(descriptor)] |= bit_of(descriptor);
    if ((entries[i].events & POLLOUT) != 0) selection->write[word_of(descriptor)] |= bit_of(descriptor);
  }
  return end;
}

/// By select(2), which asks for no limit, and finds a peer that is gone readable and writable.
static int poll_by_select(struct pollfd *entries, size_t count, uint64_t deadline_ns) {
  wp_selection selection;
  int end = select_entries(entries, count, &selection);
  if (end == 0) {
    errno = EINVAL;
    return -1;
  }
  struct timespec left;
  // The call itself: glibc's sets end at 1024.
  long ready = syscall(SYS_pselect6, end, selection.read, selection.write, NULL, wp_clock_left(deadline_ns, &left), NULL);
  if (ready <= 0) return (int)ready;
  int found = 0;
  for (size_t i = 0; i < count; i++) {
    int descriptor = entries[i].fd;
    if (descriptor < 0) continue;
    bool readable = (selection.read[word_of(descriptor)] & bit_of(descriptor)) != 0;
    bool writable = (selection.write[word_of(descriptor)] & bit_of(descriptor)) != 0;
    entries[i].revents = (short)((readable ? entries[i].events & POLLIN : 0) | (writable ? entries[i].events & POLLOUT : 0));
    found += entries[i].revents != 0;
  }
  return found;
}

int wp_poll(struct pollfd *entries, size_t count, uint64_t deadline_ns) {
  struct timespec left;
  int ready = ppoll(entries, (nfds_t)count, wp_clock_left(deadline_ns, &left), NULL);
  if (ready >= 0) return ready;
  for (size_t i = 0; i < count; i++) entries[i].revents = 0;
  if (errno == EINTR) return -1;
  ready = poll_by_select(entries, count, deadline_ns);
  if (ready >= 0 || errno == EINTR) return ready;
  int saved = errno;
  struct timespec pause = {0, WP_REFUSED_PAUSE_NS};
  nanosleep(&pause, NULL);
  errno = saved;
  return -1;
}
