// What the kernel and libnuma say about the CPUs of this process.
#ifndef WP_AFFINITY_H
#define WP_AFFINITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Writes the affinity mask of the calling thread, or with `of_process` of the process's main thread, to `words` (bit `n % 64` of word `n / 64` is CPU `n`), the rest zero.
/// Returns 0 or an errno. CPUs beyond `count * 64` are dropped.
int wp_affinity_get(bool of_process, uint64_t *words, size_t count);

/// Whether libnuma works here (it does not where the kernel has no NUMA calls or a sandbox forbids them).
bool wp_numa_works(void);

/// Writes libnuma's opinion of the CPUs of the present node `node`, in the form of `wp_affinity_get`. False when it
/// has none. Only after `wp_numa_works`. Thread-safe.
bool wp_numa_node_cpus(int node, uint64_t *words, size_t count);

#ifdef __cplusplus
}
#endif

#endif
