// A pool whose worker tells which objects it finds that are constructed before `main`: here, in files on both sides of the
// engine in the order of linking, and in a library that uses the engine. run.sh links it with the engine in all the ways that
// there are, and starts it in all the ways in which a program is started.
#include "CWorkerPool.h"

#include <cstdio>
#include <cstring>
#include <pthread.h>

#include "objects.h"

static void answer(void *, const wp_process_request *, wp_process_reply *reply) {
  uint64_t found = constructed_objects();
  void *target = wp_process_reply_reserve(reply, sizeof found);
  if (target != nullptr) memcpy(target, &found, sizeof found);
}

extern "C" wp_process_handler wp_process_reexec_handler(void) { return answer; }

namespace {

struct Task {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  bool ended = false;
  uint64_t found = 0;
};

void completed(void *, void *token, const wp_task_outcome *outcome) {
  auto *task = static_cast<Task *>(token);
  pthread_mutex_lock(&task->lock);
  if (outcome->end == WP_TASK_REPLIED) memcpy(&task->found, outcome->bytes, sizeof task->found);
  task->ended = true;
  pthread_cond_signal(&task->changed);
  pthread_mutex_unlock(&task->lock);
}

}  // namespace

extern "C" int use_pool(void) {
  wp_process_pool_config config{};
  config.worker_count = 1;
  config.start_method = WP_START_REEXEC;
  config.hooks.completed = completed;
  wp_process_pool *pool = nullptr;
  wp_error error{};
  if (wp_process_pool_create(&config, &pool, &error) != WP_OK) {
    printf("%s: %s, %s\n", wp_status_name(error.status), error.call ? error.call : "-", error.rule ? error.rule : "-");
    return 1;
  }
  Task task;
  wp_process_submission submission{};
  submission.token = &task;
  if (wp_process_pool_submit(pool, &submission, nullptr) != WP_OK) return 1;
  pthread_mutex_lock(&task.lock);
  while (!task.ended) pthread_cond_wait(&task.changed, &task.lock);
  pthread_mutex_unlock(&task.lock);
  wp_process_pool_close(pool);
  wp_process_pool_join(pool);
  wp_process_pool_release(pool);
  if (task.found != 7 || constructed_objects() != 7) {
    printf("objects %d in a worker, %d in the program\n", int(task.found), int(constructed_objects()));
    return 1;
  }
  puts("ok");
  return 0;
}
