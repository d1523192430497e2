#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// A worker that fails for good is tried again after five seconds each time.
enum { PATIENCE_MS = 30000, STRAYS_MS = 10000, LOOK_MS = 2 };

static void pause_briefly(void) {
  struct timespec moment = {0, LOOK_MS * 1000000};
  nanosleep(&moment, NULL);
}

/// Waits for one child, and takes away whatever else ends, as the first process of a machine does. False when it does not end
/// in time.
static bool await(pid_t process, int *status, int time_ms) {
  for (int waited = 0; waited < time_ms;) {
    int other;
    pid_t ended = waitpid(-1, &other, WNOHANG);
    if (ended == process) *status = other;
    if (ended == process) return true;
    if (ended > 0) continue;
    pause_briefly();
    waited += LOOK_MS;
  }
  return false;
}

/// Ends all that has become our child.
static void kill_strays(void) {
  char numbers[4096];
  do {
    FILE *file = fopen("/proc/thread-self/children", "re");
    size_t length = file == NULL ? 0 : fread(numbers, 1, sizeof numbers - 1, file);
    numbers[length] = '\0';
    if (file != NULL) fclose(file);
    for (char *next = strtok(numbers, " "); next != NULL; next = strtok(NULL, " ")) kill(atoi(next), SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    pause_briefly();
  } while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD);
}

/// What the host has left becomes our child, and ends by itself, if it has not.
static void check_strays(void) {
  for (int waited = 0; waited < STRAYS_MS; waited += LOOK_MS) {
    pid_t ended = waitpid(-1, NULL, WNOHANG);
    if (ended < 0) return;
    if (ended == 0) pause_briefly();
  }
  life_fails("processes were left");
  kill_strays();
}

static void check_end(pid_t host) {
  int status = 0;
  if (!await(host, &status, PATIENCE_MS)) {
    const char *phases[] = {"at the start", "in work", "at the end"};
    life_fails("it hangs %s", phases[wp_atomic_load(&seam_here->phase, wp_relaxed)]);
    kill(host, SIGKILL);
    waitpid(host, &status, 0);
  } else if (WIFSIGNALED(status)) {
    life_fails("the host died of signal %d", WTERMSIG(status));
  } else if (!seam_here->is_over) {
    life_fails("the host left with %d", WEXITSTATUS(status));
  }
}

static void check_crashes(void) {
  const char *names[] = {"host", "template", "worker"};
  for (int role = SEAM_TEMPLATE; role < SEAM_ROLES; role++) {
    uint32_t crashes = wp_atomic_load(&seam_here->crashes[role], wp_relaxed);
    uint32_t number = wp_atomic_load(&seam_here->crash_signal, wp_relaxed);
    if (crashes > 0) life_fails("a %s died of signal %u", names[role], number);
  }
}

static void run(const cell *self) {
  char path[64], story[16], method[16];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), self->file);
  snprintf(story, sizeof story, "%d", self->what.story);
  snprintf(method, sizeof method, "%d", (int)self->what.method);
  pid_t host = fork();
  if (host == 0) {
    setpgid(0, 0);
    setenv("SEAM_STATE", path, 1);
    char name[] = "engine-faults", live[] = "live";
    // Long, so that a re-executed program reads its arguments in pieces.
    static char long_argument[6000];
    memset(long_argument, 'x', sizeof long_argument - 1);
    char *arguments[] = {name, live, story, method, long_argument, NULL};
    execv("/proc/self/exe", arguments);
    _exit(71);
  }
  check_end(host);
  check_strays();
  check_crashes();
}

void cell_begin(cell *self, const cell_case *what) {
  self->what = *what;
  self->file = memfd_create("seam-state", MFD_CLOEXEC);
  if (self->file < 0 || ftruncate(self->file, sizeof(seam_state)) != 0) exit(72);
  self->state = seam_attach(self->file);
  memcpy(self->state->faults, what->faults, sizeof what->faults);
  fflush(NULL);
  self->process = fork();
  if (self->process < 0) exit(73);
  if (self->process > 0) return;
  seam_here = self->state;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  run(self);
  _exit(0);
}

void cell_end(cell *self) {
  munmap(self->state, sizeof *self->state);
  close(self->file);
  self->process = 0;
}

int cell_live(char **arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  seam_here->host = getpid();
  life_tell(&life_stories[atoi(arguments[0])], (wp_start_method)atoi(arguments[1]));
  return 0;
}
