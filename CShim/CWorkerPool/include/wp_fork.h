// Forks: how a process learns that somebody else's `fork` made it.
#ifndef WP_FORK_H
#define WP_FORK_H

#include "wp_base.h"

WP_BEGIN_DECLS

/// How often this process and those before it were forked. Written by `fork` alone, in a child that has one thread yet.
extern uint32_t wp_forks_seen;

/// Changes whenever the process turns out to be a forked child: compare with a value kept from earlier to know whether
/// threads and futures of then are still served by anybody. Any thread; one load.
static inline uint32_t wp_fork_generation(void) { return wp_forks_seen; }

WP_END_DECLS

#endif
