// Living: a worker's thread from its first instruction to its last.
#ifndef WP_LIVE_H
#define WP_LIVE_H

#ifdef __cplusplus
extern "C" {
#endif

/// Body of a worker's thread; the argument is its wp_worker.
void *wp_worker_main(void *worker);

#ifdef __cplusplus
}
#endif

#endif
