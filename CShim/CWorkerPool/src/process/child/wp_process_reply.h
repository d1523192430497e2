// A task's reply while its handler writes it: blocks, then the result.
#ifndef WP_PROCESS_REPLY_H
#define WP_PROCESS_REPLY_H

#include "../shared/wp_process_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The result buffer of a task, from its start: blocks, then the result if it is too long for its slot.
struct wp_process_reply {
  wp_reply_slot *slot;
  unsigned char *buffer;
  size_t limit;
  size_t length;
  size_t touched;
  /// Bytes taken by blocks; SIZE_MAX when there can be no more of them.
  wp_atomic_u64 blocks;
  /// Where a result in the buffer begins.
  size_t offset;
  /// Whether a caller writes there without having said how much.
  bool room;
  uint64_t task;
  uint32_t code;
};

/// The reply of the running task, NULL when none runs.
void wp_reply_set_current(wp_process_reply *reply);
/// Ends the time of blocks: what follows them is the result's.
void wp_reply_end_blocks(wp_process_reply *reply);

#ifdef __cplusplus
}
#endif

#endif
