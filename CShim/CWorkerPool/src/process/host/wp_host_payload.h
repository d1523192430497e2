// Arguments on their way into a worker's memory.
//
// A small one is copied while the lock is held. A large one is not: its buffer is reserved, the lock released, the bytes
// copied, and then it is seen whether everything still is as it was; so a task has a slot only once its argument is
// there, and what happens to it meanwhile (it is cancelled, its worker dies) needs no state of its own. Where the bytes
// are copied *from* is kept alive by `tasks.pinned`, since one thread at a time, the collector, copies what others may
// drop; a thread that submits copies from its caller's memory.
//
// All of this runs under the pool's lock.
#ifndef WP_HOST_PAYLOAD_H
#define WP_HOST_PAYLOAD_H

#include "wp_host_bell.h"
#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/// An argument: where its bytes are, and the buffer of the worker it is sent to, once it has one.
typedef struct wp_payload {
  const void *bytes;
  size_t length;
  uint8_t buffer;
  bool in_buffer;  // the bytes are in that buffer already
} wp_payload;

// An argument may also wait in a buffer: the one that it was copied to when its worker had no slot left for it, or that
// a worker which died has left it in. **What waits there keeps no worker idle**: one that has no free buffer for the first
// pending task is sent a task that waits in its own (`wp_payload_next`). Without such a task, the buffers that are not in
// its slots are being filled or read, and whoever does that calls the collector, or is it.

/// Has the pages of a buffer that was reserved reach so far. False without memory: an `errno` where copying would raise SIGBUS.
bool wp_payload_populate(wp_process_pool *pool, uint32_t worker, uint8_t buffer, size_t length);
/// Whether an argument is copied without the lock.
static inline bool wp_payload_is_large(size_t length) { return length > WP_COPY_UNLOCKED; }
/// Takes a buffer of the worker for an argument of this length, WP_NO_BUFFER for one that needs none. False when all are in
/// use, which passes.
bool wp_payload_reserve(wp_process_pool *pool, uint32_t worker, size_t length, uint8_t *buffer);
/// The argument of a task that is about to be PENDING waits in this buffer.
void wp_payload_wait(wp_process_pool *pool, uint32_t task, uint32_t worker, uint8_t buffer, size_t length);
/// A PENDING task whose argument waits in the buffer of a worker leaves both to the caller.
void wp_payload_end_wait(wp_process_pool *pool, uint32_t task);
/// The pending task that the worker can be sent now: the first, if there is a buffer for it; else one whose argument waits in a
/// buffer of the worker. WP_NO_TASK when all buffers are in use in other ways, which passes. O(buffers)
uint32_t wp_payload_next(const wp_process_pool *pool, uint32_t worker);
/// Where the argument of a PENDING task stands.
wp_payload wp_payload_of_pending(const wp_process_pool *pool, const wp_task *task);
/// Where the argument of a task in a slot stands.
wp_payload wp_payload_of_sent(const wp_process_pool *pool, uint32_t worker, uint32_t position);
/// A PENDING task lets go of its argument.
void wp_payload_drop(wp_process_pool *pool, uint32_t task);
/// Copies a large argument into the reserved buffer without the lock. False without memory for it there.
bool wp_payload_copy(wp_process_pool *pool, uint32_t worker, const wp_payload *payload, uint8_t buffer, wp_wakes *wakes);
/// Whether the worker is still the one for which a buffer was filled, and has a free slot.
bool wp_payload_arrives(const wp_process_pool *pool, uint32_t worker, uint32_t generation);

#ifdef __cplusplus
}
#endif

#endif
