// Numbers of descriptors that a worker's objects have from its host, and what it prints.
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INHERITED = 6, FILES = 3 };
#define LINE "result\n"

/// What tasks are told: numbers that their host had open, and a folder for files.
typedef struct numbers_order {
  int numbers[INHERITED];
  int closes;
  char folder[40];
} numbers_order;

/// Of the host, and inherited by forked workers.
static FILE *log_stream;

static void file_path(char path[64], const char *folder, int file) { snprintf(path, 64, "%s/%d", folder, file); }

void use_numbers(const wp_process_request *request, wp_process_reply *reply) {
  numbers_order order;
  memcpy(&order, request->bytes, sizeof order);
  uint64_t wrong = 0;
  if (log_stream != NULL) fprintf(log_stream, "of a worker");
  for (int i = 0; i < INHERITED; i++) {
    char byte = 'w';
    wrong += write(order.numbers[i], &byte, 1) != -1 || errno != EBADF;
    wrong += read(order.numbers[i], &byte, 1) != -1 || errno != EBADF;
    if (order.closes) wrong += close(order.numbers[i]) != 0;
  }
  for (int i = 0; i < FILES; i++) {
    char path[64];
    file_path(path, order.folder, i);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    wrong += write(file, LINE, strlen(LINE)) != (ssize_t)strlen(LINE);
  }
  void *target = wp_process_reply_reserve(reply, sizeof wrong);
  memcpy(target, &wrong, sizeof wrong);
}

void print_line(void) {
  printf("%s", LINE);
}

/// Whether the file holds the line and nothing else. Removes it.
static bool has_line(const char *folder, int file) {
  char path[64], text[64];
  file_path(path, folder, file);
  int opened = open(path, O_RDONLY);
  ssize_t length = read(opened, text, sizeof text);
  close(opened);
  unlink(path);
  return length == (ssize_t)strlen(LINE) && memcmp(text, LINE, strlen(LINE)) == 0;
}

/// The numbers that the host has open are nobody's in a worker: neither files of a task nor the worker's own get them. A task
/// may close them all. What is printed to a stream of the host's goes nowhere.
void inherited_numbers(wp_start_method method) {
  char folder[] = "/tmp/process-engine-check.XXXXXX";
  if (mkdtemp(folder) == NULL) exit(1);
  char path[64];
  file_path(path, folder, FILES);
  log_stream = fopen(path, "w");
  numbers_order order;
  memset(&order, 0, sizeof order);
  strcpy(order.folder, folder);
  for (int i = 0; i < INHERITED; i++) order.numbers[i] = open("/dev/null", O_RDWR);
  for (order.closes = 0; order.closes <= 1; order.closes++) {
    test_lab lab;
    lab_open(&lab, 1, method, 2);
    lab_submit(&lab, 0, DO_USE_NUMBERS, &order, sizeof order);
    ending end = lab_await_task(&lab, 0);
    uint64_t wrong = 0;
    memcpy(&wrong, end.head, sizeof wrong);
    CHECK(end.outcome.end == WP_TASK_REPLIED && wrong == 0, "end %d, %llu are wrong", (int)end.outcome.end,
          (unsigned long long)wrong);
    lab_submit(&lab, 1, DO_ECHO, "again", 5);
    CHECK(lab_await_task(&lab, 1).outcome.worker_pid == end.outcome.worker_pid, "%s", "another worker");
    lab_close(&lab);
    for (int i = 0; i < FILES; i++) CHECK(has_line(folder, i), "file %d has something else, method %d", i, (int)method);
    if (UNDER_TSAN) break;
  }
  for (int i = 0; i < INHERITED; i++) close(order.numbers[i]);
  fseek(log_stream, 0, SEEK_END);
  CHECK(ftell(log_stream) == 0, "%ld bytes in the log", ftell(log_stream));
  fclose(log_stream);
  log_stream = NULL;
  unlink(path);
  rmdir(folder);
}

/// What a task has printed into a pipe is there when it has ended, whatever becomes of its worker.
void prints_in_time(wp_start_method method) {
  int own = dup(STDOUT_FILENO);
  int ends[2];
  if (pipe2(ends, O_NONBLOCK) != 0) exit(1);
  fflush(stdout);
  dup2(ends[1], STDOUT_FILENO);
  test_lab lab;
  lab_open(&lab, 1, method, 1);
  dup2(own, STDOUT_FILENO);
  lab_submit(&lab, 0, DO_PRINT_LINE, NULL, 0);
  ending end = lab_await_task(&lab, 0);
  char text[64];
  ssize_t length = read(ends[0], text, sizeof text);
  CHECK(length == (ssize_t)strlen(LINE) && memcmp(text, LINE, strlen(LINE)) == 0, "%zd bytes", length);
  kill(end.outcome.worker_pid, SIGKILL);
  lab_close(&lab);
  CHECK(read(ends[0], text, sizeof text) <= 0, "%s", "printed twice");
  for (int i = 0; i < 2; i++) close(ends[i]);
  close(own);
}
