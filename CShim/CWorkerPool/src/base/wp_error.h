// Filling in a caller's wp_error.
#ifndef WP_ERROR_H
#define WP_ERROR_H

#include "wp_base.h"

WP_BEGIN_DECLS

/// Records a failure (if `error` is not NULL) and returns its status.
wp_status wp_fail(wp_error *error, wp_status status, int system_errno, const char *call, const char *rule);

WP_END_DECLS

#endif
