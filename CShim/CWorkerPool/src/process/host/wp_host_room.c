#include "wp_host_room.h"

#include "../../platform/wp_shared_memory.h"
#include "../shared/wp_process_output.h"

static size_t workers_size(const wp_process_pool *pool) { return pool->geometry.capacity * sizeof *pool->workers; }

static size_t cell_uses_size(const wp_process_pool *pool) {
  return (size_t)pool->geometry.capacity * pool->geometry.cells * sizeof *pool->memory.cell_uses;
}

bool wp_room_allocate(wp_process_pool *pool) {
  // For all that there may be: what is not touched takes no memory.
  pool->workers = (wp_host_worker *)wp_memory_zeros(workers_size(pool));
  pool->memory.cell_uses = (uint32_t *)wp_memory_zeros(cell_uses_size(pool));
  return pool->workers != NULL && pool->memory.cell_uses != NULL;
}

void wp_room_free(wp_process_pool *pool) {
  wp_memory_unmap(pool->workers, workers_size(pool));
  wp_memory_unmap(pool->memory.cell_uses, cell_uses_size(pool));
}

bool wp_room_map(wp_process_pool *pool, uint32_t count) {
  size_t length = pool->geometry.host_part + pool->geometry.worker_part;
  for (; pool->size.mapped < count; pool->size.mapped++) {
    uint32_t index = pool->size.mapped;
    void *memory = wp_memory_map(pool->memory.file, wp_channel_offset(&pool->geometry, index), length, true);
    if (memory == NULL) return false;
    wp_host_worker *worker = &pool->workers[index];
    worker->channel.host_part = (unsigned char *)memory;
    worker->channel.worker_part = worker->channel.host_part + pool->geometry.host_part;
    worker->pidfd = worker->share = -1;
    worker->arguments.count = pool->geometry.argument_buffers;
    worker->results.count = pool->geometry.result_buffers;
    worker->cell_uses = pool->memory.cell_uses + (size_t)index * pool->geometry.cells;
    worker->bucket = WP_NO_WORKER;
    worker->cpu = worker->node = worker->memory_node = -1;
  }
  return true;
}

void wp_room_unmap(wp_process_pool *pool, wp_pool_head *head) {
  if (head == NULL) return;
  for (uint32_t i = 0; i < pool->size.mapped; i++) {
    wp_memory_unmap(pool->workers[i].channel.host_part, pool->geometry.host_part + pool->geometry.worker_part);
  }
  wp_memory_unmap(pool->memory.tail, (size_t)(pool->geometry.total - pool->geometry.output_offset));
  wp_memory_unmap(head, wp_pool_part_size());
}

wp_output_ring *wp_room_output(const wp_process_pool *pool, const wp_host_worker *worker, uint32_t stream) {
  return wp_output_ring_at(pool->memory.tail, &pool->geometry, wp_room_index(pool, worker), stream);
}
