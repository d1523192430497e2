// Large arguments that wait in the buffers of a worker.
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LARGE = 64 << 10, HELD = 2 };

/// Arguments whose first byte cannot be read before somebody says so: whoever copies one stands in the fault's handler.
static struct held_argument {
  test_lab *lab;
  unsigned char *bytes;
  int entered[2];
  int released[2];
} held[HELD];

static void hold(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  for (int i = 0; i < HELD; i++) {
    const unsigned char *address = (const unsigned char *)info->si_addr;
    if (address < held[i].bytes || address >= held[i].bytes + LARGE) continue;
    char byte = 0;
    if (write(held[i].entered[1], &byte, 1) == 1 && read(held[i].released[0], &byte, 1) == 1 &&
        mprotect(held[i].bytes, LARGE, PROT_READ) == 0) {
      return;
    }
  }
  signal(SIGSEGV, SIG_DFL);
}

static void *submit_held(void *argument) {
  struct held_argument *self = (struct held_argument *)argument;
  lab_submit(self->lab, (size_t)(self - held), DO_ECHO, self->bytes, LARGE);
  return NULL;
}

/// While two arguments are being copied into all the buffers that a worker has, its only slot goes to a task that needs none,
/// and a third argument begins to wait in front of them. The worker then runs all of them.
void large_waits(wp_start_method method) {
  test_lab lab;
  wp_process_pool_config config = lab_config(&lab, 1, method);
  config.prefetch = 1;
  lab_open_with(&lab, &config, HELD + 2);
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = hold;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &before);
  pthread_t threads[HELD];
  char byte = 0;
  for (size_t i = 0; i < HELD; i++) {
    held[i].lab = &lab;
    held[i].bytes = (unsigned char *)mmap(NULL, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pipe(held[i].entered) != 0 || pipe(held[i].released) != 0) exit(1);
    pthread_create(&threads[i], NULL, submit_held, &held[i]);
    CHECK(read(held[i].entered[0], &byte, 1) == 1, "argument %zu is not being copied", i);
  }
  test_gate gate;
  gate_make(&gate);
  lab_submit(&lab, HELD, DO_AWAIT_FIFO, gate.path, strlen(gate.path));
  unsigned char *bytes = (unsigned char *)calloc(1, LARGE);
  lab_submit(&lab, HELD + 1, DO_ECHO, bytes, LARGE);
  for (size_t i = 0; i < HELD; i++) {
    CHECK(write(held[i].released[1], &byte, 1) == 1, "release");
    pthread_join(threads[i], NULL);
  }
  gate_open(&gate);
  lab_await(&lab, HELD + 2);
  for (size_t i = 0; i < HELD + 2; i++) {
    if (i == HELD) continue;
    CHECK(lab.endings[i].outcome.length == LARGE && lab.endings[i].hash == hash_bytes(bytes, LARGE), "task %zu", i);
  }
  sigaction(SIGSEGV, &before, NULL);
  for (size_t i = 0; i < HELD; i++) {
    munmap(held[i].bytes, LARGE);
    for (size_t j = 0; j < 2; j++) {
      close(held[i].entered[j]);
      close(held[i].released[j]);
    }
  }
  free(bytes);
  gate_remove(&gate);
  lab_close(&lab);
}
