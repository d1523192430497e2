// The injector with its allocator counted: the same source, compiled once more under other names.
#include "CStress.h"

#include <stdlib.h>

static size_t held;

typedef struct counted {
  size_t size;
} counted;

// The size stands in front of the block, one alignment unit before it.
static void *counted_alloc(size_t alignment, size_t size) {
  char *block = (char *)aligned_alloc(alignment, size + alignment);
  if (block == NULL) return NULL;
  ((counted *)(void *)(block + alignment))[-1].size = size;
  held += size;
  return block + alignment;
}

#define WP_CACHE_LINE_FOR_FREE 128

static void counted_free(void *memory) {
  if (memory == NULL) return;
  held -= ((counted *)memory)[-1].size;
  free((char *)memory - WP_CACHE_LINE_FOR_FREE);
}

#define wp_injector_init counted_injector_init
#define wp_injector_destroy counted_injector_destroy
#define wp_injector_push counted_injector_push
#define wp_injector_pop counted_injector_pop
#define wp_injector_is_empty counted_injector_is_empty
#define wp_injector_backlog counted_injector_backlog
#define wp_injector_close counted_injector_close
#define wp_injector_tell counted_injector_tell
#define wp_injector_length counted_injector_length
#define aligned_alloc counted_alloc
#define free counted_free
#include "../../CShim/CWorkerPool/src/queue/wp_injector.c"
#undef free
#undef aligned_alloc

WP_STATIC_ASSERT(WP_CACHE_LINE == WP_CACHE_LINE_FOR_FREE, "blocks begin one alignment unit before what is handed out");

void cs_injector_memory(uint64_t items, size_t *full, size_t *drained) {
  wp_injector *injector = (wp_injector *)aligned_alloc(WP_CACHE_LINE, sizeof *injector);
  if (!wp_injector_init(injector)) abort();
  size_t accepted;
  for (uint64_t i = 0; i < items; i++) {
    wp_job job = {(uintptr_t)i + 2, NULL};
    if (wp_injector_push(injector, &job, 1, &accepted) != WP_OK) abort();
  }
  *full = held;
  wp_job jobs[64];
  for (uint64_t popped = 0; popped < items;) popped += wp_injector_pop(injector, jobs, 64, 1, NULL);
  *drained = held;
  wp_injector_destroy(injector);
  if (held != 0) abort();
  free(injector);
}
