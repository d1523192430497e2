#include "hostile.h"
#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t number_in(const wp_process_request *request) {
  uint64_t number = 0;
  memcpy(&number, request->bytes, request->length < 8 ? request->length : 8);
  return number;
}

static void answer(wp_process_reply *reply, const void *bytes, size_t length) {
  void *target = wp_process_reply_reserve(reply, length);
  if (target != NULL && length > 0) memcpy(target, bytes, length);
}

static void fill(wp_process_reply *reply, size_t length) {
  void *target = wp_process_reply_reserve(reply, length);
  if (target != NULL) memset(target, 0xA5, length);
}

static void reserve_only(wp_process_reply *reply, size_t length) {
  uint64_t got = wp_process_reply_reserve(reply, length) != NULL;
  void *target = wp_process_reply_reserve(reply, 8);
  got += target != NULL;
  if (target != NULL) memcpy(target, &got, 8);
  wp_process_reply_set_code(reply, 77);
}

static void tell_name(wp_process_reply *reply, uint32_t index) {
  size_t length = 0;
  const char *name = wp_process_worker_name(index, &length);
  if (name == NULL) wp_process_reply_set_code(reply, 404);
  else answer(reply, name, length);
}

static void await_fifo(const wp_process_request *request) {
  char path[128] = {0};
  memcpy(path, request->bytes, request->length);
  int fifo = open(path, O_RDONLY);
  if (fifo >= 0) close(fifo);
}

static void tell_signals(wp_process_reply *reply) {
  uint64_t found[2] = {0, 0};
  for (int number = 1; number < 64; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) found[0] |= (uint64_t)1 << number;
  }
  char byte;
  found[1] = read(0, &byte, 1) == 0;
  answer(reply, found, sizeof found);
}

static void run_wild(wp_process_reply *reply) {
  unsigned char *inside = (unsigned char *)wp_process_reply_reserve(reply, 1);
  unsigned char *page = (unsigned char *)((uintptr_t)inside & ~(uintptr_t)4095);
  memset(page, 0xEE, 4096);
  for (;;) pause();
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void spin(const wp_process_request *request, wp_process_reply *reply) {
  uint64_t length = number_in(request);
  for (uint64_t end = now() + length; now() < end;) continue;
  answer(reply, &length, sizeof length);
}

static void make_system_call(const wp_process_request *request, wp_process_reply *reply) {
  long given[7];
  memcpy(given, request->bytes, sizeof given);
  for (size_t i = 1; i < 7; i++) given[i] = given[i] == -1 ? (long)(uintptr_t)request->bytes : given[i];
  int64_t result = syscall(given[0], given[1], given[2], given[3], given[4], given[5], given[6]);
  if (result == -1) result = -errno;
  answer(reply, &result, sizeof result);
}

static void block_sigsys(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGSYS);
  sigprocmask(SIG_BLOCK, &mask, NULL);
}

static void print(uint64_t count) {
  enum { PART = 2600 };
  char bytes[PART + 26];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)('a' + i % 26);
  for (uint64_t done = 0; done < count;) {
    ssize_t written = write(STDERR_FILENO, bytes + done % 26, count - done < PART ? count - done : PART);
    if (written <= 0) _exit(99);
    done += (uint64_t)written;
  }
}

static void touch_shared(uint64_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  for (uint64_t i = 0; i < size; i += 4096) ((volatile unsigned char *)memory)[i] = 1;
  munmap(memory, size);
}

static void hoard(uint64_t piece) {
  for (;;) {
    if (malloc((size_t)piece) == NULL) __builtin_trap();
  }
}

static void await_stop(void) {
  while (!wp_process_stop_requested(wp_process_current_task())) sched_yield();
}

static void tell_stop(wp_process_reply *reply) {
  uint64_t found[2] = {wp_process_stop_requested(wp_process_current_task()), 0};
  uint64_t deadline = wp_process_task_deadline();
  if (deadline != UINT64_MAX) found[1] = deadline - now();
  answer(reply, found, sizeof found);
}

/// Each attempt leaves a file behind, so that the next one knows how many there were.
static void kill_workers(const wp_process_request *request) {
  char path[128] = {0};
  memcpy(path, request->bytes, request->length);
  char *end = path + request->length - 1;
  int times = *end - '0';
  for (*end = '1'; *end - '0' <= times; ++*end) {
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (file >= 0) __builtin_trap();
  }
}

static void fill_bells(void) {
  int bells[8];
  size_t count = 0;
  for (int i = 3; i < 2048 && count < 8; i++) {
    char path[64], target[64] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", i);
    if (readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "pipe:", 5) == 0) bells[count++] = i;
  }
  const uint64_t most = UINT64_MAX - 1;
  for (size_t i = 0;; i++) {
    ssize_t written = write(bells[i % count], &most, sizeof most);
    if (written < 0 && errno != EAGAIN) _exit(99);
  }
}

static void die(uint32_t function, const wp_process_request *request) {
  switch (function) {
  case DO_TRAP: __builtin_trap();
  case DO_ABORT: abort();
  case DO_SEGV: raise(SIGSEGV); break;  // not a wild load: sanitizers would take that one
  case DO_EXIT_3: exit(3);
  case DO__EXIT_0: _exit(0);
  case DO_RAISE_SIGSYS: raise(SIGSYS); break;
  case DO_WRITE_ARGUMENT: *(volatile unsigned char *)(uintptr_t)request->bytes = 1; break;
  default: break;
  }
}

static void shared_sum(const wp_process_request *request, wp_process_reply *reply) {
  const uint64_t *ids = (const uint64_t *)request->bytes;
  uint64_t sum = 0;
  for (size_t i = 0; i < request->length / sizeof *ids; i++) {
    int32_t error = 0;
    wp_shared_view *view = wp_process_worker_view(ids[i], &error);
    if (view == NULL) {
      sum = (uint64_t)error;
      wp_process_reply_set_code(reply, 404);
      break;
    }
    sum += *(const unsigned char *)wp_shared_view_address(view);
    wp_shared_view_release(view);
  }
  answer(reply, &sum, sizeof sum);
}

/// The memory that the request names first, which stays mapped.
static void *shared_address(const wp_process_request *request, size_t *length) {
  int32_t error = 0;
  wp_shared_view *view = wp_process_worker_view(number_in(request), &error);
  if (view == NULL) _exit(99);
  *length = wp_shared_view_length(view);
  return wp_shared_view_address(view);
}

static void shared_write(const wp_process_request *request) {
  size_t length;
  uint64_t *target = (uint64_t *)shared_address(request, &length);
  memcpy(target, (const uint64_t *)request->bytes + 1, sizeof *target);
}

static void shared_force(const wp_process_request *request, wp_process_reply *reply) {
  size_t length;
  void *address = shared_address(request, &length);
  uint64_t ways = mprotect(address, length, PROT_READ | PROT_WRITE) == 0;
  // Remapping with a size of zero makes a second mapping of the same shared pages.
  void *second = mremap(address, 0, length, MREMAP_MAYMOVE);
  ways += second != MAP_FAILED && mprotect(second, length, PROT_READ | PROT_WRITE) == 0;
  answer(reply, &ways, sizeof ways);
}

static void make_block(const wp_process_request *request, wp_process_reply *reply) {
  uint64_t length = number_in(request);
  size_t offset = 0;
  void *block = wp_process_worker_block((size_t)length, &offset);
  if (block == NULL) wp_process_reply_set_code(reply, 507);
  else memset(block, (int)(length % 251), (size_t)length);
  uint64_t found = offset;
  answer(reply, &found, sizeof found);
}

static void use_room(const wp_process_request *request, wp_process_reply *reply) {
  uint64_t length = number_in(request);
  size_t capacity = 0;
  void *room = wp_process_reply_room(reply, &capacity);
  if (length <= capacity) memset(room, 0x5A, (size_t)length);
  void *target = wp_process_reply_reserve(reply, (size_t)length);
  if (target != NULL && length > WP_PROCESS_SMALL_REPLY && target != room) wp_process_reply_set_code(reply, 500);
  if (target != NULL && length <= WP_PROCESS_SMALL_REPLY) memset(target, 0x5A, (size_t)length);
}

void handle_task(void *context, const wp_process_request *request, wp_process_reply *reply) {
  (void)context;
  switch (request->function) {
  case DO_ECHO: answer(reply, request->bytes, request->length); break;
  case DO_INCREMENT: {
    uint64_t next = number_in(request) + 1;
    answer(reply, &next, sizeof next);
    break;
  }
  case DO_FILL: fill(reply, number_in(request)); break;
  case DO_RESERVE_ONLY: reserve_only(reply, number_in(request)); break;
  case DO_PID: {
    int32_t identity[2] = {getpid(), wp_process_worker_index()};
    answer(reply, identity, sizeof identity);
    break;
  }
  case DO_NAME: tell_name(reply, (uint32_t)number_in(request)); break;
  case DO_AWAIT_FIFO: await_fifo(request); break;
  case DO_PAUSE:
    for (;;) pause();
  case DO_RUN_WILD: run_wild(reply); break;
  case DO_CLOSE_ALL:
    for (int i = 0; i < 1024; i++) close(i);
    break;
  case DO_SIGNALS: tell_signals(reply); break;
  case DO_SPIN: spin(request, reply); break;
  case DO_PRINT: print(number_in(request)); break;
  case DO_PRINT_AND_DIE:
    print(number_in(request));
    kill(getpid(), SIGKILL);
    break;
  case DO_HOARD: hoard(number_in(request)); break;
  case DO_TOUCH_SHARED: touch_shared(number_in(request)); break;
  case DO_REFUSE:
    answer(reply, request->bytes, request->length);
    wp_process_reply_set_code(reply, 5);
    break;
  case DO_AWAIT_STOP: await_stop(); break;
  case DO_TELL_STOP: tell_stop(reply); break;
  case DO_KILL_WORKERS: kill_workers(request); break;
  case DO_SHARED_SUM: shared_sum(request, reply); break;
  case DO_SHARED_WRITE: shared_write(request); break;
  case DO_SHARED_FORCE: shared_force(request, reply); break;
  case DO_BLOCK: make_block(request, reply); break;
  case DO_ROOM: use_room(request, reply); break;
  case DO_FILL_BELLS: fill_bells(); break;
  case DO_SYSTEM_CALL_BLOCKED: block_sigsys();  // fall through
  case DO_SYSTEM_CALL: make_system_call(request, reply); break;
  case DO_SCRIBBLE: scribble(request, reply); break;
  case DO_BREAK_OUT: break_out(request, reply); break;
  case DO_LIE: lie(request, reply); break;
  case DO_WRITE_TO_NOBODY: write_to_nobody(reply); break;
  case DO_TELL_ORIGIN: tell_origin(number_in(request), reply); break;
  case DO_RAISE_FAMILY: raise_family(request); break;
  case DO_USE_NUMBERS: use_numbers(request, reply); break;
  case DO_LOOK_AFTER_FORK: look_after_fork(reply); break;
  case DO_PRINT_LINE: print_line(); break;
  case DO_NEST: nest(request, reply); break;
  case DO_START_BADLY: start_badly(request, reply); break;
  case DO_REFUSE_OUTER_TRACES: refuse_outer_traces(reply); break;
  default: die(request->function, request);
  }
}

wp_process_handler wp_process_reexec_handler(void) {
  return getenv("CHECK_NO_HANDLER") == NULL ? handle_task : NULL;
}
