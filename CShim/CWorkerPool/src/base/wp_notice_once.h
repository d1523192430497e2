// Saying a notice (wp_notice.h): each kind once in a process, however many threads find it out at the same time.
#ifndef WP_NOTICE_ONCE_H
#define WP_NOTICE_ONCE_H

#include "wp_notice.h"

WP_BEGIN_DECLS

/// Says that something could not be done, unless its kind was said before: then it costs one load. `format` makes a
/// sentence without a full stop; the text of `system_errno` follows it, if that is not 0. Allocates nothing. Any thread,
/// also after a fork; not in a signal handler. Keeps `errno`.
__attribute__((format(printf, 3, 4))) void wp_notice_once(wp_notice_kind kind, int system_errno, const char *format,
                                                          ...);

WP_END_DECLS

#endif
