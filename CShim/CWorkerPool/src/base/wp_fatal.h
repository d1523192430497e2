// The end of the process for a programmer's error that nothing else could follow.
#ifndef WP_FATAL_H
#define WP_FATAL_H

#ifdef __cplusplus
extern "C" {
#endif

/// Writes "swift-worker-pool: message" to stderr and aborts.
__attribute__((noreturn, cold)) void wp_fatal(const char *message);

#ifdef __cplusplus
}
#endif

#endif
