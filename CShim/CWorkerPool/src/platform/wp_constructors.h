// Doing something between the last constructor and `main`.
//
// The loader, or in a static program the C library, calls the entries of an object's array one after the other
// (DT_INIT_ARRAY), those of libraries before those of what uses them, and then `main`. A constructor has no say in when it is
// called: which of them are behind it depends on the order in which files were linked.
#ifndef WP_CONSTRUCTORS_H
#define WP_CONSTRUCTORS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/// As the loader calls it.
typedef void wp_constructor(int count, char **arguments, char **environment);

/// Called by the constructor `self`, with its arguments: calls `last`, which does not return, when all constructors have been
/// called that there are before `main`; or, in an object that is loaded later, all that there are before dlopen returns.
///
/// Where `self` is in the program itself, or in the object that was asked for, this calls the others and does not return.
/// Elsewhere it returns, since others are to be called by the loader, and `last` is called behind the last of them. False with
/// `errno` set when that cannot be arranged ("mprotect").
bool wp_after_constructors(wp_constructor *self, int count, char **arguments, char **environment, wp_constructor *last);

#ifdef __cplusplus
}
#endif

#endif
