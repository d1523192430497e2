#include "crew.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { LOOKS = 20, PAGE = 4096 };

/// One look at all workers. None leaves before all have come, so that each runs one task.
typedef struct roll_call {
  worker_crew *crew;
  pthread_barrier_t seen;
  pthread_barrier_t dismissed;
} roll_call;

__attribute__((noinline)) static void look_at_stack(crew_member *member) {
  volatile char room[(STACK_PAGES + 1) * PAGE];
  volatile char *first = (volatile char *)(((uintptr_t)room + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
  // The stack grows down.
  for (int page = STACK_PAGES - 1; page >= 0; page--) {
    first[page * PAGE] = 1;
    member->stack[page] = node_of_page((const void *)(first + page * PAGE));
  }
}

static void report(void *argument) {
  roll_call *call = (roll_call *)argument;
  volatile int local = 1;
  int worker = wp_thread_pool_current_worker(call->crew->pool);
  REQUIRE(worker >= 0 && (unsigned)worker < call->crew->count, "worker %d", worker);
  crew_member *member = &call->crew->members[worker];
  REQUIRE(member->thread == 0, "worker %d runs two tasks at a time", worker);
  member->thread = gettid();
  for (int look = 0; look < LOOKS; look++) {
    unsigned cpu, node;
    REQUIRE(getcpu(&cpu, &node) == 0 && cpu < MACHINE_MAX_CPUS, "getcpu");
    member->ran_on |= (uint64_t)1 << cpu;
    member->node = look == 0 || member->node == (int)node ? (int)node : -1;
    sched_yield();
  }
  member->local = node_of_page((const void *)&local);
  look_at_stack(member);
  pthread_barrier_wait(&call->seen);
  pthread_barrier_wait(&call->dismissed);
}

void crew_hire(worker_crew *crew, const wp_thread_pool_config *config) {
  wp_error error = {0};
  memset(crew, 0, sizeof *crew);
  wp_status status = wp_thread_pool_create(config, &crew->pool, &error);
  REQUIRE(status == WP_OK, "%s: %s, %s", wp_status_name(status), error.call, error.rule != NULL ? error.rule : "");
  crew->count = wp_thread_pool_worker_count(crew->pool);
  REQUIRE(crew->count <= CREW_MAX, "%u workers", crew->count);
}

void crew_look(worker_crew *crew) {
  roll_call call = {.crew = crew};
  memset(crew->members, 0, sizeof crew->members);
  pthread_barrier_init(&call.seen, NULL, crew->count + 1);
  pthread_barrier_init(&call.dismissed, NULL, crew->count + 1);
  for (unsigned i = 0; i < crew->count; i++) {
    wp_job job = {(uintptr_t)report, &call};
    REQUIRE(wp_thread_pool_submit(crew->pool, job) == WP_OK, "task %u", i);
  }
  pthread_barrier_wait(&call.seen);
  for (unsigned i = 0; i < crew->count; i++) crew->members[i].mask = mask_of(crew->members[i].thread);
  pthread_barrier_wait(&call.dismissed);
  // Waits for those that are still on their way out.
  pthread_barrier_destroy(&call.seen);
  pthread_barrier_destroy(&call.dismissed);
}

void crew_dismiss(worker_crew *crew) {
  wp_thread_pool_close(crew->pool);
  CHECK(wp_thread_pool_join(crew->pool) == WP_OK, "a pool does not end");
  wp_thread_pool_release(crew->pool);
  crew->pool = NULL;
}

void check_pinned(const worker_crew *crew, unsigned worker, int cpu, const char *policy) {
  const crew_member *member = &crew->members[worker];
  uint64_t only = (uint64_t)1 << cpu;
  size_t node = node_of_cpu(cpu);
  CHECK(member->mask == only, "%s: worker %u may run on %s, not on %d alone", policy, worker,
        list_of(member->mask), cpu);
  CHECK(member->ran_on == only, "%s: worker %u ran on %s, not on %d", policy, worker, list_of(member->ran_on), cpu);
  if (member->mask != only) return;
  REQUIRE(node != SIZE_MAX, "%s: worker %u is on CPU %d, which is not online", policy, worker, cpu);
  CHECK(member->node == truth.nodes[node].id, "%s: worker %u is on node %d, not %d", policy, worker, member->node,
        truth.nodes[node].id);
  CHECK(is_first_touch_node(node, member->local), "%s: worker %u of node %d has a local variable on node %d", policy,
        worker, truth.nodes[node].id, member->local);
  for (int page = 0; page < STACK_PAGES; page++) {
    CHECK(is_first_touch_node(node, member->stack[page]), "%s: worker %u of node %d has page %d of its stack on %d",
          policy, worker, truth.nodes[node].id, page, member->stack[page]);
  }
}

void check_within(const worker_crew *crew, uint64_t cpus, const char *policy) {
  for (unsigned worker = 0; worker < crew->count; worker++) {
    const crew_member *member = &crew->members[worker];
    CHECK((member->mask & ~cpus) == 0, "%s: worker %u may run on %s, not only on %s", policy, worker,
          list_of(member->mask), list_of(cpus));
    CHECK((member->ran_on & ~cpus) == 0, "%s: worker %u ran on %s, not only on %s", policy, worker,
          list_of(member->ran_on), list_of(cpus));
  }
}
