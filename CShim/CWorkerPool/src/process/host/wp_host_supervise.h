// The supervisor: when workers and templates that did not start, or did not last, are tried again, and when a pool gives up.
//
// The one rule: *in every phase every wanted worker has a next event with a time.*
//
//     state                         its next event                            by when
//     ABSENT, and a template        it is asked for, few at a time            starts.next_at
//     ABSENT, and none              a template starts                         forker.starts.next_at
//                                   that template says hello, or is ended     forker.deadline
//     SPAWNING, asked for           SPAWNED or SPAWN_FAILED                   report_by, and again
//     SPAWNING, has a process       it is ready, or is killed                 ready_by; an initializer takes its time
//     LIVE                          its end, which two witnesses see          -
//     ENDED                         it is cleared away                        the next round
//
// A failure is *transient* unless time cures nothing: a broken rule, or what the kernel forbids. It is tried again after a
// pause that doubles, with jitter, while other workers go on. The pauses begin anew once a worker was *of use*: it has ended a
// task, or lived for a while. One that dies of its first task is replaced as soon as it may: the death is the task's.
//
// The *outage* is the time without a worker since one was of use. The pool breaks when that is longer than its setting, at once
// if the failure is final, and never while a worker lives or is on its way. What is being made fails with its first start.
#ifndef WP_HOST_SUPERVISE_H
#define WP_HOST_SUPERVISE_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

// With the collector role, under the lock, but for the deadline.

/// The pool is about to be made.
void wp_supervise_init(wp_process_pool *pool, const wp_process_pool_config *config);
/// A worker has a process, which has to be ready in time.
void wp_supervise_begins(wp_process_pool *pool, uint32_t worker);
/// A worker is ready.
void wp_supervise_ready(wp_process_pool *pool, uint32_t worker);
/// A worker has ended and all its results are taken: when it is tried again, if it is wanted.
void wp_supervise_ended(wp_process_pool *pool, uint32_t worker);
/// The template's workers are gone with it; when another is tried.
void wp_supervise_template_lost(wp_process_pool *pool);
/// A template did not start.
void wp_supervise_template_failed(wp_process_pool *pool, const wp_error *error);
/// The template owes a report for too long.
void wp_supervise_template_silent(wp_process_pool *pool);
/// Does what is due: ends what is not ready in time, breaks what has no worker for too long.
void wp_supervise_advance(wp_process_pool *pool);
/// When that has to look again, UINT64_MAX for never. With the role alone.
uint64_t wp_supervise_deadline(const wp_process_pool *pool);
/// Without the lock: says what was noted.
void wp_supervise_give_notice(const wp_pending_notices *notices);

#ifdef __cplusplus
}
#endif

#endif
