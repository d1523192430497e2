// Waiting on a 32-bit word.
#ifndef WP_FUTEX_H
#define WP_FUTEX_H

#include "../base/wp_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Whether the word lives in memory that several processes map.
typedef enum wp_futex_scope { WP_FUTEX_PRIVATE, WP_FUTEX_SHARED } wp_futex_scope;

/// Sleeps while `*word == expected`, until woken or until `deadline_ns` on CLOCK_MONOTONIC (UINT64_MAX: for ever).
/// May return spuriously; returns false only when the deadline has passed.
bool wp_futex_wait(wp_atomic_u32 *word, uint32_t expected, uint64_t deadline_ns, wp_futex_scope scope);

/// Wakes up to `count` sleepers. Only the address is used: `word` may be gone already.
void wp_futex_wake(wp_atomic_u32 *word, int count, wp_futex_scope scope);

#ifdef __cplusplus
}
#endif

#endif
