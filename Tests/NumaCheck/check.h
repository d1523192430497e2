// A C program that links the engine alone and checks it against a machine whose nodes are known, one check per run:
//
//     numa-check <check>        numa-check list
//
// Meant for the emulated machines of Tests/NumaMachine, which say in the environment how they were built. Exits 0 when
// the check holds, 1 with a line for each thing that does not. An area has a file; its checks stand in the table of
// main.c.
#ifndef CHECK_H
#define CHECK_H

#include "CWorkerPool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

extern int failures;

#define CHECK(condition, ...)                                          \
  do {                                                                 \
    if (!(condition)) {                                                \
      failures++;                                                      \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);           \
      printf(__VA_ARGS__);                                             \
      printf("\n");                                                    \
    }                                                                  \
  } while (0)

/// The same for what the rest of the check cannot do without.
#define REQUIRE(condition, ...)          \
  do {                                   \
    if (!(condition)) {                  \
      CHECK(condition, __VA_ARGS__);     \
      give_up();                         \
    }                                    \
  } while (0)

/// Ends the program as failed.
_Noreturn void give_up(void);

// MARK: The truth

/// Sets of CPUs are words here, bit `n` for CPU `n`.
enum { MACHINE_MAX_NODES = 16, MACHINE_MAX_CPUS = 64 };

typedef struct machine_node {
  int id;
  /// Those that are online.
  uint64_t cpus;
  /// 0: none. What Linux offers is a little less.
  unsigned memory_mib;
} machine_node;

/// How the machine was built (see Tests/Machine/boot.sh), read from the environment before any check; constant.
typedef struct machine {
  size_t node_count;
  machine_node nodes[MACHINE_MAX_NODES];
  /// By index, not by id.
  unsigned distances[MACHINE_MAX_NODES][MACHINE_MAX_NODES];
  uint64_t online;
  uint64_t offline;
  /// Of a core; they have consecutive numbers.
  unsigned threads;
} machine;

extern machine truth;

/// Reads it, or ends the program with what is wrong with the environment.
void machine_read(void);

/// Index in `truth.nodes` of the node with this CPU or this id, or `SIZE_MAX`.
size_t node_of_cpu(int cpu);
size_t node_with_id(int id);
unsigned count_bits(uint64_t set);
/// "0-3,8", in one of a few buffers that are used in turn.
const char *list_of(uint64_t set);
/// Reads such a list; ends the program when it is none.
uint64_t set_of(const char *list);

// MARK: What the kernel says

/// Id of the node that holds the page at `address`, by move_pages, or a negative errno; -ENOENT before it is touched.
int node_of_page(const void *address);
/// Whether memory that a CPU of the node at index `from` is the first to touch may be on the node with id `found`: its
/// own, or, if that has none, one of the nearest that has.
bool is_first_touch_node(size_t from, int found);
/// Affinity mask of a thread.
uint64_t mask_of(pid_t thread);
/// The first line of a file, without its end; an empty string when it cannot be read. In a buffer used by each call.
const char *read_line(const char *path);
/// Writes to a file of /sys, or ends the program.
void write_line(const char *path, const char *line);

typedef void check_function(void);
check_function topology, libnuma_agrees, granted_by_cgroups;
check_function pinned, refused, floats, unplugged;

/// The rest of a check that needs a process of its own, inside of cgroups: `numa-check inside <words>`.
int inside(int count, char **words);

#endif
