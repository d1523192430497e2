// Data that processes share: memory that the host gives to its workers, and results that the host reads where the
// worker left them.
//
// Thread-safety: host functions may be called from any thread, none from a signal handler.
#ifndef WP_PROCESS_DATA_H
#define WP_PROCESS_DATA_H

#include "wp_memory.h"

WP_BEGIN_DECLS
WP_NONNULL_BEGIN

/// Shared memories that one task may carry.
#define WP_PROCESS_MAX_SHARED 64u
/// Results of one worker that may be lent at a time.
#define WP_PROCESS_MAX_LOANS 8u
/// Alignment of shared memories and of blocks.
#define WP_PROCESS_ALIGNMENT 128u

// MARK: Shared memory, in the host

/// Memory that the host and the workers it is given to have in common. It has no name; its size is fixed.
typedef struct wp_shared_memory wp_shared_memory;

/// Makes a shared memory of `length` bytes, at least 1, all zero. With `workers_write` false no worker can write to it
/// or map it anew for writing (F_SEAL_FUTURE_WRITE): the kernel sees to that. Costs one descriptor.
///
/// `placement` is as for `wp_memory_create`, NULL for first touch, and holds for pages that workers touch first, too.
/// Where shared memory comes in huge pages unasked (shmem_enabled), a worker's can be: one that is interleaved then lies
/// on one node.
///
/// Errors: `WP_SYSTEM_CALL_FAILED`, and `WP_INVALID_ARGUMENT` as in `wp_memory_create` and for a `length` of 0.
wp_status wp_shared_memory_create(size_t length, bool workers_write, const wp_memory_placement *WP_NULLABLE placement,
                                  wp_shared_memory *WP_NULLABLE *WP_NONNULL memory, int *WP_NULLABLE refused_node,
                                  wp_error *WP_NULLABLE error);
/// Page aligned.
void *wp_shared_memory_address(const wp_shared_memory *memory);
/// What workers know it by: unique in this process, never 0.
uint64_t wp_shared_memory_id(const wp_shared_memory *memory);
/// Ends the memory, here and in all workers that have it. No task that carries it may be left (see
/// `wp_process_submission.shared`). O(workers of all pools) if it was ever given to one.
void wp_shared_memory_destroy(wp_shared_memory *memory);

// MARK: Shared memory, in the worker

/// A shared memory as mapped by this worker. Counted: stays mapped as long as somebody holds it, also when the host has
/// ended it.
typedef struct wp_shared_view wp_shared_view;

/// The memory with this id, retained. NULL when no task brought it here; `*system_errno` then says why, 0 when the host
/// never sent it. In workers only; from any thread.
wp_shared_view *WP_NULLABLE wp_process_worker_view(uint64_t id, int32_t *system_errno);
void *wp_shared_view_address(const wp_shared_view *view);
size_t wp_shared_view_length(const wp_shared_view *view);
bool wp_shared_view_is_writable(const wp_shared_view *view);
void wp_shared_view_release(wp_shared_view *view);

// MARK: Blocks: parts of a result that the host reads in place

/// Reserves `length` bytes in the result buffer of the task that runs now, aligned to `WP_PROCESS_ALIGNMENT`; `*offset` is
/// what the host finds them by. What stands there is left from earlier tasks of this worker. NULL when the task
/// has no room for it, or outside of a task. In workers only; from any thread until the handler reserves its reply.
void *WP_NULLABLE wp_process_worker_block(size_t length, size_t *offset);
/// Tells one task of this worker from another; 0 outside of a task.
uint64_t wp_process_worker_task(void);

// MARK: Loans: results that outlive their callback

typedef struct wp_process_pool wp_process_pool;
typedef struct wp_task_outcome wp_task_outcome;
/// A result buffer that the pool does not use again until it is given back. It outlives the pool.
typedef struct wp_process_loan wp_process_loan;

/// Inside `completed` only: keeps what `outcome->buffer` points to where it is. NULL when the worker's
/// `WP_PROCESS_MAX_LOANS` are all lent, or without memory: then it has to be copied before the callback returns.
wp_process_loan *WP_NULLABLE wp_process_pool_lend(const wp_task_outcome *outcome);
void wp_process_loan_release(wp_process_loan *loan);

WP_NONNULL_END
WP_END_DECLS

#endif
