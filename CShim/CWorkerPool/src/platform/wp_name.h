// What `ps` shows a thread or process as: 15 bytes on Linux. Everything here is async-signal-safe.
#ifndef WP_NAME_H
#define WP_NAME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WP_NAME_BYTES 16

/// `prefix` + `suffix`: the prefix is cut where it must, the suffix (at most 14 bytes) never, and neither inside a UTF-8
/// sequence.
void wp_name_format(char name[WP_NAME_BYTES], const char *prefix, const char *suffix);
/// "-3" for 3.
void wp_name_number(char suffix[WP_NAME_BYTES], uint32_t number);
/// Names the calling thread, and with it the process when it is the main thread.
void wp_name_self(const char *name);

#ifdef __cplusplus
}
#endif

#endif
