#include "wp_host_tasks.h"

#include <stdlib.h>
#include <string.h>

static void init_queue(wp_task_queue *queue) {
  queue->first = queue->last = WP_NO_TASK;
  queue->count = 0;
}

void wp_task_table_init(wp_task_table *table) {
  memset(table, 0, sizeof *table);
  table->free = WP_NO_TASK;
  init_queue(&table->pending);
  init_queue(&table->ended);
}

void wp_task_table_destroy(wp_task_table *table) { free(table->nodes); }

void wp_task_table_trim(wp_task_table *table) {
  if (table->capacity <= 4096) return;
  free(table->nodes);
  table->nodes = NULL;
  table->capacity = table->used = 0;
  table->free = WP_NO_TASK;
}

static bool grow(wp_task_table *table) {
  uint32_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
  if (capacity <= table->capacity) return false;
  wp_task *nodes = (wp_task *)realloc(table->nodes, capacity * sizeof *nodes);
  if (nodes == NULL) return false;
  table->nodes = nodes;
  table->capacity = capacity;
  return true;
}

uint32_t wp_task_add(wp_task_table *table, uint32_t function, void *token) {
  uint32_t index = table->free;
  if (index != WP_NO_TASK) {
    table->free = table->nodes[index].next;
  } else {
    if (table->used == table->capacity && !grow(table)) return WP_NO_TASK;
    index = table->used++;
  }
  wp_task *task = &table->nodes[index];
  memset(task, 0, sizeof *task);
  task->function = function;
  task->token = token;
  if (++table->serial == 0) table->serial = 1;  // no ticket is zero
  task->serial = table->serial;
  task->next = task->previous = WP_NO_TASK;
  task->state = WP_TASK_PENDING;
  task->buffer = UINT8_MAX;
  return index;
}

bool wp_task_set_options(wp_task_table *table, uint32_t index, const wp_task_options *options) {
  wp_task *task = &table->nodes[index];
  task->options = (wp_task_options *)malloc(sizeof *options);
  if (task->options == NULL) return false;
  *task->options = *options;
  if (options->timeout_ns != 0) wp_task_watch(table, index);
  return true;
}

void wp_task_watch(wp_task_table *table, uint32_t index) {
  if (table->nodes[index].watched) return;
  table->nodes[index].watched = true;
  table->watched++;
}

void wp_task_remove(wp_task_table *table, uint32_t index) {
  wp_task *task = &table->nodes[index];
  if (task->state == WP_TASK_PENDING) wp_task_drop_bytes(table, task);
  free(task->shared);
  if (task->options != NULL) free(task->options);
  task->options = NULL;
  if (task->watched) table->watched--;
  task->watched = false;
  task->state = WP_TASK_FREE;
  task->serial = 0;
  task->next = table->free;
  table->free = index;
}

bool wp_task_set_bytes(wp_task *task, const void *bytes, size_t length) {
  unsigned char *target = task->body.bytes;
  if (length > WP_TASK_INLINE) {
    target = (unsigned char *)malloc(length);
    if (target == NULL) return false;
    task->body.memory = target;
  }
  if (length > 0) memcpy(target, bytes, length);
  task->length = length;
  return true;
}

void wp_task_adopt_bytes(wp_task *task, void *bytes, size_t length) {
  task->body.memory = bytes;
  task->length = length;
}

const void *wp_task_bytes(const wp_task *task) {
  return task->length > WP_TASK_INLINE ? task->body.memory : task->body.bytes;
}

void *wp_task_take_memory(wp_task *task) {
  // Without a length, what stands in the body is left from an earlier time.
  if (task->length <= WP_TASK_INLINE || task->buffer != UINT8_MAX) return NULL;
  task->length = 0;
  return task->body.memory;
}

void wp_task_drop_bytes(wp_task_table *table, wp_task *task) {
  if (task->length > WP_TASK_INLINE && task->buffer == UINT8_MAX) {
    if (task->body.memory == table->pinned) table->pinned = NULL;
    else free(task->body.memory);
  }
  task->length = 0;
}

bool wp_task_set_shared(wp_task *task, wp_shared_memory *const *shared, size_t count) {
  if (count == 0) return true;
  task->shared = (wp_shared_memory **)malloc(count * sizeof *shared);
  if (task->shared == NULL) return false;
  memcpy(task->shared, shared, count * sizeof *shared);
  task->shared_count = (uint8_t)count;
  return true;
}

uint64_t wp_task_ticket(const wp_task_table *table, uint32_t index) {
  return (uint64_t)table->nodes[index].serial << 32 | index;
}

uint32_t wp_task_find(const wp_task_table *table, uint64_t ticket) {
  uint32_t index = (uint32_t)ticket;
  uint32_t serial = (uint32_t)(ticket >> 32);
  return index < table->used && serial != 0 && table->nodes[index].serial == serial ? index : WP_NO_TASK;
}

void wp_task_append(wp_task_table *table, wp_task_queue *queue, uint32_t index) {
  wp_task *task = &table->nodes[index];
  task->next = WP_NO_TASK;
  task->previous = queue->last;
  if (queue->last == WP_NO_TASK) queue->first = index;
  else table->nodes[queue->last].next = index;
  queue->last = index;
  queue->count++;
}

void wp_task_prepend(wp_task_table *table, wp_task_queue *queue, uint32_t index) {
  wp_task *task = &table->nodes[index];
  task->previous = WP_NO_TASK;
  task->next = queue->first;
  if (queue->first == WP_NO_TASK) queue->last = index;
  else table->nodes[queue->first].previous = index;
  queue->first = index;
  queue->count++;
}

void wp_task_unlink(wp_task_table *table, wp_task_queue *queue, uint32_t index) {
  wp_task *task = &table->nodes[index];
  if (task->previous == WP_NO_TASK) queue->first = task->next;
  else table->nodes[task->previous].next = task->next;
  if (task->next == WP_NO_TASK) queue->last = task->previous;
  else table->nodes[task->next].previous = task->previous;
  task->next = task->previous = WP_NO_TASK;
  queue->count--;
}
