#include "wp_process_reply.h"

/// Of the running task, for whichever thread of it asks.
static wp_atomic_uptr current_reply;

void wp_reply_set_current(wp_process_reply *reply) { wp_atomic_store(&current_reply, (uintptr_t)reply, wp_release); }

void wp_reply_end_blocks(wp_process_reply *reply) {
  uint64_t blocks = wp_atomic_exchange(&reply->blocks, UINT64_MAX, wp_acq_rel);
  if (blocks == UINT64_MAX) return;
  reply->offset = (size_t)blocks;
  reply->touched = (size_t)blocks;
}

void *wp_process_reply_reserve(wp_process_reply *reply, size_t length) {
  wp_reply_end_blocks(reply);
  reply->length = length;
  if (length > reply->limit - reply->offset) {
    reply->length = length > SIZE_MAX - reply->offset ? SIZE_MAX : length + reply->offset;
    return NULL;
  }
  if (length <= WP_REPLY_INLINE) return reply->slot->bytes;
  size_t end = reply->offset + length;
  if (reply->room || end > reply->touched) reply->touched = end;
  return reply->buffer + reply->offset;
}

void *wp_process_reply_room(wp_process_reply *reply, size_t *capacity) {
  wp_reply_end_blocks(reply);
  *capacity = reply->limit - reply->offset;
  reply->touched = reply->limit;  // until the length is known
  reply->room = true;
  return reply->buffer + reply->offset;
}

void *wp_process_worker_block(size_t length, size_t *offset) {
  wp_process_reply *reply = (wp_process_reply *)wp_atomic_load(&current_reply, wp_acquire);
  if (reply == NULL || length > reply->limit) return NULL;
  size_t size = (length + WP_PROCESS_ALIGNMENT - 1) / WP_PROCESS_ALIGNMENT * WP_PROCESS_ALIGNMENT;
  uint64_t start = wp_atomic_load(&reply->blocks, wp_relaxed);
  do {
    if (start > reply->limit || size > reply->limit - start) return NULL;
  } while (!wp_atomic_cas_weak(&reply->blocks, &start, start + size, wp_relaxed, wp_relaxed));
  *offset = (size_t)start;
  return reply->buffer + start;
}

uint64_t wp_process_worker_task(void) {
  const wp_process_reply *reply = (const wp_process_reply *)wp_atomic_load(&current_reply, wp_acquire);
  return reply == NULL ? 0 : reply->task;
}

void wp_process_reply_set_code(wp_process_reply *reply, uint32_t code) { reply->code = code; }
