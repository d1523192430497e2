// A C program that links the engine alone and checks the process pool, one scenario per run:
//
//     process-engine-check <scenario> fork|reexec
//
// It has one thread when it starts, which a fork-started pool needs and a test runner cannot offer. Exits 0 when the
// scenario holds, 1 with a line on stderr for each thing that does not.
#ifndef CHECK_H
#define CHECK_H

#include "CWorkerPool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/// What tasks can be asked to do.
enum {
  DO_ECHO,         // returns its bytes
  DO_INCREMENT,    // uint64_t -> uint64_t
  DO_FILL,         // uint64_t n -> n bytes of 0xA5
  DO_RESERVE_ONLY, // uint64_t n -> reserves n bytes, then 8, and returns how often it got them
  DO_PID,          // -> int32_t pid, int32_t index
  DO_NAME,         // uint32_t index -> name
  DO_AWAIT_FIFO,   // path -> returns once somebody has opened the FIFO for writing
  DO_PAUSE,        // never returns
  DO_TRAP,
  DO_ABORT,
  DO_SEGV,
  DO_EXIT_3,
  DO__EXIT_0,
  DO_WRITE_ARGUMENT,  // writes to its own argument
  DO_RUN_WILD,        // overwrites its slots, then never returns
  DO_CLOSE_ALL,       // closes every descriptor, then returns
  DO_SIGNALS,         // -> uint64_t mask of ignored signals, int32_t 1 if stdin is empty
  DO_SPIN,            // uint64_t n -> busy for n ns, returns n
  DO_PRINT,           // uint64_t n -> writes n bytes to standard error, the one at i being 'a' + i % 26
  DO_PRINT_AND_DIE,   // the same, then ends by SIGKILL
  DO_HOARD,           // uint64_t n -> asks for n bytes again and again, and traps when there are none
  DO_REFUSE,          // replies with code 5 and its argument
  DO_AWAIT_STOP,      // returns once it is asked to stop
  DO_TELL_STOP,       // -> uint64_t 1 if it is asked to stop, uint64_t ns until its deadline
  DO_KILL_WORKERS,    // path of a folder, ending in a digit n: ends its worker n times, then returns
  DO_SHARED_SUM,      // uint64_t ids[] -> uint64_t sum of the first bytes of these memories; code 404 for one not there
  DO_SHARED_WRITE,    // uint64_t id, uint64_t value -> stores the value at the start of the memory
  DO_SHARED_FORCE,    // uint64_t id -> uint64_t number of ways by which it got write access to the memory
  DO_BLOCK,           // uint64_t n -> uint64_t offset of a block of n bytes, each n mod 251
  DO_ROOM,            // uint64_t n -> n bytes of 0x5A, written before it is said how many
  DO_SYSTEM_CALL,          // uint64_t number, arguments[6] (all ones: the address of these) -> int64_t, as the kernel
  DO_SYSTEM_CALL_BLOCKED,  // the same with SIGSYS blocked
  DO_RAISE_SIGSYS,
  DO_SCRIBBLE,  // hostile_task: see hostile.h
  DO_FILL_BELLS,  // keeps every bell full, never returns
  DO_BREAK_OUT,  // -> uint64_t ways by which it can write what the host writes; see breakouts.c
  DO_LIE,  // uint64_t way: says nonsense of its slots, and never returns; see lies.c
  DO_TOUCH_SHARED,  // uint64_t n -> touches n bytes of shared memory, which RLIMIT_DATA does not count
  DO_NEST,  // nest_order: uses a pool of its own -> uint64_t things that were not as they should be; see nests.c
  DO_WRITE_TO_NOBODY,  // -> uint64_t error number of a write to a pipe without readers
  DO_RAISE_FAMILY,  // path -> starts processes that write their numbers there; see signals.c
  DO_TELL_ORIGIN,  // uint64_t what -> uint64_t; see origins.c
  DO_START_BADLY,  // see supervision.c
  DO_USE_NUMBERS,  // numbers_order: uses the numbers of its host -> uint64_t things that were wrong; see descriptors.c
  DO_LOOK_AFTER_FORK,  // forks -> uint64_t status of the child, which asks for what a worker has
  DO_PRINT_LINE,   // prints a line, and does not flush
  DO_REFUSE_OUTER_TRACES,  // replies with a code if it sees the task of an outer worker
};

// ThreadSanitizer starts a thread of its own with the first pthread_create and in every child of a fork, after which
// nothing can be forked again.
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if !defined(UNDER_TSAN)
#define UNDER_TSAN 0
#endif
// Limits on memory and descriptors meet AddressSanitizer's own needs first.
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#if !defined(UNDER_ASAN)
#define UNDER_ASAN 0
#endif

extern int failures;

#define CHECK(condition, ...)                                          \
  do {                                                                 \
    if (!(condition)) {                                                \
      failures++;                                                      \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);  \
      fprintf(stderr, __VA_ARGS__);                                    \
      fprintf(stderr, "\n");                                           \
    }                                                                  \
  } while (0)

/// How one task ended, as its callback saw it.
typedef struct ending {
  int times;
  wp_task_outcome outcome;
  unsigned char head[16];
  uint64_t hash;
  /// Of a lab that lends: the result buffer, kept.
  wp_process_loan *loan;
} ending;

/// A pool and the endings of its tasks; a task's token is its index plus one.
typedef struct test_lab {
  wp_process_pool *pool;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  ending *endings;
  size_t capacity;
  size_t ended;
  int destroyed;
  bool release_in_callback;
  bool lend;
} test_lab;

void use_numbers(const wp_process_request *request, wp_process_reply *reply);
void print_line(void);
void look_after_fork(wp_process_reply *reply);
void write_to_nobody(wp_process_reply *reply);
void tell_origin(uint64_t what, wp_process_reply *reply);
/// What `main` does in a program that `markers` has started.
int marked_main(void);
void raise_family(const wp_process_request *request);
void nest(const wp_process_request *request, wp_process_reply *reply);
void refuse_outer_traces(wp_process_reply *reply);
void handle_task(void *context, const wp_process_request *request, wp_process_reply *reply);
uint64_t hash_bytes(const void *bytes, size_t length);

wp_process_pool_config lab_config(test_lab *lab, uint32_t workers, wp_start_method method);
/// Creates a pool or ends the program.
void lab_open(test_lab *lab, uint32_t workers, wp_start_method method, size_t tasks);
void lab_open_with(test_lab *lab, const wp_process_pool_config *config, size_t tasks);
/// What `lab_submit` submits.
wp_process_submission lab_submission(size_t task, uint32_t function, const void *bytes, size_t length);
/// The same, with options.
uint64_t lab_submit_with(test_lab *lab, size_t task, uint32_t function, const void *bytes, size_t length,
                         wp_task_options options);
uint64_t lab_submit(test_lab *lab, size_t task, uint32_t function, const void *bytes, size_t length);
/// Waits until `count` tasks have ended.
void lab_await(test_lab *lab, size_t count);
/// Waits until this task has ended, and returns how.
ending lab_await_task(test_lab *lab, size_t task);
/// How many tasks have ended by now.
size_t lab_ended(test_lab *lab);
/// Whether a task has ended by now.
bool lab_has_ended(test_lab *lab, size_t task);
/// Waits until a worker has begun the task.
void lab_await_running(test_lab *lab, uint64_t ticket);
void lab_close(test_lab *lab);

/// A FIFO in a folder of its own, for tasks that must wait.
typedef struct test_gate {
  char folder[64];
  char path[80];
} test_gate;
void gate_make(test_gate *gate);
/// Lets everybody through who waits now.
void gate_open(test_gate *gate);
void gate_remove(test_gate *gate);

/// What a process can leave behind.
typedef struct leftovers {
  size_t descriptors;
  size_t children;
  size_t mappings;
  size_t threads;
} leftovers;
leftovers count_leftovers(void);
/// Lines of a file that contain this.
size_t count_in(const char *path, const char *part);
void check_leftovers(leftovers before, const char *after);
/// Bytes that the pool's memory files hold.
size_t memory_in_use(void);

typedef void scenario(wp_start_method method);

/// Whether the system grants what a case needs; where it does not, nothing of it can be looked at.
typedef bool confinement(void);
/// Lets these calls fail with `number`, as the profiles of container runtimes do.
bool deny(const int *calls, size_t count, uint32_t number);
/// Runs `body` in a child of this process, which `confine` has confined. False when the system does not grant that.
bool run_confined(const char *what, confinement *confine, scenario *body, wp_start_method method);

scenario round_trips, payload_sizes, reply_limits, names_and_identity, cancels, discards, takes_over, pinned;
scenario deaths, killed_from_outside, runs_wild, dies_at_start, queued_survive, stress;
scenario leaves_nothing, host_killed, template_killed, create_fails, forked_host, released_in_callback, many_pools;
scenario host_leaves, interrupted, bystanders, waits_for_any, maker_ends;
scenario confined, not_startable, replaced, interrupts;
scenario origins, far_descriptors, markers, lost_hosts;
scenario bad_arguments, sigchld_ignored, waiting_threads;
scenario places, places_refused, floats, cpu_taken, cpuset_shrinks;
scenario grows, shrinks, wanted_again, shrinks_and_ends, shrinks_deaf, resize_limits, resize_small_file, resize_places;
scenario grows_short, grows_without_descriptors, resizes_in_storm;
scenario prints, echoes, limits, recycles, initializes;
scenario timeouts, timeout_races, stop_requests, terminations, retries, stopped_workers, bounded_end;
scenario shared_memories, shared_limits, shared_ends, shared_taken_back, loans, large_arguments, large_again;
scenario large_waits;
scenario pools_after_fork, tasks_after_fork;
scenario little_address_space, oom_scores, no_pages, runs_short;
scenario inherited_numbers, prints_in_time;
scenario out_of_descriptors;
scenario hostile, hostile_driven, breakouts, lies;
scenario waiting_timeouts, waiting_tidies, tidying, restart_fails, bells_filled, left_calls;
scenario cgroup_places, memory_cgroups;
scenario nested;
scenario kills_without_rights, stopped_template, stubborn_template;
scenario terminal_stops, terminal_stops_handled, terminal_hangs_up;
scenario ready_then_gone, start_shortage, initializer_recovers, restart_recovers, restart_refused, flaps;
scenario slow_sends, few_descriptors, loss_reexecutes, adopts_orphans;
scenario ignored_signals, group_signals, task_children, task_children_of_killed;
scenario sandbox_refuses, sandbox_allows, sandbox_not_granted, sandbox_filter, sandbox_widths, sandbox_breakouts;

#endif
