#include "wp_host_buffers.h"

#include "../../platform/wp_shared_memory.h"

bool wp_buffer_is_free(const wp_buffers *buffers) {
  return ~buffers->busy != 0 && (uint32_t)__builtin_ctzll(~buffers->busy) < buffers->count;
}

uint8_t wp_buffer_take(wp_buffers *buffers) {
  if (!wp_buffer_is_free(buffers)) return WP_NO_BUFFER;
  uint32_t buffer = (uint32_t)__builtin_ctzll(~buffers->busy);
  buffers->busy |= (uint64_t)1 << buffer;
  buffers->warm |= (uint64_t)1 << buffer;
  return (uint8_t)buffer;
}

void wp_buffer_free(wp_buffers *buffers, uint8_t buffer) {
  if (buffer == WP_NO_BUFFER) return;
  WP_ASSERT((buffers->busy >> buffer & 1) == 1);
  buffers->busy &= ~((uint64_t)1 << buffer);
}

// MARK: Pages

static void give_back(void *buffer, size_t length) {
  size_t page = wp_page_size();
  if (length > 0) wp_memory_give_back(buffer, (length + page - 1) / page * page);
}

void wp_buffer_trim(void *buffer, size_t touched) {
  if (touched > WP_KEEP_WARM) give_back((unsigned char *)buffer + WP_KEEP_WARM, touched - WP_KEEP_WARM);
}

void wp_buffers_give_back(const wp_process_pool *pool, uint32_t worker, uint64_t buffers, wp_buffer_at *at) {
  for (; buffers != 0; buffers &= buffers - 1) {
    uint32_t buffer = (uint32_t)__builtin_ctzll(buffers);
    give_back(at(&pool->workers[worker].channel, &pool->geometry, buffer), pool->geometry.buffer_size);
    if (at == wp_channel_arguments) pool->workers[worker].populated[buffer] = 0;
  }
}

uint64_t wp_buffers_take_warm(wp_buffers *buffers, uint64_t wanted) {
  uint64_t taken = buffers->warm & ~buffers->busy & wanted;
  buffers->warm &= ~taken;
  return taken;
}

void wp_buffers_clear(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  wp_buffers_give_back(pool, index, wp_buffers_take_warm(&worker->arguments, UINT64_MAX), wp_channel_arguments);
  wp_buffers_give_back(pool, index, wp_buffers_take_warm(&worker->results, UINT64_MAX), wp_channel_results);
}

bool wp_buffers_keep_lent(const wp_process_pool *pool) {
  if (pool->users.loans == 0) return false;
  for (uint32_t i = 0; i < pool->size.mapped; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    wp_buffers_give_back(pool, i, worker->arguments.warm, wp_channel_arguments);
    wp_buffers_give_back(pool, i, worker->results.warm & ~worker->results.busy, wp_channel_results);
  }
  return true;
}
