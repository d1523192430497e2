#include "wp_host_room.h"

#include "../../base/wp_error.h"
#include "../../platform/wp_numa.h"
#include "../../platform/wp_shared_memory.h"
#include "../shared/wp_process_output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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

// MARK: Files

#define WP_PAYLOADS_CALL "mmap(payload buffers)"
#define WP_PAYLOADS_RULE \
  "each worker reserves address space for three payloads of the largest size for each task that it may hold"

#define WP_PAGES_RULE "no memory for the pages that host and workers share"

static wp_status no_pages(wp_error *error, int number) {
  return wp_fail(error, WP_SYSTEM_CALL_FAILED, number, "madvise(MADV_POPULATE_WRITE)", WP_PAGES_RULE);
}

static wp_status failed(wp_error *error, const char *call) { return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, call, NULL); }

wp_status wp_room_open(wp_process_pool *pool, wp_error *error) {
  const wp_geometry *geometry = &pool->geometry;
  wp_pool_files *files = &pool->memory.files;
  const char *call = NULL;
  void *given = NULL;
  files->given = wp_memory_share("worker-pool-given", (size_t)geometry->given_size, true, &given, &call);
  if (files->given < 0) return failed(error, call);
  pool->memory.head = (wp_pool_head *)given;
  int number = wp_memory_populate(given, sizeof *pool->memory.head);
  if (number == 0) number = wp_memory_populate(wp_room_initializer(pool), geometry->initializer_part);
  if (number != 0) return no_pages(error, number);
  files->arguments = wp_memory_file_create("worker-pool-arguments", geometry->arguments_size, &call);
  if (files->arguments < 0) return failed(error, call);
  files->arguments_for_reading = wp_memory_open_for_reading(files->arguments);
  // Without /proc, or where that is closed to the program, workers are trusted not to change the protection of their arguments.
  bool trusts = pool->settings.sandbox == WP_SANDBOX_NONE;
  if (files->arguments_for_reading < 0 && trusts) files->arguments_for_reading = wp_memory_open_again(files->arguments);
  if (files->arguments_for_reading < 0) return failed(error, "open(/proc/thread-self/fd)");
  if (geometry->output_size == 0) return WP_OK;
  files->output = wp_memory_file_create("worker-pool-output", geometry->output_size, &call);
  if (files->output < 0) return failed(error, call);
  pool->memory.output = wp_memory_map(files->output, 0, (size_t)geometry->output_size, true);
  return pool->memory.output == NULL ? failed(error, "mmap") : WP_OK;
}

void wp_room_close(wp_process_pool *pool) {
  wp_pool_files *files = &pool->memory.files;
  int *descriptors[] = {&files->given, &files->arguments, &files->arguments_for_reading, &files->output};
  for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
    if (*descriptors[i] >= 0) close(*descriptors[i]);
    *descriptors[i] = -1;
  }
  for (uint32_t i = 0; i < pool->size.mapped; i++) {
    if (pool->workers[i].file >= 0) close(pool->workers[i].file);
    pool->workers[i].file = -1;
  }
}

void *wp_room_initializer(const wp_process_pool *pool) {
  return (unsigned char *)pool->memory.head + pool->geometry.initializer_offset;
}

// MARK: Channels

static void unmap_payloads(const wp_process_pool *pool, const wp_host_worker *worker) {
  wp_memory_unmap(worker->channel.arguments, pool->geometry.arguments_part);
  wp_memory_unmap(worker->channel.worker_part, pool->geometry.worker_part);
}

/// `errno` stays what it is.
static void unmap_channel(const wp_process_pool *pool, wp_host_worker *worker) {
  int number = errno;
  unmap_payloads(pool, worker);
  close(worker->file);
  worker->file = -1;
  errno = number;
}

/// Maps what is a worker's alone. On failure nothing of it is left. NULL, or the call that failed.
static const char *map_channel(wp_process_pool *pool, uint32_t index) {
  const wp_geometry *geometry = &pool->geometry;
  wp_host_worker *worker = &pool->workers[index];
  const char *call = NULL;
  void *own = NULL;
  int file = wp_memory_share("worker-pool-own", geometry->worker_part, false, &own, &call);
  if (file < 0) return errno == ENOMEM && strcmp(call, "mmap") == 0 ? WP_PAYLOADS_CALL : call;
  void *arguments = wp_memory_map(pool->memory.files.arguments, wp_arguments_offset(geometry, index),
                                  geometry->arguments_part, true);
  if (arguments == NULL) {
    int number = errno;
    wp_memory_unmap(own, geometry->worker_part);
    close(file);
    errno = number;
    return WP_PAYLOADS_CALL;
  }
  worker->file = file;
  worker->channel.host_part = (unsigned char *)pool->memory.head + wp_host_part_offset(geometry, index);
  worker->channel.arguments = (unsigned char *)arguments;
  worker->channel.worker_part = (unsigned char *)own;
  return NULL;
}

/// Gives what the host touches first of a channel its pages, so that there are none too few for it later. Memory that is placed
/// gets them where it is placed to. An `errno`.
static int populate_channel(const wp_process_pool *pool, const wp_host_worker *worker) {
  if (pool->settings.affinity.policy != WP_AFFINITY_NONE) return 0;
  int number = wp_memory_populate(worker->channel.host_part, pool->geometry.host_part);
  return number != 0 ? number : wp_memory_populate(worker->channel.worker_part, pool->geometry.worker_fixed);
}

wp_status wp_room_map(wp_process_pool *pool, uint32_t count, wp_error *error) {
  for (; pool->size.mapped < count; pool->size.mapped++) {
    uint32_t index = pool->size.mapped;
    const char *call = map_channel(pool, index);
    if (call != NULL) {
      const char *rule = strcmp(call, WP_PAYLOADS_CALL) == 0 ? WP_PAYLOADS_RULE : NULL;
      return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, call, rule);
    }
    wp_host_worker *worker = &pool->workers[index];
    errno = populate_channel(pool, worker);
    if (errno != 0) {
      unmap_channel(pool, worker);
      return no_pages(error, errno);
    }
    worker->pidfd = worker->share = -1;
    worker->arguments.count = pool->geometry.argument_buffers;
    worker->results.count = pool->geometry.result_buffers;
    worker->cell_uses = pool->memory.cell_uses + (size_t)index * pool->geometry.cells;
    worker->bucket = WP_NO_WORKER;
    worker->cpu = worker->node = worker->memory_node = -1;
    for (uint32_t i = 0; i < WP_ARGUMENT_BUFFERS; i++) worker->waiting[i] = WP_NO_TASK;
  }
  return WP_OK;
}

int wp_room_prefer(const wp_process_pool *pool, const wp_host_worker *worker, int node) {
  const wp_geometry *geometry = &pool->geometry;
  int number = wp_numa_prefer(worker->channel.host_part, geometry->host_part, node);
  if (number == 0) number = wp_numa_prefer(worker->channel.arguments, geometry->arguments_part, node);
  return number != 0 ? number : wp_numa_prefer(worker->channel.worker_part, geometry->worker_part, node);
}

void wp_room_unmap(wp_process_pool *pool, wp_pool_head *head) {
  if (head == NULL) return;
  for (uint32_t i = 0; i < pool->size.mapped; i++) unmap_payloads(pool, &pool->workers[i]);
  wp_memory_unmap(pool->memory.output, (size_t)pool->geometry.output_size);
  wp_memory_unmap(head, (size_t)pool->geometry.given_size);
}

wp_output_ring *wp_room_output(const wp_process_pool *pool, const wp_host_worker *worker, uint32_t stream) {
  return wp_output_ring_at(pool->memory.output, &pool->geometry, wp_room_index(pool, worker), stream);
}
