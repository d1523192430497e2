// What the machine can do: a parent and a forked child that share a page and take turns, with nothing between them but
// one futex word. No pool, no queue, no types; so a limit, and not a competitor (the protocol is in ../README.md).
//   c-loop copy|no-copy <bench> <workers> <n>        `workers` matters to process-primes; else there is one child
//
//   process-pingpong              the child returns the number it is given; both spin as long as ours, then sleep
//   process-pingpong-parked       nobody spins; parent and child have a CPU each
//   process-pingpong-parked-near  … and share one
//   process-payload               the child copies 1 MiB into shared pages; the parent copies it out (copy), or not
//   process-respawn               the child kills itself; the next one is there when it reads the clock
//   process-primes                children that are forked for the round take the next block until there is none left
//
// Edge TURN: whoever passes the turn releases what it wrote to whoever sees it.
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prime_kernel.h"

#define CACHE_LINE 64
#define PAYLOAD ((size_t)1 << 20)
/// That of ours: `WP_SPIN_DEFAULT_NS`.
#define SPIN_NS 20000
#define PAUSES_PER_LOOK 4
#define MOST_WORKERS 1024
/// Primes: how often all are counted, and how many numbers a child takes at a time.
#define REPETITIONS 4
#define BLOCK 32768

enum { PARENT, CHILD };

typedef struct shared {
  /// Even: the parent's turn. Odd: the child's.
  _Alignas(CACHE_LINE) _Atomic uint32_t turn;
  /// For each side, whether it is about to sleep or sleeps.
  _Alignas(CACHE_LINE) _Atomic uint32_t sleeping[2];
  /// Written by whoever has the turn.
  _Alignas(CACHE_LINE) uint64_t number;
  int64_t died, began;
  /// Of all blocks, those that were taken; and the primes in them. Read when the children have ended.
  _Alignas(CACHE_LINE) _Atomic uint64_t block, primes;
  _Alignas(4096) unsigned char payload[PAYLOAD];
} shared;

static shared *page;
static int64_t spin_ns = SPIN_NS;
static bool copies_out;
static pid_t child;
static uint64_t workers;
/// Where each side has to stay, or -1.
static int places[2] = {-1, -1};
static unsigned char source[PAYLOAD], target[PAYLOAD];

_Noreturn static void fail(int status, const char *message) {
  printf("{\"error\": \"%s\"}\n", message);
  fflush(stdout);
  exit(status);
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// Turns

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

static bool spin(uint32_t turn) {
  if (spin_ns == 0) return false;
  int64_t end = now(CLOCK_MONOTONIC) + spin_ns;
  do {
    for (int i = 0; i < PAUSES_PER_LOOK; i++) {
      relax();
      if (atomic_load_explicit(&page->turn, memory_order_acquire) == turn) return true;  // TURN
    }
  } while (now(CLOCK_MONOTONIC) < end);
  return false;
}

/// Waits until the turn is `turn`, which comes after the other side's. Prepare, recheck, commit.
static void await_turn(int side, uint32_t turn) {
  if (spin(turn)) return;
  atomic_store_explicit(&page->sleeping[side], 1, memory_order_seq_cst);
  while (atomic_load_explicit(&page->turn, memory_order_seq_cst) != turn) {  // TURN
    syscall(SYS_futex, &page->turn, FUTEX_WAIT, turn - 1, NULL, NULL, 0);
  }
  atomic_store_explicit(&page->sleeping[side], 0, memory_order_relaxed);
}

static void pass_turn(int other, uint32_t turn) {
  atomic_store_explicit(&page->turn, turn, memory_order_seq_cst);  // TURN
  if (atomic_load_explicit(&page->sleeping[other], memory_order_seq_cst) == 0) return;
  syscall(SYS_futex, &page->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// Where the sides run

/// The CPU with this number among those that are granted; the last one where there are not as many.
static int granted_cpu(int index) {
  cpu_set_t granted;
  if (sched_getaffinity(0, sizeof granted, &granted) != 0) fail(1, "sched_getaffinity failed");
  int found = -1;
  for (size_t cpu = 0; cpu < CPU_SETSIZE && index >= 0; cpu++) {
    if (!CPU_ISSET(cpu, &granted)) continue;
    found = (int)cpu;
    index--;
  }
  return found;
}

static void stay(int side) {
  if (places[side] < 0) return;
  cpu_set_t place;
  CPU_ZERO(&place);
  CPU_SET((size_t)places[side], &place);
  if (sched_setaffinity(0, sizeof place, &place) != 0) abort();
}

// The child

static pid_t fork_child(void) {
  pid_t process = fork();
  if (process < 0) fail(1, "fork failed");
  if (process == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) _exit(1);
  return process;
}

static void start_child(void (*serve)(void)) {
  child = fork_child();
  stay(child == 0 ? CHILD : PARENT);
  if (child != 0) return;
  for (uint32_t turn = 1;; turn += 2) {
    await_turn(CHILD, turn);
    serve();
    pass_turn(PARENT, turn + 1);
  }
}

static void serve_number(void) {}
static void serve_payload(void) { memcpy(page->payload, source, PAYLOAD); }

/// Gives the child its turn and waits until it comes back.
static void round_trip(void) {
  uint32_t turn = atomic_load_explicit(&page->turn, memory_order_relaxed);
  pass_turn(CHILD, turn + 1);
  await_turn(PARENT, turn + 2);
}

// Rounds: each returns what its n operations took, and leaves the time of each in `times`.

static int64_t pingpong(uint64_t n, int64_t *times) {
  uint64_t sum = 0;
  int64_t first = now(CLOCK_MONOTONIC), start = first;
  for (uint64_t i = 0; i < n; i++) {
    page->number = i;
    round_trip();
    sum += page->number;
    int64_t end = now(CLOCK_MONOTONIC);
    times[i] = end - start;
    start = end;
  }
  if (sum != n * (n - 1) / 2) fail(1, "the numbers came back wrong");
  return start - first;
}

static int64_t payload(uint64_t n, int64_t *times) {
  int64_t first = now(CLOCK_MONOTONIC), start = first;
  for (uint64_t i = 0; i < n; i++) {
    round_trip();
    if (copies_out) memcpy(target, page->payload, PAYLOAD);
    int64_t end = now(CLOCK_MONOTONIC);
    times[i] = end - start;
    start = end;
  }
  if (memcmp(copies_out ? target : page->payload, source, PAYLOAD) != 0) fail(1, "the payload came back wrong");
  return start - first;
}

/// What a child does that is only there to die.
_Noreturn static void begin_and_die(void) {
  page->began = now(CLOCK_MONOTONIC);
  page->died = now(CLOCK_MONOTONIC);
  kill(getpid(), SIGKILL);
  abort();
}

static void one_life(void) {
  pid_t process = fork_child();
  if (process == 0) begin_and_die();
  int status;
  if (waitpid(process, &status, 0) != process || !WIFSIGNALED(status)) fail(1, "a child did not die as it should");
}

static int64_t respawn(uint64_t n, int64_t *times) {
  int64_t sum = 0;
  one_life();
  for (uint64_t i = 0; i < n; i++) {
    int64_t died = page->died;
    one_life();
    times[i] = page->began - died;
    sum += times[i];
  }
  return sum;
}

static void count_blocks(uint64_t n) {
  uint64_t blocks = (n + BLOCK - 1) / BLOCK, block;
  while ((block = atomic_fetch_add_explicit(&page->block, 1, memory_order_relaxed)) < REPETITIONS * blocks) {
    uint64_t begin = block % blocks * BLOCK, end = begin + BLOCK < n ? begin + BLOCK : n;
    uint64_t count = prime_kernel_count((uint32_t)begin, (uint32_t)end);
    atomic_fetch_add_explicit(&page->primes, count, memory_order_relaxed);
  }
}

/// The number of primes below n, by a sieve.
static uint64_t primes_below(uint64_t n) {
  unsigned char *composite = (unsigned char *)calloc(n, 1);
  if (composite == NULL) fail(1, "there is no memory for the sieve");
  uint64_t count = 0;
  for (uint64_t k = 2; k < n; k++) {
    if (composite[k]) continue;
    count++;
    for (uint64_t multiple = k * k; multiple < n; multiple += k) composite[multiple] = 1;
  }
  free(composite);
  return count;
}

static int64_t primes(uint64_t n, int64_t *times) {
  (void)times;
  static pid_t children[MOST_WORKERS];
  atomic_store_explicit(&page->block, 0, memory_order_relaxed);
  atomic_store_explicit(&page->primes, 0, memory_order_relaxed);
  int64_t start = now(CLOCK_MONOTONIC);
  for (uint64_t i = 0; i < workers; i++) {
    children[i] = fork_child();
    if (children[i] != 0) continue;
    count_blocks(n);
    _exit(0);
  }
  for (uint64_t i = 0; i < workers; i++) {
    int status;
    if (waitpid(children[i], &status, 0) != children[i] || status != 0) fail(1, "a child did not end as it should");
  }
  int64_t wall = now(CLOCK_MONOTONIC) - start;
  uint64_t found = atomic_load_explicit(&page->primes, memory_order_relaxed);
  if (found != REPETITIONS * primes_below(n)) fail(1, "the primes were counted wrong");
  return wall;
}

// The protocol

typedef enum placement { ANYWHERE, APART, NEAR } placement;

typedef struct bench {
  const char *name;
  int64_t (*round)(uint64_t n, int64_t *times);
  void (*serve)(void);
  int64_t spin_ns;
  placement placement;
} bench;

static const bench benches[] = {
    {"process-pingpong", pingpong, serve_number, SPIN_NS, ANYWHERE},
    {"process-pingpong-parked", pingpong, serve_number, 0, APART},
    {"process-pingpong-parked-near", pingpong, serve_number, 0, NEAR},
    {"process-payload", payload, serve_payload, SPIN_NS, ANYWHERE},
    {"process-respawn", respawn, NULL, SPIN_NS, ANYWHERE},
    {"process-primes", primes, NULL, SPIN_NS, ANYWHERE},
};

static int64_t cpu_ns(void) {
  int64_t sum = now(CLOCK_PROCESS_CPUTIME_ID);
  clockid_t clock;
  if (child != 0 && clock_getcpuclockid(child, &clock) == 0) sum += now(clock);
  struct rusage dead;
  getrusage(RUSAGE_CHILDREN, &dead);
  int64_t seconds = dead.ru_utime.tv_sec + dead.ru_stime.tv_sec;
  return sum + (seconds * 1000000 + dead.ru_utime.tv_usec + dead.ru_stime.tv_usec) * 1000;
}

static int by_size(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

static void round_of(const bench *b, uint64_t n, int64_t *times, bool report) {
  int64_t cpu = cpu_ns();
  int64_t wall = b->round(n, times);
  cpu = cpu_ns() - cpu;
  if (!report) return;  // the first, which warms up
  printf("{\"wall_ns\": %" PRId64 ", \"cpu_ns\": %" PRId64, wall, cpu);
  if (b->round == pingpong || b->round == respawn) {
    qsort(times, n, sizeof *times, by_size);
    printf(", \"p50_ns\": %" PRId64 ", \"p99_ns\": %" PRId64, times[n / 2], times[n * 99 / 100]);
  }
  puts("}");
  fflush(stdout);
}

static uint64_t number(const char *name, const char *text, uint64_t most) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < 1 || value > most) {
    char message[160];
    snprintf(message, sizeof message, "%s is '%.64s', but must be from 1 to %" PRIu64, name, text, most);
    fail(1, message);
  }
  return value;
}

static void prepare(const bench *b) {
  page = (shared *)mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) fail(1, "mmap failed");
  for (size_t i = 0; i < PAYLOAD; i++) source[i] = (unsigned char)(i * 31);
  spin_ns = b->spin_ns;
  if (b->placement != ANYWHERE) places[PARENT] = granted_cpu(0);
  if (b->placement != ANYWHERE) places[CHILD] = granted_cpu(b->placement == APART ? 1 : 0);
  if (b->serve != NULL) start_child(b->serve);
}

int main(int count, char **arguments) {
  if (count != 5) fail(1, "there must be 4 arguments: copy|no-copy bench workers n");
  copies_out = strcmp(arguments[1], "copy") == 0;
  if (!copies_out && strcmp(arguments[1], "no-copy") != 0) fail(1, "the first argument must be copy or no-copy");
  workers = number("workers", arguments[3], MOST_WORKERS);
  uint64_t n = number("n", arguments[4], 1000000000);
  const bench *b = NULL;
  for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
    // Without a payload there is nothing to copy, and one subject is enough.
    bool offered = copies_out || benches[i].round == payload;
    if (offered && strcmp(benches[i].name, arguments[2]) == 0) b = &benches[i];
  }
  if (b == NULL) fail(2, "unsupported");
  prepare(b);
  int64_t *times = (int64_t *)calloc(n, sizeof *times);
  if (times == NULL) fail(1, "there is no memory for the times");
  round_of(b, n, times, false);
  puts("ready");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "go\n") != 0) fail(1, "a line on stdin must be 'go'");
    round_of(b, n, times, true);
  }
  return 0;
}
