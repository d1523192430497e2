#include "wp_text.h"

#include "../platform/wp_file.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

wp_text wp_text_of(const char *string) {
  wp_text text = {string, string + strlen(string)};
  return text;
}

bool wp_text_equals(wp_text text, const char *string) {
  size_t length = strlen(string);
  return wp_text_length(text) == length && memcmp(text.next, string, length) == 0;
}

bool wp_text_has_part(wp_text text, char separator, const char *part) {
  while (!wp_text_is_empty(text)) {
    if (wp_text_equals(wp_text_take_until(&text, separator), part)) return true;
  }
  return false;
}

bool wp_text_take(wp_text *text, char byte) {
  if (wp_text_is_empty(*text) || *text->next != byte) return false;
  text->next++;
  return true;
}

wp_text wp_text_take_until(wp_text *text, char separator) {
  wp_text part = *text;
  const char *found = (const char *)memchr(text->next, separator, wp_text_length(*text));
  if (found == NULL) {
    text->next = text->end;
  } else {
    part.end = found;
    text->next = found + 1;
  }
  return part;
}

void wp_text_skip_blanks(wp_text *text) {
  while (wp_text_take(text, ' ') || wp_text_take(text, '\t') || wp_text_take(text, '\n')) {}
}

bool wp_text_take_number(wp_text *text, uint64_t limit, uint64_t *number) {
  uint64_t value = 0;
  const char *start = text->next;
  while (text->next != text->end && *text->next >= '0' && *text->next <= '9') {
    uint64_t digit = (uint64_t)(*text->next - '0');
    // Division first: the product may not fit.
    if (digit > limit || value > (limit - digit) / 10) return false;
    value = value * 10 + digit;
    text->next++;
  }
  *number = value;
  return text->next != start;
}

bool wp_text_read(wp_text *text, char *buffer, size_t capacity, const char *format, ...) {
  char path[PATH_MAX];
  va_list arguments;
  va_start(arguments, format);
  int path_length = vsnprintf(path, sizeof path, format, arguments);
  va_end(arguments);
  if (path_length < 0 || (size_t)path_length >= sizeof path) return false;
  long length = wp_file_read(path, buffer, capacity);
  if (length < 0) return false;
  text->next = buffer;
  text->end = buffer + length;
  return true;
}
