// What a process that somebody's fork has made does first: what is a whole process's begins anew in it.
#ifndef WP_AT_FORK_H
#define WP_AT_FORK_H

#include <pthread.h>
#include <stddef.h>

/// Has the function run in every child of a fork, which has one thread then. Before other constructors: one of them makes this
/// process a template (process/child/wp_process_reexec.c) and does not return.
#define WP_AT_FORK(function)                                            \
  __attribute__((constructor(101))) static void function##_at_fork(void) { \
    pthread_atfork(NULL, NULL, function);                               \
  }

#endif
