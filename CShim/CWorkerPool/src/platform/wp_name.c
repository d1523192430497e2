#include "wp_name.h"

#include <string.h>
#include <sys/prctl.h>

void wp_name_format(char name[WP_NAME_BYTES], const char *prefix, const char *suffix) {
  size_t tail = strnlen(suffix, WP_NAME_BYTES - 2);
  size_t room = WP_NAME_BYTES - 1 - tail;
  size_t head = strnlen(prefix, room + 1);
  if (head > room) {
    head = room;
    // A continuation byte (10xxxxxx) at the cut belongs to a character that began before it.
    while (head > 0 && ((unsigned char)prefix[head] & 0xc0u) == 0x80u) head--;
  }
  memcpy(name, prefix, head);
  memcpy(name + head, suffix, tail);
  name[head + tail] = '\0';
}

void wp_name_number(char suffix[WP_NAME_BYTES], uint32_t number) {
  char digits[10];
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  suffix[0] = '-';
  for (size_t i = 0; i < count; i++) suffix[1 + i] = digits[count - 1 - i];
  suffix[1 + count] = '\0';
}

void wp_name_self(const char *name) { prctl(PR_SET_NAME, name); }
