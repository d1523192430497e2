#include "wp_host_payload.h"

#include "../../platform/wp_shared_memory.h"
#include "wp_host_buffers.h"

#include <string.h>

bool wp_payload_reserve(wp_process_pool *pool, uint32_t worker, size_t length, uint8_t *buffer) {
  *buffer = WP_NO_BUFFER;
  if (length <= WP_REQUEST_INLINE) return true;
  *buffer = wp_buffer_take(&pool->workers[worker].arguments);
  return *buffer != WP_NO_BUFFER;
}

void wp_payload_wait(wp_process_pool *pool, uint32_t index, uint32_t worker, uint8_t buffer, size_t length) {
  wp_task *task = &pool->tasks.nodes[index];
  task->buffer = buffer;
  task->worker = worker;
  task->length = length;
  pool->workers[worker].waiting[buffer] = index;
}

void wp_payload_end_wait(wp_process_pool *pool, uint32_t index) {
  wp_task *task = &pool->tasks.nodes[index];
  WP_ASSERT(pool->workers[task->worker].waiting[task->buffer] == index);
  pool->workers[task->worker].waiting[task->buffer] = WP_NO_TASK;
  task->buffer = WP_NO_BUFFER;
  task->length = 0;
}

uint32_t wp_payload_next(const wp_process_pool *pool, uint32_t index) {
  const wp_host_worker *worker = &pool->workers[index];
  const wp_task *first = &pool->tasks.nodes[pool->tasks.pending.first];
  bool is_there = first->buffer != WP_NO_BUFFER && first->worker == index;
  if (is_there || first->length <= WP_REQUEST_INLINE || wp_buffer_is_free(&worker->arguments)) {
    return pool->tasks.pending.first;
  }
  for (uint32_t i = 0; i < worker->arguments.count; i++) {
    if (worker->waiting[i] != WP_NO_TASK) return worker->waiting[i];
  }
  WP_ASSERT(worker->published - worker->collected < worker->arguments.count);
  return WP_NO_TASK;
}

wp_payload wp_payload_of_pending(const wp_process_pool *pool, const wp_task *task) {
  wp_payload payload = {NULL, task->length, task->buffer, false};
  payload.bytes = task->buffer == WP_NO_BUFFER
                      ? wp_task_bytes(task)
                      : wp_channel_arguments(&pool->workers[task->worker].channel, &pool->geometry, task->buffer);
  return payload;
}

wp_payload wp_payload_of_sent(const wp_process_pool *pool, uint32_t index, uint32_t position) {
  const wp_host_worker *worker = &pool->workers[index];
  // The host wrote this request and no worker can: it is still what the host knows it to be.
  const wp_request_slot *request = wp_channel_request(&worker->channel, &pool->geometry, position);
  wp_payload payload = {request->bytes, (size_t)request->length, request->argument_buffer, false};
  if (request->length > WP_REQUEST_INLINE) {
    payload.bytes = wp_channel_arguments(&worker->channel, &pool->geometry, request->argument_buffer);
  }
  return payload;
}

void wp_payload_drop(wp_process_pool *pool, uint32_t index) {
  wp_task *task = &pool->tasks.nodes[index];
  if (task->buffer != WP_NO_BUFFER) {
    wp_payload payload = wp_payload_of_pending(pool, task);
    wp_payload_end_wait(pool, index);
    if (payload.bytes == pool->tasks.pinned) pool->tasks.pinned = NULL;
    else wp_buffer_free(&pool->workers[task->worker].arguments, payload.buffer);
  }
  wp_task_drop_bytes(&pool->tasks, task);
}

bool wp_payload_populate(wp_process_pool *pool, uint32_t worker, uint8_t buffer, size_t length) {
  if (buffer == WP_NO_BUFFER) return true;
  size_t *populated = &pool->workers[worker].populated[buffer];
  if (length <= *populated) return true;
  unsigned char *start = (unsigned char *)wp_channel_arguments(&pool->workers[worker].channel, &pool->geometry, buffer);
  size_t page = wp_page_size();
  size_t end = (length + page - 1) / page * page;
  if (wp_memory_populate(start + *populated, end - *populated) != 0) return false;
  *populated = end;
  return true;
}

bool wp_payload_copy(wp_process_pool *pool, uint32_t worker, const wp_payload *payload, uint8_t buffer,
                     wp_wakes *wakes) {
  void *target = wp_channel_arguments(&pool->workers[worker].channel, &pool->geometry, buffer);
  pthread_mutex_unlock(&pool->lock);
  wp_bell_wake_all(wakes);
  bool populated = wp_payload_populate(pool, worker, buffer, payload->length);
  if (populated) memcpy(target, payload->bytes, payload->length);
  pthread_mutex_lock(&pool->lock);
  return populated;
}

bool wp_payload_arrives(const wp_process_pool *pool, uint32_t index, uint32_t generation) {
  const wp_host_worker *worker = &pool->workers[index];
  return worker->bucket != WP_NO_WORKER && worker->generation == generation &&
         worker->published - worker->collected < pool->geometry.prefetch;
}
