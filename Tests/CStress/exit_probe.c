// Jobs that end their thread, and what becomes of a process in which one does that in the middle of fork-join work.
#include "CStress.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wp_fork_join.h"
#include "wp_thread_pool.h"

void cs_exit_thread(void *argument) {
  (void)argument;
  pthread_exit(NULL);
}

void cs_exit_thread_blocked(void *argument) {
  (void)argument;
  // Refused while all others are blocked, too.
  while (wp_thread_pool_block_begin() != WP_OK) sched_yield();
  pthread_exit(NULL);
}

// MARK: After fork-join work

typedef struct story_run {
  const cs_exit_story *story;
  uint32_t depth;
  _Atomic bool is_stolen;
} story_run;

static void do_nothing(void *argument) { (void)argument; }
static void do_nothing_with(void *first, void *second, size_t begin, size_t end) {
  (void)first, (void)second, (void)begin, (void)end;
}

/// A join whose own half waits until the other has begun elsewhere, and holds another such join up to some depth.
static void steal(void *first, void *second, size_t begin, size_t end) {
  (void)begin, (void)end;
  story_run *run = (story_run *)first;
  if (second != NULL) {
    atomic_store(&run->is_stolen, true);
    return;
  }
  story_run inner = {run->story, run->depth - 1, false};
  wp_borrowed own = {&inner, NULL}, other = {&inner, &inner};
  if (run->depth > 0) wp_join((wp_thread_pool *)run->story->pool, steal, own, other);
  while (!atomic_load(&run->is_stolen)) sched_yield();
}

static void exit_if_second(void *first, void *second, size_t begin, size_t end) {
  (void)first, (void)begin, (void)end;
  if (second != NULL) pthread_exit(NULL);
}

void cs_exit_thread_after(void *argument) {
  const cs_exit_story *story = (const cs_exit_story *)argument;
  wp_thread_pool *pool = (wp_thread_pool *)story->pool;
  wp_group group;
  story_run run = {story, story->kind == CS_EXIT_AFTER_NESTED_STOLEN ? 3 : 0, false};
  wp_borrowed own = {&run, NULL}, other = {&run, &run};
  switch (story->kind) {
  case CS_EXIT_AFTER_JOIN: wp_join(pool, do_nothing_with, own, other); break;
  case CS_EXIT_IN_TAKEN_BACK: wp_join(pool, exit_if_second, own, other); break;
  case CS_EXIT_AFTER_STOLEN:
  case CS_EXIT_AFTER_NESTED_STOLEN: wp_join(pool, steal, own, other); break;
  case CS_EXIT_AFTER_RANGE: wp_concurrent_perform(pool, do_nothing_with, own, 100, 1); break;
  case CS_EXIT_AFTER_GROUP:
    if (!wp_group_begin(&group, pool, do_nothing, NULL)) return;
    for (int i = 0; i < 10; i++) wp_group_spawn(&group);
    wp_group_wait(&group);
  }
  pthread_exit(NULL);
}

// MARK: In the middle of fork-join work

typedef struct scene {
  wp_thread_pool *pool;
  cs_exit_place place;
  wp_group group;
  pthread_t owner;
  _Atomic uint32_t begun;
} scene;

static bool is_owner(const scene *s) { return pthread_equal(s->owner, pthread_self()) != 0; }

static void wait_for_begun(scene *s, uint32_t count) {
  while (atomic_load(&s->begun) < count) sched_yield();
}

/// The halves of a join: `second` is NULL for the one that the owner runs.
static void half(void *first, void *second, size_t begin, size_t end) {
  (void)begin, (void)end;
  scene *s = (scene *)first;
  bool is_other = second != NULL;
  atomic_fetch_add(&s->begun, 1);
  if (s->place == CS_EXIT_JOIN_OWN && !is_other) pthread_exit(NULL);
  if ((s->place == CS_EXIT_JOIN_BESIDE_THIEF || s->place == CS_EXIT_JOIN_AFTER_OTHERS) && !is_other) {
    wait_for_begun(s, 2);
    wp_job other = {(uintptr_t)do_nothing, s};
    for (int i = 0; s->place == CS_EXIT_JOIN_AFTER_OTHERS && i < 20000; i++) wp_thread_pool_submit(s->pool, other);
    pthread_exit(NULL);
  }
  if (s->place == CS_EXIT_JOIN_STOLEN) {
    wait_for_begun(s, 2);
    if (is_other) pthread_exit(NULL);
  }
}

static void piece(void *first, void *second, size_t begin, size_t end) {
  (void)second, (void)end;
  scene *s = (scene *)first;
  if (s->place == CS_EXIT_RANGE && begin == 8) pthread_exit(NULL);
}

static void call(void *argument) {
  scene *s = (scene *)argument;
  if (s->place == CS_EXIT_GROUP_CALL || (s->place == CS_EXIT_GROUP_ELSEWHERE && !is_owner(s))) pthread_exit(NULL);
}

static void use_group(scene *s) {
  if (!wp_group_begin(&s->group, s->pool, call, s)) _exit(2);
  wp_group_spawn(&s->group);
  if (s->place == CS_EXIT_GROUP_OWNER) pthread_exit(NULL);
  while (s->place == CS_EXIT_GROUP_ELSEWHERE) sched_yield();
  wp_group_wait(&s->group);
}

static void run_scene(void *argument) {
  scene *s = (scene *)argument;
  s->owner = pthread_self();
  wp_borrowed own = {s, NULL}, other = {s, s};
  if (s->place <= CS_EXIT_JOIN_STOLEN) {
    wp_join(s->pool, half, own, other);
  } else if (s->place == CS_EXIT_RANGE) {
    wp_concurrent_perform(s->pool, piece, own, 16, 1);
  } else {
    use_group(s);
  }
}

static void play(cs_exit_place place) {
  static scene s;
  s.place = place;
  wp_thread_pool_config config = {0};
  bool alone = place == CS_EXIT_JOIN_OWN || place == CS_EXIT_GROUP_CALL;
  config.worker_count = alone ? 1 : 2;
  if (wp_thread_pool_create(&config, &s.pool, NULL) != WP_OK) return;
  wp_job job = {(uintptr_t)run_scene, &s};
  wp_thread_pool_submit(s.pool, job);
  wp_thread_pool_close(s.pool);
  wp_thread_pool_join(s.pool);
}

cs_exit_answers cs_fork_and_exit_thread(cs_exit_place place) {
  cs_exit_answers answers;
  memset(&answers, 0, sizeof answers);
  int ends[2];
  if (pipe(ends) != 0) return answers;
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    play(place);
    _exit(0);
  }
  close(ends[1]);
  size_t length = 0;
  ssize_t got = 1;
  while (child > 0 && got > 0 && length < sizeof answers.message - 1) {
    got = read(ends[0], answers.message + length, sizeof answers.message - 1 - length);
    if (got > 0) length += (size_t)got;
  }
  close(ends[0]);
  int status;
  answers.aborted = child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  return answers;
}
