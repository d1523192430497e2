// A stretch of text that is being read from the front. It is not NUL-terminated and may hold any byte: nothing here
// trusts what stands in a file.
#ifndef WP_TEXT_H
#define WP_TEXT_H

#include "wp_base.h"

WP_BEGIN_DECLS

typedef struct wp_text {
  const char *next;
  const char *end;
} wp_text;

/// A view of a C string.
wp_text wp_text_of(const char *string);

static inline bool wp_text_is_empty(wp_text text) { return text.next == text.end; }
static inline size_t wp_text_length(wp_text text) { return (size_t)(text.end - text.next); }

/// Whether the text is exactly `string`.
bool wp_text_equals(wp_text text, const char *string);
/// Whether `separator` cuts out a part that is exactly `part` ("rw,cpu,cpuacct" holds "cpu").
bool wp_text_has_part(wp_text text, char separator, const char *part);

/// Takes `byte` off the front; false, taking nothing, when something else stands there.
bool wp_text_take(wp_text *text, char byte);
/// Takes everything before the first `separator`, and the separator; without one, everything.
wp_text wp_text_take_until(wp_text *text, char separator);
/// Takes spaces, tabs and newlines off the front.
void wp_text_skip_blanks(wp_text *text);
/// Takes a decimal number; false when there is no digit or the number exceeds `limit`.
bool wp_text_take_number(wp_text *text, uint64_t limit, uint64_t *number);

/// Reads the file that `format` names into `buffer` as text. False for any reason not to: missing, unreadable,
/// larger than `capacity`, path too long.
bool wp_text_read(wp_text *text, char *buffer, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

WP_END_DECLS

#endif
