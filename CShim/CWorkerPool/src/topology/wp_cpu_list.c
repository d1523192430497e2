#include "wp_cpu_list.h"

#include <string.h>

/// Bits `from` to 63 of a word.
static uint64_t wp_bits_from(size_t from) { return ~(uint64_t)0 << from; }

/// Whole words at a time: a hostile file may repeat "0-32767" thousands of times.
static void wp_cpu_set_add_range(wp_cpu_set *set, size_t first, size_t last) {
  for (size_t word = first / 64; word <= last / 64; word++) {
    uint64_t bits = ~(uint64_t)0;
    if (word == first / 64) bits &= wp_bits_from(first % 64);
    if (word == last / 64) bits &= ~(uint64_t)0 >> (63 - last % 64);
    set->words[word] |= bits;
  }
}

bool wp_cpu_list_parse(wp_text text, wp_cpu_set *set) {
  memset(set, 0, sizeof *set);
  wp_text_skip_blanks(&text);
  if (wp_text_is_empty(text)) return true;
  do {
    uint64_t first, last;
    if (!wp_text_take_number(&text, WP_CPU_LIMIT - 1, &first)) return false;
    last = first;
    if (wp_text_take(&text, '-') && !wp_text_take_number(&text, WP_CPU_LIMIT - 1, &last)) return false;
    if (last < first) return false;
    wp_cpu_set_add_range(set, (size_t)first, (size_t)last);
  } while (wp_text_take(&text, ','));
  wp_text_skip_blanks(&text);
  return wp_text_is_empty(text);
}

void wp_cpu_set_add(wp_cpu_set *set, size_t number) { set->words[number / 64] |= (uint64_t)1 << (number % 64); }

void wp_cpu_set_intersect(wp_cpu_set *set, const wp_cpu_set *other) {
  for (size_t word = 0; word < WP_CPU_SET_WORDS; word++) set->words[word] &= other->words[word];
}

void wp_cpu_set_subtract(wp_cpu_set *set, const wp_cpu_set *other) {
  for (size_t word = 0; word < WP_CPU_SET_WORDS; word++) set->words[word] &= ~other->words[word];
}

bool wp_cpu_set_contains(const wp_cpu_set *set, size_t number) {
  return number < WP_CPU_LIMIT && (set->words[number / 64] >> (number % 64) & 1) != 0;
}

size_t wp_cpu_set_count(const wp_cpu_set *set) { return wp_cpu_set_count_below(set, WP_CPU_LIMIT); }

size_t wp_cpu_set_count_below(const wp_cpu_set *set, size_t number) {
  size_t count = 0;
  for (size_t word = 0; word < number / 64; word++) count += (size_t)__builtin_popcountll(set->words[word]);
  if (number % 64 != 0) {
    count += (size_t)__builtin_popcountll(set->words[number / 64] & ~wp_bits_from(number % 64));
  }
  return count;
}

size_t wp_cpu_set_next(const wp_cpu_set *set, size_t from) {
  if (from >= WP_CPU_LIMIT) return WP_CPU_LIMIT;
  uint64_t bits = set->words[from / 64] & wp_bits_from(from % 64);
  for (size_t word = from / 64;; bits = set->words[word]) {
    if (bits != 0) return word * 64 + (size_t)__builtin_ctzll(bits);
    if (++word == WP_CPU_SET_WORDS) return WP_CPU_LIMIT;
  }
}
