#include "wp_process_layout.h"

#include "../../platform/wp_shared_memory.h"

#include <string.h>

static size_t round_up(size_t size, size_t to) { return (size + to - 1) / to * to; }

static size_t names_offset(void) { return round_up(sizeof(wp_pool_head), wp_page_size()); }
static size_t name_bytes_offset(void) {
  return names_offset() + round_up(WP_PROCESS_MAX_NAMES * sizeof(wp_name_entry), wp_page_size());
}

size_t wp_pool_part_size(void) { return name_bytes_offset() + round_up(WP_PROCESS_NAME_BYTES, wp_page_size()); }

// MARK: Reserve

static uint32_t slots_of(uint32_t prefetch) {
  uint32_t slots = 1;
  while (slots < prefetch) slots *= 2;
  return slots;
}

wp_reserve wp_reserve_most(uint32_t prefetch) {
  return (wp_reserve){prefetch, 2 * slots_of(prefetch), WP_PROCESS_MAX_LOANS};
}

bool wp_reserve_less(wp_reserve *reserve, bool keeps_prefetch) {
  uint32_t slots = slots_of(reserve->prefetch);
  if (!keeps_prefetch && slots > 2) {
    reserve->prefetch = slots / 2;
    reserve->argument_buffers = slots;
  } else if (reserve->loans > 0) {
    reserve->loans /= 2;
  } else if (reserve->argument_buffers > slots) {
    reserve->argument_buffers = slots;
  } else if (!keeps_prefetch && slots > 1) {
    reserve->prefetch = reserve->argument_buffers = 1;
  } else {
    return false;
  }
  return true;
}

// MARK: Geometry

wp_geometry wp_geometry_of(uint32_t capacity, const wp_reserve *reserve, size_t max_payload) {
  size_t page = wp_page_size();
  wp_geometry geometry;
  memset(&geometry, 0, sizeof geometry);
  geometry.capacity = capacity;
  geometry.reserve = *reserve;
  geometry.prefetch = reserve->prefetch;
  geometry.slots = slots_of(reserve->prefetch);
  geometry.max_payload = max_payload;
  geometry.buffer_size = round_up(max_payload, page);
  geometry.argument_buffers = reserve->argument_buffers;
  geometry.result_buffers = 2 * geometry.slots + reserve->loans;
  geometry.cells = WP_CELLS_PER_SLOT * geometry.slots;
  geometry.host_part = round_up(sizeof(wp_channel_head) +
                                    geometry.slots * (sizeof(wp_request_slot) + sizeof(wp_task_options)) +
                                    geometry.cells * sizeof(wp_atomic_u64),
                                page);
  geometry.worker_fixed =
      round_up(sizeof(wp_channel_signal) + sizeof(wp_channel_status) + geometry.slots * sizeof(wp_reply_slot), page);
  geometry.arguments_part = geometry.argument_buffers * geometry.buffer_size;
  geometry.worker_part = geometry.worker_fixed + geometry.result_buffers * geometry.buffer_size;
  geometry.given_size = geometry.initializer_offset = wp_host_part_offset(&geometry, capacity);
  geometry.arguments_size = wp_arguments_offset(&geometry, capacity);
  return geometry;
}

void wp_geometry_extend(wp_geometry *geometry, const wp_process_output *output, size_t initializer_length) {
  size_t page = wp_page_size();
  size_t rings[WP_STREAM_COUNT];
  for (uint32_t i = 0; i < WP_STREAM_COUNT; i++) {
    size_t limit = output[i].mode == WP_OUTPUT_CAPTURE ? output[i].limit : 0;
    geometry->output_limit[i] = limit;
    rings[i] = limit == 0 ? 0 : round_up(sizeof(wp_output_ring) + limit + WP_OUTPUT_CHUNK, page);
  }
  geometry->output_stream = rings[WP_STREAM_OUTPUT];
  geometry->output_part = rings[WP_STREAM_OUTPUT] + rings[WP_STREAM_ERROR];
  geometry->output_size = (uint64_t)geometry->capacity * geometry->output_part;
  geometry->initializer_part = round_up(initializer_length, page);
  geometry->given_size = geometry->initializer_offset + geometry->initializer_part;
}

uint64_t wp_geometry_channel(const wp_geometry *geometry) {
  return (uint64_t)geometry->arguments_part + geometry->worker_part;
}

uint64_t wp_geometry_largest(const wp_geometry *geometry) {
  const uint64_t sizes[] = {geometry->given_size, geometry->arguments_size, geometry->worker_part, geometry->output_size};
  uint64_t largest = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    if (sizes[i] > largest) largest = sizes[i];
  }
  return largest;
}

uint64_t wp_host_part_offset(const wp_geometry *geometry, uint32_t index) {
  return wp_pool_part_size() + (uint64_t)index * geometry->host_part;
}

uint64_t wp_arguments_offset(const wp_geometry *geometry, uint32_t index) {
  return (uint64_t)index * geometry->arguments_part;
}

wp_channel_head *wp_channel_get_head(const wp_channel *channel) {
  return (wp_channel_head *)(void *)channel->host_part;
}

wp_request_slot *wp_channel_request(const wp_channel *channel, const wp_geometry *geometry, uint32_t position) {
  wp_request_slot *slots = (wp_request_slot *)(void *)(channel->host_part + sizeof(wp_channel_head));
  return slots + (position & (geometry->slots - 1));
}

wp_task_options *wp_channel_options(const wp_channel *channel, const wp_geometry *geometry, uint32_t position) {
  size_t offset = sizeof(wp_channel_head) + geometry->slots * sizeof(wp_request_slot);
  wp_task_options *options = (wp_task_options *)(void *)(channel->host_part + offset);
  return options + (position & (geometry->slots - 1));
}

wp_atomic_u64 *wp_channel_cells(const wp_channel *channel, const wp_geometry *geometry) {
  size_t offset = sizeof(wp_channel_head) + geometry->slots * (sizeof(wp_request_slot) + sizeof(wp_task_options));
  return (wp_atomic_u64 *)(void *)(channel->host_part + offset);
}

void *wp_channel_arguments(const wp_channel *channel, const wp_geometry *geometry, uint32_t buffer) {
  WP_ASSERT(buffer < geometry->argument_buffers);
  return channel->arguments + buffer * geometry->buffer_size;
}

wp_channel_signal *wp_channel_get_signal(const wp_channel *channel) {
  return (wp_channel_signal *)(void *)channel->worker_part;
}

wp_channel_status *wp_channel_get_status(const wp_channel *channel) {
  return (wp_channel_status *)(void *)(channel->worker_part + sizeof(wp_channel_signal));
}

wp_reply_slot *wp_channel_reply(const wp_channel *channel, const wp_geometry *geometry, uint32_t position) {
  size_t offset = sizeof(wp_channel_signal) + sizeof(wp_channel_status);
  wp_reply_slot *slots = (wp_reply_slot *)(void *)(channel->worker_part + offset);
  return slots + (position & (geometry->slots - 1));
}

void *wp_channel_results(const wp_channel *channel, const wp_geometry *geometry, uint32_t buffer) {
  WP_ASSERT(buffer < geometry->result_buffers);
  return channel->worker_part + geometry->worker_fixed + buffer * geometry->buffer_size;
}

wp_name_entry *wp_pool_names(wp_pool_head *head) {
  return (wp_name_entry *)(void *)((unsigned char *)head + names_offset());
}

char *wp_pool_name_bytes(wp_pool_head *head) { return (char *)head + name_bytes_offset(); }

wp_status wp_pool_intern(wp_pool_head *head, const void *name, size_t length, uint32_t *index) {
  wp_name_entry *entries = wp_pool_names(head);
  char *bytes = wp_pool_name_bytes(head);
  uint32_t count = wp_atomic_load(&head->name_count, wp_relaxed);  // written by callers of this function only
  for (uint32_t i = 0; i < count; i++) {
    if (entries[i].length == length && (length == 0 || memcmp(bytes + entries[i].offset, name, length) == 0)) {
      *index = i;
      return WP_OK;
    }
  }
  size_t offset = count == 0 ? 0 : (size_t)entries[count - 1].offset + entries[count - 1].length + 1;
  if (count == WP_PROCESS_MAX_NAMES || length >= WP_PROCESS_NAME_BYTES - offset) return WP_TOO_LARGE;
  if (wp_memory_populate(&entries[count], sizeof entries[count]) != 0 || wp_memory_populate(bytes + offset, length + 1) != 0) {
    return WP_SYSTEM_CALL_FAILED;
  }
  if (length > 0) memcpy(bytes + offset, name, length);
  bytes[offset + length] = '\0';
  entries[count].offset = (uint32_t)offset;
  entries[count].length = (uint32_t)length;
  wp_atomic_store(&head->name_count, count + 1, wp_release);  // edge "name"
  *index = count;
  return WP_OK;
}
