// Who a process is to the kernel: users and groups. [fork]: may be called between `fork` and the worker loop.
#ifndef WP_CREDENTIALS_H
#define WP_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WP_MAX_GROUPS 32u

typedef struct wp_credentials {
  /// Real, effective and saved.
  uint32_t users[3];
  uint32_t groups[3];
  /// Of the supplementary ones; more than WP_MAX_GROUPS when there are too many to be told.
  uint32_t other_count;
  uint32_t others[WP_MAX_GROUPS];
} wp_credentials;

/// Those of the calling thread, and of all others unless a program changes them behind the C library's back.
void wp_credentials_read(wp_credentials *credentials);
bool wp_credentials_equal(const wp_credentials *first, const wp_credentials *second);
/// Becomes these, for good if they have fewer rights. False with `errno` set ("setresuid"). [fork]
bool wp_credentials_take(const wp_credentials *credentials);

#ifdef __cplusplus
}
#endif

#endif
