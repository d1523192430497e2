// Where closures of another language enter and leave fork-join; see wp_fork_join.h.
#include "wp_fork_join.h"

// Defined by the Swift layer, as a function that takes a closure. Weak: a C program does without.
extern void wp_swift_call(void *first, void *second, size_t begin, size_t end) __attribute__((weak));

wp_borrowed wp_borrow_closure(void *first, void *second) {
  wp_borrowed borrowed;
  borrowed.first = first;
  borrowed.second = second;
  return borrowed;
}

wp_borrowed_call wp_closure_call(void) { return wp_swift_call; }
