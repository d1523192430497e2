#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int failures;

uint64_t hash_bytes(const void *bytes, size_t length) {
  const unsigned char *byte = (const unsigned char *)bytes;
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ byte[i]) * 0x100000001b3u;
  return hash;
}

static void completed(void *context, void *token, const wp_task_outcome *outcome) {
  test_lab *self = (test_lab *)context;
  size_t task = (size_t)(uintptr_t)token - 1;
  uint64_t hash = outcome->end == WP_TASK_REPLIED ? hash_bytes(outcome->bytes, outcome->length) : 0;
  wp_process_loan *loan = self->lend ? wp_process_pool_lend(outcome) : NULL;
  pthread_mutex_lock(&self->lock);
  ending *end = &self->endings[task];
  end->times++;
  end->outcome = *outcome;
  end->hash = hash;
  size_t head = outcome->length < sizeof end->head ? outcome->length : sizeof end->head;
  if (outcome->bytes != NULL) memcpy(end->head, outcome->bytes, head);
  if (loan != NULL) end->loan = loan;
  self->ended++;
  wp_process_pool *given_up = self->release_in_callback ? self->pool : NULL;
  if (given_up != NULL) self->pool = NULL;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
  if (given_up == NULL) return;
  CHECK(wp_process_pool_join(given_up) == WP_WOULD_DEADLOCK, "join inside a callback");
  wp_process_pool_release(given_up);
}

static void destroyed(void *context) {
  test_lab *self = (test_lab *)context;
  pthread_mutex_lock(&self->lock);
  self->destroyed++;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
}

wp_process_pool_config lab_config(test_lab *self, uint32_t workers, wp_start_method method) {
  wp_process_pool_config config;
  memset(&config, 0, sizeof config);
  config.worker_count = workers;
  config.start_method = method;
  config.handler = method == WP_START_REEXEC ? NULL : handle_task;
  config.name = "check";
  config.hooks.context = self;
  config.hooks.completed = completed;
  config.hooks.destroy = destroyed;
  return config;
}

void lab_open_with(test_lab *self, const wp_process_pool_config *config, size_t tasks) {
  wp_error error;
  pthread_mutex_init(&self->lock, NULL);
  pthread_cond_init(&self->changed, NULL);
  self->endings = (ending *)calloc(tasks, sizeof *self->endings);
  self->capacity = tasks;
  self->ended = 0;
  self->destroyed = 0;
  self->release_in_callback = false;
  self->lend = false;
  if (wp_process_pool_create(config, &self->pool, &error) == WP_OK) return;
  fprintf(stderr, "create: %s, %s: %s (%s)\n", wp_status_name(error.status), error.call == NULL ? "-" : error.call,
          strerror(error.system_errno), error.rule == NULL ? "-" : error.rule);
  exit(1);
}

void lab_open(test_lab *self, uint32_t workers, wp_start_method method, size_t tasks) {
  wp_process_pool_config config = lab_config(self, workers, method);
  lab_open_with(self, &config, tasks);
}

wp_process_submission lab_submission(size_t task, uint32_t function, const void *bytes, size_t length) {
  wp_process_submission submission;
  memset(&submission, 0, sizeof submission);
  submission.function = function;
  submission.bytes = bytes;
  submission.length = length;
  submission.token = (void *)(uintptr_t)(task + 1);
  return submission;
}

static uint64_t submit(test_lab *self, size_t task, const wp_process_submission *submission) {
  uint64_t ticket = 0;
  wp_status status = wp_process_pool_submit(self->pool, submission, &ticket);
  CHECK(status == WP_OK, "submit of task %zu: %s", task, wp_status_name(status));
  if (status != WP_OK) exit(1);
  return ticket;
}

uint64_t lab_submit(test_lab *self, size_t task, uint32_t function, const void *bytes, size_t length) {
  wp_process_submission submission = lab_submission(task, function, bytes, length);
  return submit(self, task, &submission);
}

uint64_t lab_submit_with(test_lab *self, size_t task, uint32_t function, const void *bytes, size_t length,
                         wp_task_options options) {
  wp_process_submission submission = lab_submission(task, function, bytes, length);
  submission.options = &options;
  return submit(self, task, &submission);
}

void lab_await(test_lab *self, size_t count) {
  pthread_mutex_lock(&self->lock);
  while (self->ended < count) pthread_cond_wait(&self->changed, &self->lock);
  pthread_mutex_unlock(&self->lock);
}

ending lab_await_task(test_lab *self, size_t task) {
  pthread_mutex_lock(&self->lock);
  while (self->endings[task].times == 0) pthread_cond_wait(&self->changed, &self->lock);
  ending end = self->endings[task];
  pthread_mutex_unlock(&self->lock);
  return end;
}

size_t lab_ended(test_lab *self) {
  pthread_mutex_lock(&self->lock);
  size_t ended = self->ended;
  pthread_mutex_unlock(&self->lock);
  return ended;
}

bool lab_has_ended(test_lab *self, size_t task) {
  pthread_mutex_lock(&self->lock);
  bool ended = self->endings[task].times > 0;
  pthread_mutex_unlock(&self->lock);
  return ended;
}

void lab_await_running(test_lab *self, uint64_t ticket) {
  while (!wp_process_pool_is_running(self->pool, ticket)) sched_yield();
}

void lab_close(test_lab *self) {
  wp_process_pool_close(self->pool);
  CHECK(wp_process_pool_join(self->pool) == WP_OK, "join");
  wp_process_pool_release(self->pool);
  CHECK(self->destroyed == 1, "destroy hook called %d times", self->destroyed);
  free(self->endings);
}

void gate_make(test_gate *self) {
  strcpy(self->folder, "/tmp/process-engine-check.XXXXXX");
  if (mkdtemp(self->folder) == NULL) exit(1);
  snprintf(self->path, sizeof self->path, "%s/gate", self->folder);
  if (mkfifo(self->path, 0600) != 0) exit(1);
}

void gate_open(test_gate *self) {
  int fifo = open(self->path, O_WRONLY);  // waits for a reader, and lets it go on
  CHECK(fifo >= 0, "open of the gate: %s", strerror(errno));
  close(fifo);
}

void gate_remove(test_gate *self) {
  unlink(self->path);
  rmdir(self->folder);
}

static size_t count_entries(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL) return 0;
  size_t count = 0;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

/// Words of a file, or its lines that contain `part`.
size_t count_in(const char *path, const char *part) {
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  char line[4096];
  size_t count = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (part != NULL) {
      count += strstr(line, part) != NULL;
      continue;
    }
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) count++;
  }
  fclose(file);
  return count;
}

leftovers count_leftovers(void) {
  leftovers found;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  found.children = count_in(path, NULL);
  found.mappings = count_in("/proc/self/maps", "memfd:");
  found.descriptors = count_entries("/proc/self/fd");
  found.threads = count_entries("/proc/self/task");
  return found;
}

void check_leftovers(leftovers before, const char *after) {
  leftovers now = count_leftovers();
  CHECK(now.descriptors == before.descriptors, "%zu descriptors were %zu, %s", now.descriptors, before.descriptors,
        after);
  CHECK(now.children == before.children, "%zu children were %zu, %s", now.children, before.children, after);
  CHECK(now.mappings == before.mappings, "%zu mappings were %zu, %s", now.mappings, before.mappings, after);
  if (UNDER_TSAN) return;
  CHECK(now.threads == before.threads, "%zu threads were %zu, %s", now.threads, before.threads, after);
}

static const struct {
  const char *name;
  scenario *run;
} scenarios[] = {
    {"round-trips", round_trips},
    {"payload-sizes", payload_sizes},
    {"reply-limits", reply_limits},
    {"names-and-identity", names_and_identity},
    {"cancels", cancels},
    {"discards", discards},
    {"takes-over", takes_over},
    {"bad-arguments", bad_arguments},
    {"deaths", deaths},
    {"killed-from-outside", killed_from_outside},
    {"runs-wild", runs_wild},
    {"dies-at-start", dies_at_start},
    {"queued-survive", queued_survive},
    {"leaves-nothing", leaves_nothing},
    {"host-killed", host_killed},
    {"host-leaves", host_leaves},
    {"interrupted", interrupted},
    {"interrupts", interrupts},
    {"bystanders", bystanders},
    {"waits-for-any", waits_for_any},
    {"maker-ends", maker_ends},
    {"confined", confined},
    {"not-startable", not_startable},
    {"replaced", replaced},
    {"origins", origins},
    {"far-descriptors", far_descriptors},
    {"markers", markers},
    {"lost-hosts", lost_hosts},
    {"template-killed", template_killed},
    {"create-fails", create_fails},
    {"forked-host", forked_host},
    {"released-in-callback", released_in_callback},
    {"many-pools", many_pools},
    {"sigchld-ignored", sigchld_ignored},
    {"pinned", pinned},
    {"places", places},
    {"places-refused", places_refused},
    {"floats", floats},
    {"cpu-taken", cpu_taken},
    {"cpuset-shrinks", cpuset_shrinks},
    {"grows", grows},
    {"shrinks", shrinks},
    {"wanted-again", wanted_again},
    {"shrinks-and-ends", shrinks_and_ends},
    {"shrinks-deaf", shrinks_deaf},
    {"resize-limits", resize_limits},
    {"resize-small-file", resize_small_file},
    {"resize-places", resize_places},
    {"grows-short", grows_short},
    {"grows-without-descriptors", grows_without_descriptors},
    {"resizes-in-storm", resizes_in_storm},
    {"sandbox-refuses", sandbox_refuses},
    {"sandbox-allows", sandbox_allows},
    {"sandbox-not-granted", sandbox_not_granted},
    {"sandbox-filter", sandbox_filter},
    {"sandbox-widths", sandbox_widths},
    {"sandbox-breakouts", sandbox_breakouts},
    {"stress", stress},
    {"prints", prints},
    {"echoes", echoes},
    {"limits", limits},
    {"recycles", recycles},
    {"initializes", initializes},
    {"timeouts", timeouts},
    {"timeout-races", timeout_races},
    {"stop-requests", stop_requests},
    {"terminations", terminations},
    {"retries", retries},
    {"stopped-workers", stopped_workers},
    {"bounded-end", bounded_end},
    {"shared-memories", shared_memories},
    {"shared-limits", shared_limits},
    {"shared-ends", shared_ends},
    {"shared-taken-back", shared_taken_back},
    {"loans", loans},
    {"large-arguments", large_arguments},
    {"large-again", large_again},
    {"large-waits", large_waits},
    {"inherited-numbers", inherited_numbers},
    {"prints-in-time", prints_in_time},
    {"little-address-space", little_address_space},
    {"pools-after-fork", pools_after_fork},
    {"tasks-after-fork", tasks_after_fork},
    {"oom-scores", oom_scores},
    {"no-pages", no_pages},
    {"runs-short", runs_short},
    {"out-of-descriptors", out_of_descriptors},
    {"waiting-threads", waiting_threads},
    {"hostile", hostile},
    {"hostile-driven", hostile_driven},
    {"breakouts", breakouts},
    {"lies", lies},
    {"waiting-timeouts", waiting_timeouts},
    {"waiting-tidies", waiting_tidies},
    {"tidying", tidying},
    {"restart-fails", restart_fails},
    {"bells-filled", bells_filled},
    {"left-calls", left_calls},
    {"nested", nested},
    {"kills-without-rights", kills_without_rights},
    {"stopped-template", stopped_template},
    {"stubborn-template", stubborn_template},
    {"terminal-stops", terminal_stops},
    {"terminal-stops-handled", terminal_stops_handled},
    {"terminal-hangs-up", terminal_hangs_up},
    {"ignored-signals", ignored_signals},
    {"group-signals", group_signals},
    {"task-children", task_children},
    {"task-children-of-killed", task_children_of_killed},
    {"ready-then-gone", ready_then_gone},
    {"start-shortage", start_shortage},
    {"initializer-recovers", initializer_recovers},
    {"restart-recovers", restart_recovers},
    {"restart-refused", restart_refused},
    {"flaps", flaps},
    {"slow-sends", slow_sends},
    {"few-descriptors", few_descriptors},
    {"loss-reexecutes", loss_reexecutes},
    {"adopts-orphans", adopts_orphans},
    {"cgroup-places", cgroup_places},
    {"memory-cgroups", memory_cgroups},
};

int main(int count, char **arguments) {
  wp_start_method method = count == 3 && strcmp(arguments[2], "reexec") == 0 ? WP_START_REEXEC : WP_START_FORK;
  if (count == 3 && strcmp(arguments[2], "reached") == 0) return marked_main();
  for (size_t i = 0; count == 3 && i < sizeof scenarios / sizeof scenarios[0]; i++) {
    if (strcmp(arguments[1], scenarios[i].name) != 0) continue;
    scenarios[i].run(method);
    return failures == 0 ? 0 : 1;
  }
  for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) printf("%s\n", scenarios[i].name);
  return count == 1 ? 0 : 64;
}
