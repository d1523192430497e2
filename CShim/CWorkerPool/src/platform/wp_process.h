// System calls about processes: pidfds, descriptors, signals, names, re-execution.
//
// Functions marked [fork] may be called between `fork` and the worker loop: they use nothing that another thread
// of the forking process could have left locked.
#ifndef WP_PROCESS_H
#define WP_PROCESS_H

#include <signal.h>
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
/// Closes everything from 3 up except the `count` descriptors in `keep`, which are sorted in place. [fork]
void wp_close_all_except(int *keep, size_t count);
/// Lets standard input read nothing, so that a child cannot take the host's. Best effort. [fork]
void wp_detach_stdin(void);

// MARK: Processes

/// -1 with `errno` set ("pidfd_open"). [fork]
int wp_pidfd_open(pid_t process);
void wp_pidfd_kill(int pidfd, int signal_number);
/// Waits until the process has ended, at most `timeout_ms` (-1: for ever). [fork]
bool wp_pidfd_wait(int pidfd, int timeout_ms);
/// Removes a child that `wp_pidfd_wait` saw end from the process table. A host that ignores SIGCHLD or waits for any
/// child may have been first: that is no error.
void wp_pidfd_reap(int pidfd);

/// Kills a child that has no pidfd yet, and waits for it.
void wp_child_end(pid_t child);

/// Threads of this process, 0 when /proc does not tell.
size_t wp_process_thread_count(void);
/// Waits until a thread that is about to end has left the process's list of threads.
void wp_thread_await_exit(pid_t thread);
pid_t wp_thread_id(void);

/// Starts this program anew with `assignment` ("NAME=value") added to its environment, the same arguments, and
/// `descriptor` as its descriptor 3. Signals stay blocked in it. Returns 0 or an error number; `*call` names the call.
int wp_process_respawn_self(const char *assignment, int descriptor, pid_t *process, const char **call);
/// Whether this program has more rights than its user (set-user-id and the like).
bool wp_process_is_privileged(void);

// MARK: What a child sets up for itself

/// Ends this process when its parent does, unless `parent` is gone already: then false. [fork]
bool wp_die_with_parent(pid_t parent);
/// Names the calling thread (and with it the process, when it is the main thread) `prefix` + `suffix`. Linux keeps
/// 15 bytes: the prefix is cut, never the suffix, and never inside a UTF-8 sequence. [fork]
void wp_name_self(const char *prefix, const char *suffix);
/// `-<number>` into `suffix`. [fork]
void wp_number_suffix(char suffix[16], uint32_t number);
/// Makes this process a likelier victim than its host when memory runs out. Best effort. [fork]
void wp_raise_oom_score(void);
/// 0, or -1 with `errno` set ("sched_setaffinity"). [fork]
int wp_pin_to_cpu(int cpu);

// MARK: Signals

/// Blocks every signal in the calling thread; `*previous` receives the old mask.
void wp_signals_block(sigset_t *previous);
/// Blocks every signal but those a thread raises by its own fault.
void wp_signals_block_asynchronous(void);
void wp_signals_restore(const sigset_t *mask);
/// Descriptor that becomes readable on SIGCHLD, which must be blocked. -1 with `errno` set ("signalfd"). [fork]
int wp_sigchld_open(void);
void wp_sigchld_clear(int descriptor);
/// A worker's dispositions: handlers inherited from the host (a backtracer, a graceful shutdown) are gone, SIGINT is
/// ignored because a Ctrl-C is the host's to answer, what the host ignored (nohup) stays ignored unless it reports a
/// fault. Then unblocks everything. [fork]
void wp_signals_reset_for_worker(void);

#ifdef __cplusplus
}
#endif

#endif
