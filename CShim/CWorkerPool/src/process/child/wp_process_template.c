#include "wp_process_template.h"

#include "../../platform/wp_clock.h"
#include "../../platform/wp_close.h"
#include "../../platform/wp_limits.h"
#include "../../platform/wp_name.h"
#include "../../platform/wp_poll.h"
#include "../../platform/wp_process.h"
#include "../../platform/wp_signals.h"
#include "../../platform/wp_shared_memory.h"
#include "../../platform/wp_socket.h"
#include "../../platform/wp_thread.h"
#include "../shared/wp_process_message.h"
#include "../shared/wp_process_settings_check.h"
#include "wp_process_streams.h"
#include "wp_process_worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/// When to try again to send a report that the kernel has refused.
#define WP_REFUSED_LOOK_MS 10

/// Reports that a child still owes to the host, in the order in which they are sent.
enum { WP_OWES_SPAWNED = 1, WP_OWES_SPAWN_FAILED = 2, WP_OWES_KILL_FAILED = 4, WP_OWES_EXITED = 8 };

/// A worker as its parent sees it. `process` is 0 once it was reaped.
typedef struct wp_child {
  pid_t process;
  uint32_t generation;
  unsigned owed;
  int pidfd;
  /// The host's end of the worker's socket for shared memories.
  int share;
  /// Of the child that `owed` speaks of, which may have been reaped.
  pid_t reported;
  /// Wait status, or `errno`.
  int value;
  int kill_errno;
  wp_call call;
  uint64_t peak_memory;
} wp_child;

static bool send_report(wp_template *self, uint32_t index, unsigned report, bool wait) {
  wp_child *child = &self->children[index];
  wp_message message;
  memset(&message, 0, sizeof message);
  message.worker = index;
  message.generation = child->generation;
  message.process = child->reported;
  message.value = report == WP_OWES_KILL_FAILED ? child->kill_errno : child->value;
  message.call = (uint32_t)child->call;
  message.peak_memory = child->peak_memory;
  message.kind = report == WP_OWES_SPAWNED       ? WP_MESSAGE_SPAWNED
                 : report == WP_OWES_EXITED      ? WP_MESSAGE_EXITED
                 : report == WP_OWES_KILL_FAILED ? WP_MESSAGE_KILL_FAILED
                                                 : WP_MESSAGE_SPAWN_FAILED;
  int descriptors[2] = {child->pidfd, child->share};
  size_t count = report == WP_OWES_SPAWNED ? 2 : 0;
  return wp_socket_send(self->control, &message, sizeof message, descriptors, count, wait);
}

/// Sends what is owed, as far as the socket takes it. Never blocks: the host may be busy in a callback, and a template
/// that waits for it would not see it die.
static void send_reports(wp_template *self) {
  const unsigned order[] = {WP_OWES_SPAWNED, WP_OWES_SPAWN_FAILED, WP_OWES_KILL_FAILED, WP_OWES_EXITED};
  self->unsent = self->refused = false;
  for (uint32_t i = 0; i < self->used; i++) {
    wp_child *child = &self->children[i];
    for (size_t j = 0; j < sizeof order / sizeof *order && child->owed != 0; j++) {
      if ((child->owed & order[j]) == 0) continue;
      if (!send_report(self, i, order[j], false)) {
        bool full = errno == EAGAIN || errno == EWOULDBLOCK;
        self->unsent = self->unsent || full;
        // Else the host is gone, which its pidfd tells as well, or the kernel has not what descriptors need on their way.
        self->refused = self->refused || (!full && errno != EPIPE && errno != ECONNRESET);
        break;
      }
      child->owed &= ~order[j];
      if (order[j] != WP_OWES_SPAWNED) continue;
      close(child->pidfd);
      close(child->share);
      child->pidfd = child->share = -1;
    }
  }
}

/// A worker has ended, and is not reaped: while it is not, the number of its group is nobody else's.
static void end_worker(wp_template *self, uint32_t index) {
  wp_child *child = &self->children[index];
  wp_process_group_kill(child->process);
  int status = 0;
  struct rusage used;
  memset(&used, 0, sizeof used);
  while (wait4(child->process, &status, 0, &used) < 0 && errno == EINTR) continue;
  wp_capture_end(&self->capture, index);  // before the host hears of it, and reads what there was to say
  child->process = 0;
  child->value = status;
  child->peak_memory = (uint64_t)used.ru_maxrss * 1024;
  child->owed |= WP_OWES_EXITED;
}

/// The worker of this number, or `used`.
static uint32_t find_worker(const wp_template *self, pid_t process) {
  uint32_t index = 0;
  while (index < self->used && self->children[index].process != process) index++;
  return index;
}

/// Besides workers there are processes that tasks have started and whose parents have ended.
static void reap(wp_template *self) {
  wp_jobs_hear(&self->jobs, wp_job_signals_take(self->children_signal));
  pid_t ended;
  while ((ended = wp_child_ended()) > 0) {
    uint32_t index = find_worker(self, ended);
    if (index < self->used) end_worker(self, index);
    else waitpid(ended, NULL, WNOHANG);
  }
}

/// Stops the workers when a terminal has stopped the host, and continues them.
static void follow_host(wp_template *self) {
  wp_jobs_order order = wp_jobs_look(&self->jobs);
  for (uint32_t i = 0; order != WP_JOBS_GO_ON && i < self->used; i++) {
    pid_t process = self->children[i].process;
    if (process == 0) continue;
    if (order == WP_JOBS_STOP) wp_process_group_stop(process);
    else wp_process_group_continue(process);
  }
}

/// Ends every worker with all that its tasks have started, waits for them and leaves. Their reports interest nobody any more.
static WP_NORETURN void leave(wp_template *self) {
  for (uint32_t i = 0; i < self->used; i++) {
    pid_t process = self->children[i].process;
    if (process == 0) continue;
    wp_process_group_kill(process);
    // It may have left its group, and even become what we may not kill: then nobody waits for it.
    if (kill(process, SIGKILL) != 0) self->children[i].process = 0;
  }
  for (uint32_t i = 0; i < self->used; i++) {
    if (self->children[i].process != 0) end_worker(self, i);
  }
  wp_children_end();  // what has groups of its own
  _exit(0);
}

static void spawn_failed(wp_child *child, wp_call call) {
  child->value = errno;
  child->call = call;
  child->reported = 0;
  child->owed = WP_OWES_SPAWN_FAILED;
}

static void take_pipes_back(wp_template *self, uint32_t worker) {
  wp_capture_forked(&self->capture);
  wp_capture_end(&self->capture, worker);
}

/// Before the next worker of this number: the host may have seen the last one's end for itself.
static void forget_last(wp_template *self, uint32_t index) {
  wp_child *child = &self->children[index];
  if (child->process != 0) {
    kill(child->process, SIGKILL);
    end_worker(self, index);
  }
  child->owed = 0;
  if (child->pidfd >= 0) close(child->pidfd);
  if (child->share >= 0) close(child->share);
  child->pidfd = child->share = -1;
}

/// The host has no right to, which it may have had when it started us.
static void kill_worker(wp_template *self, const wp_message *request) {
  if (request->worker >= self->used) return;
  wp_child *child = &self->children[request->worker];
  if (child->process == 0 || child->generation != request->generation) return;
  if (kill(child->process, SIGKILL) == 0) return;
  child->kill_errno = errno;
  child->owed |= WP_OWES_KILL_FAILED;
}

static void spawn(wp_template *self, const wp_message *request) {
  if (request->worker >= self->geometry.capacity) return;
  for (; self->used <= request->worker; self->used++) {
    self->children[self->used].pidfd = self->children[self->used].share = -1;
  }
  wp_child *child = &self->children[request->worker];
  forget_last(self, request->worker);
  child->generation = request->generation;
  child->value = 0;
  child->call = WP_CALL_NONE;
  if (!wp_capture_begin(&self->capture, request->worker)) {
    spawn_failed(child, WP_CALL_PIPE);
    return;
  }
  int ends[2];
  if (!wp_socket_pair(ends)) {
    spawn_failed(child, WP_CALL_SOCKETPAIR);
    take_pipes_back(self, request->worker);
    return;
  }
  pid_t process = fork();
  if (process == 0) wp_process_worker_main(self, request->worker, ends[1]);
  int error = errno;
  if (process > 0) wp_process_group_begin(process);  // both sides do, so that it is one for whoever is first to need it
  close(ends[1]);
  errno = error;
  if (process > 0) child->pidfd = wp_pidfd_open(process);  // our child, not reaped: the number is still its own
  if (process > 0 && child->pidfd >= 0) {
    wp_capture_forked(&self->capture);
    child->share = ends[0];
    wp_socket_only_send(child->share);  // the host only sends; nothing that a worker sends piles up there
    child->process = process;
    child->reported = process;
    child->owed = WP_OWES_SPAWNED;
    return;
  }
  spawn_failed(child, process < 0 ? WP_CALL_FORK : WP_CALL_PIDFD_OPEN);
  close(ends[0]);
  if (process > 0) {
    int status;
    kill(process, SIGKILL);
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  }
  take_pipes_back(self, request->worker);
}

/// One message: a fork of a large program takes a while, and whoever forks for all of a queue sees no death meanwhile, and not
/// the host's end.
static void obey(wp_template *self) {
  wp_message message;
  int descriptors[2];
  ssize_t length = wp_socket_receive(self->control, &message, sizeof message, descriptors, 2, false);
  if (length < 0) return;
  if (length != (ssize_t)sizeof message || message.kind == WP_MESSAGE_QUIT) leave(self);
  self->own = descriptors[0];
  self->door = descriptors[1];
  self->door_errno = message.value;
  self->signals = (wp_dispositions){message.ignored_signals, message.handled_signals};
  self->credentials = message.changes_credentials != 0 ? &message.credentials : NULL;
  if (message.kind == WP_MESSAGE_SPAWN) spawn(self, &message);
  if (message.kind == WP_MESSAGE_KILL) kill_worker(self, &message);
  for (int i = 0; i < 2; i++) {
    if (descriptors[i] >= 0) close(descriptors[i]);
  }
}

enum { WP_EVENT_CONTROL, WP_EVENT_CHILDREN, WP_EVENT_HOST, WP_EVENTS };

/// When to do what no descriptor tells of, UINT64_MAX for never.
static uint64_t next_look(const wp_template *self) {
  int look = wp_jobs_timeout(&self->jobs);
  if (self->refused && (look < 0 || look > WP_REFUSED_LOOK_MS)) look = WP_REFUSED_LOOK_MS;
  return look < 0 ? UINT64_MAX : wp_clock_now() + (uint64_t)look * 1000000u;
}

static WP_NORETURN void serve(wp_template *self) {
  struct pollfd *events = self->capture.events;
  events[WP_EVENT_CONTROL].fd = self->control;
  events[WP_EVENT_CHILDREN].fd = self->children_signal;
  events[WP_EVENT_HOST].fd = self->host;
  events[WP_EVENT_CHILDREN].events = events[WP_EVENT_HOST].events = POLLIN;
  for (;;) {
    events[WP_EVENT_CONTROL].events = (short)(POLLIN | (self->unsent ? POLLOUT : 0));
    wp_capture_prepare(&self->capture);
    if (wp_poll(events, self->capture.event_count, next_look(self)) < 0) {
      if (getppid() != self->jobs.host) leave(self);  // which else the host's pidfd tells
      continue;
    }
    if (events[WP_EVENT_HOST].revents != 0) leave(self);
    wp_capture_serve(&self->capture);
    if (events[WP_EVENT_CHILDREN].revents != 0) reap(self);
    follow_host(self);
    // A hang-up comes after what was sent before it: obey comes to the end of the stream, and leaves there.
    if ((events[WP_EVENT_CONTROL].revents & (POLLIN | POLLHUP | POLLERR)) != 0) obey(self);
    send_reports(self);
  }
}

WP_NORETURN void wp_template_give_up(int control, wp_call call) {
  wp_message message;
  memset(&message, 0, sizeof message);
  message.kind = WP_MESSAGE_FAILED;
  message.process = getpid();
  message.value = errno;
  message.call = (uint32_t)call;
  wp_socket_send(control, &message, sizeof message, NULL, 0, true);
  _exit(WP_EXIT_NOT_SET_UP);
}

/// Receives START: the files, the bells, and which process is the host.
static pid_t receive_start(wp_template *self) {
  wp_message message;
  int descriptors[WP_START_DESCRIPTORS + 1];
  ssize_t length =
      wp_socket_receive(self->control, &message, sizeof message, descriptors, WP_START_DESCRIPTORS + 1, true);
  if (length == 0) _exit(0);  // the host gave up, or is gone
  bool complete = length == (ssize_t)sizeof message && message.kind == WP_MESSAGE_START;
  for (uint32_t i = 0; i < WP_START_DESCRIPTORS; i++) complete = complete && descriptors[i] >= 0;
  if (!complete) wp_template_give_up(self->control, WP_CALL_RECVMSG);
  self->given = descriptors[0];
  self->arguments = descriptors[1];
  self->doorbell = descriptors[2];
  self->leader_bell = descriptors[3];
  self->output = descriptors[4];
  return message.process;
}

static void read_settings(wp_template *self) {
  wp_pool_head *head = (wp_pool_head *)wp_memory_map(self->given, 0, wp_pool_part_size(), false);
  if (head == NULL) wp_template_give_up(self->control, WP_CALL_MMAP);
  self->geometry = wp_geometry_of(head->capacity, &head->reserve, (size_t)head->max_payload);
  wp_geometry_extend(&self->geometry, head->output, (size_t)head->initializer_length);
  wp_call failed = wp_capture_init(&self->capture, self->output, &self->geometry, head, WP_EVENTS);
  if (failed != WP_CALL_NONE) wp_template_give_up(self->control, failed);
  char name[WP_NAME_BYTES];
  wp_name_format(name, head->prefix, "-template");
  wp_name_self(name);
  wp_sandbox_level sandbox = (wp_sandbox_level)head->sandbox;
  self->own_base = wp_descriptors_own_base(wp_limit_of(head->limits.open_files, self->open_files.rlim_cur));
  self->doorbell = wp_descriptor_move_up(&self->held, self->own_base, self->doorbell);
  self->leader_bell = wp_descriptor_move_up(&self->held, self->own_base, self->leader_bell);
  wp_memory_unmap(head, wp_pool_part_size());
  self->children = (wp_child *)calloc(self->geometry.capacity, sizeof *self->children);
  if (self->children == NULL) wp_template_give_up(self->control, WP_CALL_CALLOC);
  failed = wp_sandbox_prepare(&self->sandbox, sandbox, true);
  if (failed != WP_CALL_NONE) wp_template_give_up(self->control, failed);
}

static void *greet_and_serve(void *argument) {
  wp_template *self = (wp_template *)argument;
  wp_message hello;
  memset(&hello, 0, sizeof hello);
  hello.kind = WP_MESSAGE_HELLO;
  hello.process = self->process;
  hello.value = (int32_t)self->found_threads;
  hello.worker = (uint32_t)self->other_thread;
  memcpy(hello.thread_name, self->other_thread_name, sizeof hello.thread_name);
  wp_socket_send(self->control, &hello, sizeof hello, NULL, 0, true);
  serve(self);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// What the program's threads refer to by their stacks alone is lost in a worker, where these are nobody's: it is no leak.
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return wp_process_worker_index() >= 0; }
#endif
#endif

/// A worker is a copy of the thread that forks it, with all that this thread keeps for itself. Swift's locks are futexes that
/// name their owner, by a number that each thread asks the kernel for once and keeps: a worker with the number of another
/// could not let go of a lock that a second thread of it waits for. So what forks is a thread that has run no Swift.
static WP_NORETURN void serve_on_new_thread(wp_template *self) {
  self->found_threads = wp_process_thread_count();
  self->other_thread = wp_process_other_thread(self->other_thread_name);
  wp_thread_attributes attributes = {.stack_size = wp_thread_main_stack(), .cpu = -1};
  self->stack_size = attributes.stack_size;
  pthread_t thread;
  wp_error error;
  if (wp_thread_start(&thread, &attributes, greet_and_serve, self, &error) != WP_OK) {
    errno = error.system_errno;
    wp_template_give_up(self->control, WP_CALL_PTHREAD_CREATE);
  }
  for (;;) pause();  // with all signals blocked, until the other leaves
}

WP_NORETURN void wp_template_main(int control, wp_process_handler handler, void *context, bool reexecuted) {
  sigset_t mask;
  wp_signals_block(&mask);  // Ctrl-C and the like are the host's to answer; we leave when it does
  wp_template self;
  memset(&self, 0, sizeof self);
  self.control = wp_above_stdio(control);
  if (!wp_descriptors_find(&self.held, self.control)) wp_template_give_up(self.control, WP_CALL_CALLOC);
  self.reexecuted = reexecuted;
  self.handler = handler;
  self.context = context;
  self.process = getpid();
  wp_close_all_except(&self.control, 1);
  wp_detach_stdin();
  wp_streams_forget();
  pid_t host = receive_start(&self);
  // Not before: a socket that is closed with something unread tells its peer of that, and not what it was sent.
  if (handler == NULL) wp_template_give_up(self.control, WP_CALL_HANDLER);
  self.jobs.host = host;
  self.host = wp_pidfd_open(host);
  if (self.host < 0) wp_template_give_up(self.control, WP_CALL_PIDFD_OPEN);
  // Only while it still is our parent does the number surely name the host.
  if (getppid() != host) _exit(0);
  wp_adopt_orphans();
  self.children_signal = wp_job_signals_open();
  if (self.children_signal < 0) wp_template_give_up(self.control, WP_CALL_SIGNALFD);
  wp_open_files_raise(&self.open_files);  // for a pipe or two of each worker
  read_settings(&self);
  serve_on_new_thread(&self);
}
