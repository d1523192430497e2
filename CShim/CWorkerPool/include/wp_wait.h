// Waiting on a word: what a layer above needs to block a thread on its own atomic state.
#ifndef WP_WAIT_H
#define WP_WAIT_H

#include "wp_base.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// CLOCK_MONOTONIC in nanoseconds.
uint64_t wp_monotonic_now(void);

/// Spins until a bit of `mask` is set in the 32-bit atomic at `word`, at most for `spin_ns` nanoseconds (0: as long as
/// it has paid for this thread lately, at most what `wp_set_wait_spin` said). Returns the last value read, with acquire
/// order. Where the process has been granted a single CPU it reads once: whoever would set the bit needs that CPU.
uint32_t wp_word_spin(const void *word, uint32_t mask, uint64_t spin_ns);

/// How long threads that wait spin at most before they sleep, for all of the process: nanoseconds, 0 for the default,
/// `WP_SPIN_NEVER` for not at all. (Workers that look for work have a setting of their pool.)
void wp_set_wait_spin(uint64_t spin_ns);
uint64_t wp_get_wait_spin(void);

/// Sleeps while the 32-bit atomic at `word` equals `expected`, until woken or until `deadline_ns` on
/// CLOCK_MONOTONIC (UINT64_MAX: for ever). May return early; false only when the deadline has passed. The caller
/// loads the word again, with acquire order.
bool wp_word_wait(const void *word, uint32_t expected, uint64_t deadline_ns);

/// Wakes every thread that sleeps on `word`. Only the address is used.
void wp_word_wake_all(const void *word);

WP_NONNULL_END
WP_END_DECLS

#endif
