// The settings of a pool that its workers see: checked by the host, shared in the pool's head.
#ifndef WP_PROCESS_SETTINGS_CHECK_H
#define WP_PROCESS_SETTINGS_CHECK_H

#include "wp_process_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What can be said of limits, output and initializer without trying them.
wp_status wp_process_settings_check(const wp_process_pool_config *config, wp_error *error);
/// Puts what WP_OUTPUT_DEFAULT stands for.
void wp_process_settings_resolve(const wp_process_pool_config *config, wp_process_output output[WP_STREAM_COUNT]);
/// Writes the settings into a new pool's memory: its head, and where the initializer's argument belongs.
void wp_process_settings_share(wp_pool_head *head, void *argument, const wp_process_pool_config *config);

/// The smaller of two limits of which 0 is none.
static inline uint64_t wp_limit_of(uint64_t one, uint64_t other) {
  return one == 0 || (other != 0 && other < one) ? other : one;
}

#ifdef __cplusplus
}
#endif

#endif
