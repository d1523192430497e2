#include "wp_host_workers.h"

#include "../../base/wp_error.h"
#include "../../platform/wp_clock.h"
#include "../../platform/wp_process.h"
#include "../../platform/wp_signals.h"
#include "../../platform/wp_socket.h"
#include "../child/wp_process_reexec.h"
#include "../child/wp_process_template.h"
#include "../shared/wp_process_message.h"
#include "wp_host_bell.h"
#include "wp_host_failure.h"
#include "wp_host_kill.h"
#include "wp_host_spawn.h"
#include "wp_host_supervise.h"
#include "wp_host_witness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WP_QUIT_TIMEOUT_MS 5000

// MARK: Starting

static int start_forked(wp_process_pool *pool, int ends[2], pid_t *process, const char **call) {
  *call = "fork";
  fflush(NULL);  // or every process prints what is still in the buffers
  *process = fork();
  if (*process < 0) return errno;
  if (*process == 0) wp_template_main(ends[1], pool->settings.handler, pool->settings.handler_context, false);
  return 0;
}

wp_status wp_workers_start_template(wp_process_pool *pool, wp_error *error) {
  int ends[2];
  if (!wp_witness_open(pool)) return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, "epoll_create1", NULL);
  if (!wp_socket_pair(ends)) {
    wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, "socketpair", NULL);
    wp_witness_close(pool);
    return WP_SYSTEM_CALL_FAILED;
  }
  const char *call = NULL;
  pid_t process = 0;
  sigset_t mask;
  wp_signals_block(&mask);  // inherited: no signal reaches the template before it can deal with it
  int failure = wp_pool_method(pool) == WP_START_FORK
                    ? start_forked(pool, ends, &process, &call)
                    : wp_reexec_start(pool->settings.origin, ends[1], &process, &call);
  wp_signals_restore(&mask);
  close(ends[1]);
  if (failure != 0) {
    close(ends[0]);
    wp_witness_close(pool);
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, failure, call, NULL);
  }
  wp_credentials_read(&pool->forker.credentials);
  // It waits for START, so it is alive and the number its own.
  pool->forker.socket = ends[0];
  pool->forker.pidfd = wp_pidfd_open(process);
  if (pool->forker.pidfd < 0 || !wp_witness_begin_template(pool)) {
    wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, pool->forker.pidfd < 0 ? "pidfd_open" : "epoll_ctl", NULL);
    wp_child_end(process);
    if (pool->forker.pidfd >= 0) close(pool->forker.pidfd);
    pool->forker.pidfd = -1;
    close(ends[0]);
    pool->forker.socket = -1;
    wp_witness_close(pool);
    return WP_SYSTEM_CALL_FAILED;
  }
  wp_message start;
  memset(&start, 0, sizeof start);
  start.kind = WP_MESSAGE_START;
  start.process = getpid();
  const wp_pool_files *files = &pool->memory.files;
  int descriptors[WP_START_DESCRIPTORS + 1] = {files->given, files->arguments_for_reading, pool->bells.collector.ring,
                                               pool->bells.leader.ring, files->output};
  size_t count = WP_START_DESCRIPTORS + (files->output >= 0 ? 1 : 0);
  wp_socket_send(pool->forker.socket, &start, sizeof start, descriptors, count, true);  // if it is gone, its pidfd will tell
  pool->forker.ready = pool->forker.proved = pool->forker.silent = false;
  pool->forker.failure = (wp_start_failure){NULL, WP_CALL_NONE, 0};
  pool->forker.deadline = wp_clock_now() + WP_HELLO_TIMEOUT_NS;
  pthread_mutex_lock(&pool->lock);
  pool->forker.process = process;
  pthread_mutex_unlock(&pool->lock);
  return WP_OK;
}

// MARK: Listening

/// Which call the worker's sandbox forbade, 0 when it did not end for that. The wait status is the kernel's word, the
/// number the worker's.
static uint32_t forbidden_call(const wp_process_pool *pool, const wp_channel_status *status, int wait_status) {
  if (pool->settings.sandbox == WP_SANDBOX_NONE || !WIFSIGNALED(wait_status) || WTERMSIG(wait_status) != SIGSYS) return 0;
  uint32_t noted = wp_atomic_load(&status->forbidden_call, wp_relaxed);
  return noted == 0 ? WP_FORBIDDEN_CALL_UNKNOWN : noted;
}

/// The kernel drops a descriptor that finds no room in our table.
static bool is_unreachable(const wp_host_worker *worker) { return worker->pidfd < 0 || worker->share < 0; }

/// A worker that could neither be killed nor be sent memories gets no task, and leaves: by the door that needs no
/// descriptor.
static void turn_away(wp_process_pool *pool, wp_host_worker *worker) {
  wp_wakes wakes = {.count = 0};
  wp_failure_start(pool, WP_SYSTEM_CALL_FAILED, EMFILE, "recvmsg", NULL);
  worker->condemned = true;
  wp_bell_worker(worker, true, &wakes);
  wp_bell_wake_all(&wakes);
}

/// `loss` says why nobody knows how it ended, and is NULL when the wait status tells.
static void see_exit(wp_process_pool *pool, uint32_t index, int wait_status, const char *loss) {
  wp_host_worker *worker = &pool->workers[index];
  wp_channel_status *status = wp_channel_get_status(&worker->channel);
  bool unreachable = worker->process != 0 && is_unreachable(worker);
  bool was_ready = worker->state == WP_WORKER_LIVE || wp_atomic_load(&status->ready, wp_acquire) == worker->generation;
  wp_worker_gone(pool, index, wait_status, loss);
  worker->forbidden_call = forbidden_call(pool, status, wait_status);
  if (unreachable) {
    worker->failure = (wp_start_failure){NULL, WP_CALL_RECVMSG, EMFILE};
  } else if (!was_ready) {
    worker->failure.call = wp_atomic_load(&status->failed_call, wp_acquire);
    worker->failure.number = (int)wp_atomic_load(&status->failed_errno, wp_relaxed);
  }
}

/// Under the lock: the worker has ended, and the template does not say so.
static void pass_by_template(wp_process_pool *pool, uint32_t index) {
  const wp_host_worker *worker = &pool->workers[index];
  wp_pidfd_kill_group(worker->pidfd, worker->process);
  see_exit(pool, index, SIGKILL, "the template process did not tell how the worker ended");
}

void wp_workers_see_silence(wp_process_pool *pool) {
  uint64_t now = wp_clock_now();
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_host_worker *worker = &pool->workers[i];
    if (worker->report_by == 0 || now < worker->report_by) continue;
    worker->report_by = 0;
    if (worker->process != 0) pass_by_template(pool, i);
    else if (worker->state == WP_WORKER_SPAWNING) {
      wp_witness_continue_template(pool);
      wp_witness_expect(pool, i);
      wp_supervise_template_silent(pool);
    }
  }
}

/// One report about a worker. Under the lock.
static void hear_of_worker(wp_process_pool *pool, const wp_message *message, int descriptors[2]) {
  if (message->worker >= pool->size.bound) return;
  wp_host_worker *worker = &pool->workers[message->worker];
  if (worker->state != WP_WORKER_SPAWNING && worker->state != WP_WORKER_LIVE) return;
  if (message->generation != worker->generation) return;
  switch (message->kind) {
  case WP_MESSAGE_SPAWNED:
    worker->process = message->process;
    worker->pidfd = descriptors[0];
    worker->share = descriptors[1];
    descriptors[0] = descriptors[1] = -1;
    wp_witness_begin(pool, message->worker);
    wp_supervise_begins(pool, message->worker);
    if (is_unreachable(worker)) turn_away(pool, worker);
    break;
  case WP_MESSAGE_SPAWN_FAILED:
    wp_worker_gone(pool, message->worker, 0, NULL);
    worker->failure.call = message->call;
    worker->failure.number = message->value;
    break;
  case WP_MESSAGE_EXITED:
    worker->peak_memory = message->peak_memory;
    see_exit(pool, message->worker, message->value, NULL);
    break;
  case WP_MESSAGE_KILL_FAILED: wp_kill_failed(pool, message->value); break;
  default: break;
  }
}

static void hear_failure(wp_process_pool *pool, const wp_message *message) {
  pool->forker.failure = (wp_start_failure){"a new template process could not set itself up", message->call, message->value};
  if (message->call == WP_CALL_HANDLER) {
    const char *rule = wp_pool_method(pool) == WP_START_FORK ? "a forked pool needs a handler"
                                                     : "wp_process_reexec_handler returned no handler";
    wp_failure_start(pool, WP_UNSUPPORTED, 0, "handler", rule);
  }
  wp_failure_start(pool, WP_SYSTEM_CALL_FAILED, message->value, wp_call_name(message->call), NULL);
  // Of a template restarted in vain the end of its stream, which follows, tells the supervisor.
}

static void hear_hello(wp_process_pool *pool, const wp_message *message) {
  // A forked template has what `fork` leaves, one thread (and that of a sanitizer, which knows how to be forked).
  if (wp_pool_method(pool) == WP_START_REEXEC && message->value > 1) {
    const char *rule = "the program has more than one thread before its `main` begins, so that a re-executed one cannot fork "
                       "workers";
    wp_failure_start(pool, WP_UNSUPPORTED, 0, "start_method", rule);
    pool->life.start_error.refused = (int)message->worker;
    memcpy(pool->life.start_error.culprit, message->thread_name, sizeof message->thread_name);
    wp_failure_break(pool, rule);
    return;
  }
  pool->forker.ready = true;  // the next round asks for its workers
}

void wp_workers_listen(wp_process_pool *pool) {
  while (pool->forker.socket >= 0) {
    wp_message message;
    int descriptors[2];
    ssize_t length = wp_socket_receive(pool->forker.socket, &message, sizeof message, descriptors, 2, false);
    if (length == (ssize_t)sizeof message) {
      pthread_mutex_lock(&pool->lock);
      pool->forker.silent = false;
      if (message.kind == WP_MESSAGE_HELLO) hear_hello(pool, &message);
      else if (message.kind == WP_MESSAGE_FAILED) hear_failure(pool, &message);
      else hear_of_worker(pool, &message, descriptors);
      pthread_mutex_unlock(&pool->lock);
    }
    if (descriptors[0] >= 0) close(descriptors[0]);
    if (descriptors[1] >= 0) close(descriptors[1]);
    if (length < 0) return;
    if (length == 0) {
      wp_workers_lose_template(pool);
      return;
    }
  }
}

// MARK: Ending

/// False when the template lives on, because nobody here may kill it, and it does not listen.
static bool end_template(wp_process_pool *pool) {
  int pidfd = pool->forker.pidfd;
  if (pidfd < 0) return true;
  wp_message quit;
  memset(&quit, 0, sizeof quit);
  quit.kind = WP_MESSAGE_QUIT;
  bool asked = pool->forker.ready && wp_socket_send(pool->forker.socket, &quit, sizeof quit, NULL, 0, false);
  // Asked, it ends its workers, waits for them and leaves. Killed, it takes them along, but less exactly.
  if (asked) wp_pidfd_kill(pidfd, SIGCONT);
  bool ended = asked && wp_pidfd_wait(pidfd, WP_QUIT_TIMEOUT_MS);
  close(pool->forker.socket);  // which tells it as well
  pool->forker.socket = -1;
  ended = ended || wp_kill_and_wait(pidfd);
  if (ended) wp_pidfd_reap(pidfd);
  close(pidfd);
  pool->forker.pidfd = -1;
  return ended;
}

bool wp_workers_end(wp_process_pool *pool) {
  bool ended = end_template(pool);
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    if (worker->pidfd < 0) continue;
    ended = wp_kill_and_wait(worker->pidfd) && ended;
    wp_pidfd_kill_group(worker->pidfd, worker->process);  // which a template that was killed could not
    wp_pidfd_reap_group(worker->pidfd, worker->process);  // ours by now, if orphans come to this program
  }
  if (pool->forker.socket >= 0) close(pool->forker.socket);
  pool->forker.socket = -1;
  pool->forker.ready = false;
  pthread_mutex_lock(&pool->lock);
  pool->forker.process = 0;
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    wp_worker_gone(pool, i, SIGKILL, "the template process ended");
  }
  wp_witness_close(pool);
  pthread_mutex_unlock(&pool->lock);
  return ended;
}

void wp_workers_lose_template(wp_process_pool *pool) {
  if (pool->forker.pidfd < 0) return;
  pool->forker.ready = false;  // it may have closed its socket only
  bool ended = wp_workers_end(pool);
  pthread_mutex_lock(&pool->lock);
  wp_failure_start(pool, WP_BROKEN, 0, NULL, "the template process ended before the workers were ready");
  if (!ended) {
    // What lives may still write to its channel, which nobody can have then.
    wp_failure_break(pool, "the template process was lost, and what it has left cannot be killed");
  } else if (wp_pool_method(pool) == WP_START_FORK && pool->settings.on_template_loss == WP_TEMPLATE_LOSS_BREAKS) {
    wp_failure_break(pool, "the template process ended, and a forked one cannot be replaced");
  } else if (pool->life.phase == WP_POOL_RUNNING) {
    pool->notices.reexecuted = pool->notices.reexecuted || wp_pool_method(pool) == WP_START_FORK;
    wp_atomic_store(&pool->forker.method, (uint32_t)WP_START_REEXEC, wp_relaxed);
    wp_supervise_template_lost(pool);
  }
  pthread_mutex_unlock(&pool->lock);
}

bool wp_workers_are_absent(const wp_process_pool *pool) {
  for (uint32_t i = 0; i < pool->size.bound; i++) {
    if (pool->workers[i].state != WP_WORKER_ABSENT) return false;
  }
  return true;
}
