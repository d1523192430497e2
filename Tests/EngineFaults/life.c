#include "life.h"

#include "remains.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// MARK: What is said of a life

void life_fails(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = SEAM_TEXT - seam_here->length;
  int length = vsnprintf(seam_here->text + seam_here->length, room, format, arguments);
  va_end(arguments);
  if (length > 0) seam_here->length += (size_t)length < room ? (size_t)length : room - 1;
  if (seam_here->length + 3 < SEAM_TEXT) {
    memcpy(seam_here->text + seam_here->length, "; ", 3);
    seam_here->length += 2;
  }
  seam_here->failures++;
}

void life_takes(const char *format, ...) {
  if (seam_here->taken[0] != '\0') return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(seam_here->taken, sizeof seam_here->taken, format, arguments);
  va_end(arguments);
}

void life_phase(seam_phase phase) { wp_atomic_store(&seam_here->phase, (uint32_t)phase, wp_seq_cst); }

/// Whether a fault was met, or may still be: what follows may then differ from a life without one.
static bool was_harmed(void) {
  return (wp_atomic_load(&seam_here->times[0], wp_relaxed) | wp_atomic_load(&seam_here->times[1], wp_relaxed)) != 0;
}

/// Whether there was one fault, and it is over.
static bool is_past_harm(void) {
  return was_harmed() && seam_here->faults[0].lasts_ns == 0 && seam_here->faults[1].site < 0;
}

// MARK: Pools

static void completed(void *context, void *token, const wp_task_outcome *outcome) {
  life *self = (life *)context;
  life_task *task = (life_task *)token;
  uint64_t found = 0;
  if (outcome->end == WP_TASK_REPLIED && outcome->reply_code == 0) {
    if (outcome->length == sizeof found) memcpy(&found, outcome->bytes, sizeof found);
    else found = life_sum(outcome->bytes, outcome->length);
    if (outcome->length != task->length || found != task->expected) life_fails("a wrong reply");
  }
  wp_process_loan *loan = wp_process_pool_lend(outcome);
  if (loan != NULL) wp_process_loan_release(loan);
  pthread_mutex_lock(&self->lock);
  if (task->times++ == 0) self->unended--;
  task->ended = outcome->end;
  task->code = outcome->reply_code;
  task->status = outcome->wait_status;
  task->reason = outcome->reason;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
}

static void destroyed(void *context) {
  life *self = (life *)context;
  pthread_mutex_lock(&self->lock);
  self->destroyed = true;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
}

wp_process_pool_config life_config(life *self, uint32_t workers) {
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = workers;
  config.start_method = self->method;
  config.handler = self->method == WP_START_REEXEC ? NULL : life_handle;
  config.name = "faults";
  config.max_payload = (size_t)16 << 20;
  config.hooks.context = self;
  config.hooks.completed = completed;
  config.hooks.destroy = destroyed;
  return config;
}

bool life_open(life *self, const wp_process_pool_config *config) {
  wp_error error;
  memset(&error, 0, sizeof error);
  if (wp_process_pool_create(config, &self->pool, &error) == WP_OK) return true;
  const char *number = error.system_errno == 0 ? "" : strerrorname_np(error.system_errno);
  life_takes("create: %s %s %s %s", wp_status_name(error.status), error.call == NULL ? "" : error.call,
             number == NULL ? "?" : number, error.rule == NULL ? "" : error.rule);
  if (!was_harmed()) life_fails("no pool, and no fault: %s", seam_here->taken);
  if (error.status == WP_OK || (error.status == WP_SYSTEM_CALL_FAILED && error.call == NULL)) {
    life_fails("create says nothing of the cause");
  }
  return false;
}

// MARK: Tasks

int life_submit_with(life *self, uint32_t function, void *argument, size_t length, wp_process_submission *submission,
                     wp_task_end end) {
  if (self->count == SEAM_MAX_TASKS) return -1;
  int number = (int)self->count++;
  life_task *task = &self->tasks[number];
  life_order order;
  memcpy(&order, argument, sizeof order);
  order.task = (uint32_t)number;
  memcpy(argument, &order, sizeof order);
  submission->function = function;
  submission->bytes = argument;
  submission->length = length;
  submission->token = task;
  task->end = end;
  task->is_late = is_past_harm();
  task->begins = 1 + (submission->options == NULL ? 0 : submission->options->retries);
  task->length = sizeof task->expected;
  if (function != DO_SHARED) task->expected = life_sum(argument, length);
  if (function == DO_FILL) {
    unsigned char *filled = (unsigned char *)malloc(order.number);
    memset(filled, number & 0xff, order.number);
    task->length = order.number;
    task->expected = life_sum(filled, order.number);
    free(filled);
  }
  pthread_mutex_lock(&self->lock);
  self->unended++;
  pthread_mutex_unlock(&self->lock);
  wp_status status = wp_process_pool_submit(self->pool, submission, &task->ticket);
  if (status == WP_OK) {
    task->accepted = true;
    return number;
  }
  pthread_mutex_lock(&self->lock);
  self->unended--;
  pthread_mutex_unlock(&self->lock);
  life_takes("submit: %s", wp_status_name(status));
  if (!was_harmed()) life_fails("submit: %s", wp_status_name(status));
  return -1;
}

int life_submit(life *self, uint32_t function, uint32_t number, wp_task_end end) {
  life_order order = {0, number};
  wp_process_submission submission;
  memset(&submission, 0, sizeof submission);
  return life_submit_with(self, function, &order, sizeof order, &submission, end);
}

int life_submit_limited(life *self, uint32_t function, wp_task_options options, wp_task_end end) {
  life_order order = {0, 0};
  wp_process_submission submission;
  memset(&submission, 0, sizeof submission);
  submission.options = &options;
  return life_submit_with(self, function, &order, sizeof order, &submission, end);
}

void life_settle(life *self) {
  pthread_mutex_lock(&self->lock);
  while (self->unended > 0) pthread_cond_wait(&self->changed, &self->lock);
  pthread_mutex_unlock(&self->lock);
}

static bool has_ended(life *self, int task) {
  pthread_mutex_lock(&self->lock);
  bool ended = self->tasks[task].times > 0;
  pthread_mutex_unlock(&self->lock);
  return ended;
}

void life_await_begun(life *self, int task) {
  if (task < 0) return;
  // Until the task itself says so: one that is killed before that would take its second run for the first.
  while (wp_atomic_load(&seam_here->begun[task], wp_relaxed) == 0 && !has_ended(self, task)) sched_yield();
}

void life_cancel(life *self, int task) {
  if (task < 0 || !wp_process_pool_cancel(self->pool, self->tasks[task].ticket)) return;
  pthread_mutex_lock(&self->lock);
  self->tasks[task].cancelled = true;
  self->unended--;
  pthread_mutex_unlock(&self->lock);
}

void life_resize(life *self, uint32_t count) {
  wp_error error;
  if (wp_process_pool_resize(self->pool, count, &error) == WP_OK) return;
  life_takes("resize: %s %s", wp_status_name(error.status), error.call == NULL ? "" : error.call);
}

void life_release(life *self) {
  wp_process_pool_release(self->pool);
  pthread_mutex_lock(&self->lock);
  while (!self->destroyed) pthread_cond_wait(&self->changed, &self->lock);
  pthread_mutex_unlock(&self->lock);
}

void life_close(life *self) {
  wp_process_pool_close(self->pool);
  wp_status status = wp_process_pool_join(self->pool);
  if (status != WP_OK) life_fails("join: %s", wp_status_name(status));
  life_release(self);
}

// MARK: The whole of it

static bool may_end(const life_task *task) {
  if (task->ended == task->end && (task->ended != WP_TASK_REPLIED || task->code == 0)) return true;
  return was_harmed() && task->ended != WP_TASK_REPLY_TOO_LARGE;
}

static const char *const ends_as[] = {"replied",   "worker died", "too large", "pool broken",
                                      "discarded", "timed out",   "terminated"};

static void check_task(const life_task *task, uint32_t number) {
  uint32_t begun = wp_atomic_load(&seam_here->begun[number], wp_relaxed);
  const uint32_t ends = task->accepted && !task->cancelled;
  if (task->times != ends) life_fails("task %u ended %u times, and not %u", number, task->times, ends);
  if (begun > task->begins) life_fails("task %u was begun %u times, and not %u", number, begun, task->begins);
  if (!task->accepted || task->cancelled) {
    if (begun > 0) life_fails("task %u was begun, and not accepted", number);
    return;
  }
  if (task->times == 0) return;
  if (task->ended == WP_TASK_REPLIED && begun == 0) life_fails("task %u replied before it was begun", number);
  if (!may_end(task)) life_fails("task %u: %s, and not %s", number, ends_as[task->ended], ends_as[task->end]);
  bool as_ever = task->ended == task->end && task->code == 0;
  if (as_ever) return;
  if (task->is_late && task->ended != WP_TASK_POOL_BROKEN) {
    life_fails("task %u: %s code %u, though the fault was over", number, ends_as[task->ended], task->code);
  }
  life_takes("task %u ended as %s: status %x code %u %s", number, ends_as[task->ended], (unsigned)task->status, task->code,
             task->reason == NULL ? "" : task->reason);
}

void life_tell(const life_story *story, wp_start_method method) {
  static life self;
  self.method = method;
  pthread_mutex_init(&self.lock, NULL);
  pthread_cond_init(&self.changed, NULL);
  remains before = remains_count();
  story->body(&self);
  for (uint32_t i = 0; i < self.count; i++) check_task(&self.tasks[i], i);
  remains_check(before);
  if (seam_here->taken[0] == '\0') life_takes("as ever");
  seam_here->is_over = true;
}
