#include "wp_host_reply.h"

wp_reply wp_reply_read(const wp_reply_slot *slot, size_t limit) {
  uint64_t offset = wp_atomic_load(&slot->offset, wp_relaxed);
  uint64_t touched = wp_atomic_load(&slot->touched, wp_relaxed);
  uint64_t started = wp_reply_claimed_start(slot);
  uint64_t ended = wp_atomic_load(&slot->ended_ns, wp_relaxed);
  wp_reply reply;
  reply.code = wp_atomic_load(&slot->code, wp_relaxed);
  reply.length = wp_atomic_load(&slot->length, wp_relaxed);
  reply.is_there = reply.length <= limit;
  reply.run_ns = ended > started ? ended - started : 0;
  reply.offset = 0;
  reply.touched = touched < limit ? (size_t)touched : limit;
  if (!reply.is_there || reply.length <= WP_REPLY_INLINE) return reply;
  if (offset <= limit - reply.length) reply.offset = (size_t)offset;
  size_t end = reply.offset + (size_t)reply.length;
  if (reply.touched < end) reply.touched = end;  // whatever it says: the buffer is in use
  return reply;
}
