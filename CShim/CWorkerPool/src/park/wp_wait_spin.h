// How long a thread that waits spins before it sleeps: as long as that has paid for it lately (wp_wait.c).
#ifndef WP_WAIT_SPIN_H
#define WP_WAIT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Nanoseconds that the calling thread may spin now; 0 for not at all.
uint64_t wp_wait_spin_begin(void);
/// Says how a spin that was allowed more than 0 ended: whether what was waited for came.
void wp_wait_spin_end(bool paid);
/// Says how long a sleep that followed was, from before it to after it.
void wp_wait_slept(uint64_t slept_ns);

#ifdef __cplusplus
}
#endif

#endif
