// Sets of CPU or node numbers, and the kernel's way to write them ("0-3,8").
//
// Format: lib/vsprintf.c, `%*pbl`; Documentation/admin-guide/cputopology.rst, and cpusets "List Format" in cpuset(7).
// A fixed capacity, four times what any kernel can be built for (CONFIG_NR_CPUS ends at 8192), makes a set a plain
// value that needs no allocation and cannot fail.
#ifndef WP_CPU_LIST_H
#define WP_CPU_LIST_H

#include "wp_text.h"

WP_BEGIN_DECLS

#define WP_CPU_LIMIT 32768u
#define WP_CPU_SET_WORDS (WP_CPU_LIMIT / 64u)

typedef struct wp_cpu_set {
  uint64_t words[WP_CPU_SET_WORDS];
} wp_cpu_set;

/// Reads a list that fills the whole text, blanks around it aside. Empty text is the empty set (a node without CPUs).
/// False, leaving `set` unspecified, for anything else: numbers of `WP_CPU_LIMIT` or more, ranges that run backwards,
/// stray bytes.
bool wp_cpu_list_parse(wp_text text, wp_cpu_set *set);

void wp_cpu_set_add(wp_cpu_set *set, size_t number);
void wp_cpu_set_intersect(wp_cpu_set *set, const wp_cpu_set *other);
/// Takes the members of `other` out of `set`.
void wp_cpu_set_subtract(wp_cpu_set *set, const wp_cpu_set *other);
bool wp_cpu_set_contains(const wp_cpu_set *set, size_t number);
size_t wp_cpu_set_count(const wp_cpu_set *set);
/// Number of members that are smaller than `number`.
size_t wp_cpu_set_count_below(const wp_cpu_set *set, size_t number);
/// Smallest member that is at least `from`, or `WP_CPU_LIMIT`.
size_t wp_cpu_set_next(const wp_cpu_set *set, size_t from);

WP_END_DECLS

#endif
