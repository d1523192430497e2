// What a worker says of a task that it has ended. All of it is hostile: a task can write anything there, at any time.
//
// So each word is read once, by an atomic load, and checked; the rest of the host knows the checked values alone.
#ifndef WP_HOST_REPLY_H
#define WP_HOST_REPLY_H

#include "wp_host_state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wp_reply {
  uint32_t code;
  /// Bytes of the result. Over the pool's limit they are not there.
  uint64_t length;
  bool is_there;
  /// Where in its buffer a result begins that is too long for the slot: as much as `length` follows, within the limit.
  size_t offset;
  /// Bytes of the buffer that may have been touched, those of the result among them; at most the limit.
  size_t touched;
  /// 0 where the times make no sense.
  uint64_t run_ns;
} wp_reply;

/// Reads a slot's reply. `limit` is the pool's for a payload.
wp_reply wp_reply_read(const wp_reply_slot *slot, size_t limit);
/// When the task in the slot began, as the worker says: any number.
static inline uint64_t wp_reply_claimed_start(const wp_reply_slot *slot) {
  return wp_atomic_load(&slot->started_ns, wp_relaxed);
}

#ifdef __cplusplus
}
#endif

#endif
