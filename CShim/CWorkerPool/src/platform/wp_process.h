// System calls about processes: pidfds, descriptors, trees.
//
// Functions marked [fork] may be called between `fork` and the worker loop: they use nothing that another thread
// of the forking process could have left locked.
#ifndef WP_PROCESS_H
#define WP_PROCESS_H

#include "wp_name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Descriptors

/// Moves a close-on-exec descriptor out of 0...2, where a program with closed standard streams would get it, and
/// would print into it. Returns the descriptor to use, -1 with `errno` set (the given one is closed then). [fork]
int wp_above_stdio(int descriptor);
/// Lets standard input read nothing, so that a child cannot take the host's. Best effort. [fork]
void wp_detach_stdin(void);

// MARK: Processes

/// -1 with `errno` set ("pidfd_open"). [fork]
int wp_pidfd_open(pid_t process);
/// 0, or an error number: ESRCH when the process has ended and was reaped.
int wp_pidfd_kill(int pidfd, int signal_number);
/// Waits until the process has ended, at most `timeout_ms` (-1: for ever). [fork]
bool wp_pidfd_wait(int pidfd, int timeout_ms);
/// Removes a child that `wp_pidfd_wait` saw end from the process table. A host that ignores SIGCHLD or waits for any
/// child may have been first: that is no error.
void wp_pidfd_reap(int pidfd);

/// Kills a child that has no pidfd yet, and waits for it.
void wp_child_end(pid_t child);

/// Threads of this process, 0 when /proc does not tell.
size_t wp_process_thread_count(void);
/// A thread of this process that is not the caller: its number, and its name. 0 when there is none, or /proc does not tell.
pid_t wp_process_other_thread(char name[WP_NAME_BYTES]);
/// Waits until a thread that is about to end has left the process's list of threads.
void wp_thread_await_exit(pid_t thread);
pid_t wp_thread_id(void);

/// Whether this program has more rights than its user (set-user-id and the like).
bool wp_process_is_privileged(void);

// MARK: Trees of processes

/// Makes the process, or 0 for this one, the first of a group of its own. Best effort: fails for one that is that already, or
/// runs another program. [fork]
void wp_process_group_begin(pid_t process);
/// Kills the group that this process began. It must be our child, and not be reaped: the number could be another's. [fork]
void wp_process_group_kill(pid_t leader);
/// Kills the group that the process of a pidfd began, unless that cannot be told from another any more.
void wp_pidfd_kill_group(int pidfd, pid_t leader);
/// Removes the process of a pidfd, which has ended, from the process table, and what is left of the group that it began, if
/// they have become our children: of a program that adopts orphans, as the first process of a container does. Waits for at
/// most a second, for what was killed.
void wp_pidfd_reap_group(int pidfd, pid_t leader);
/// Stops the group that this child began, or continues it. One that ignores SIGTSTP stops if it is the first. [fork]
void wp_process_group_stop(pid_t leader);
void wp_process_group_continue(pid_t leader);
/// The letter for a process's state, as 'T' for stopped; 0 when /proc does not tell. [fork]
char wp_process_state(pid_t process);
/// Becomes the parent of those whose parents end, among this process's descendants. [fork]
void wp_adopt_orphans(void);
/// A child that has ended and is not reaped, 0 when there is none. [fork]
pid_t wp_child_ended(void);
/// Kills all children, and those that become children by that, for at most a second. Needs /proc to name them. [fork]
void wp_children_end(void);

// MARK: What a child sets up for itself

/// Ends this process when its parent does, unless `parent` is gone already: then false. [fork]
bool wp_die_with_parent(pid_t parent);
/// Makes this process a likelier victim than its host when memory runs out, if it is not likely already. Best effort. [fork]
void wp_raise_oom_score(void);
/// 0, or -1 with `errno` set ("sched_setaffinity"). [fork]
int wp_pin_to_cpu(int cpu);

#ifdef __cplusplus
}
#endif

#endif
