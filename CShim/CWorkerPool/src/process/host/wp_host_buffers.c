#include "wp_host_buffers.h"

#include "../../platform/wp_shared_memory.h"

uint8_t wp_area_take(wp_areas *areas) {
  if (~areas->busy == 0) return WP_NO_AREA;
  uint32_t area = (uint32_t)__builtin_ctzll(~areas->busy);
  if (area >= areas->count) return WP_NO_AREA;
  areas->busy |= (uint64_t)1 << area;
  areas->warm |= (uint64_t)1 << area;
  return (uint8_t)area;
}

void wp_area_free(wp_areas *areas, uint8_t area) {
  if (area == WP_NO_AREA) return;
  WP_ASSERT((areas->busy >> area & 1) == 1);
  areas->busy &= ~((uint64_t)1 << area);
}

// MARK: Pages

static void give_back(void *area, size_t length) {
  size_t page = wp_page_size();
  if (length > 0) wp_memory_give_back(area, (length + page - 1) / page * page);
}

void wp_area_trim(void *area, size_t touched) {
  if (touched > WP_KEEP_WARM) give_back((unsigned char *)area + WP_KEEP_WARM, touched - WP_KEEP_WARM);
}

void wp_areas_give_back(const wp_process_pool *pool, uint32_t worker, uint64_t areas, wp_area_at *at) {
  for (; areas != 0; areas &= areas - 1) {
    uint32_t area = (uint32_t)__builtin_ctzll(areas);
    give_back(at(&pool->workers[worker].channel, &pool->geometry, area), pool->geometry.area);
  }
}

uint64_t wp_areas_take_warm(wp_areas *areas, uint64_t wanted) {
  uint64_t taken = areas->warm & ~areas->busy & wanted;
  areas->warm &= ~taken;
  return taken;
}

void wp_areas_clear(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  wp_areas_give_back(pool, index, wp_areas_take_warm(&worker->arguments, UINT64_MAX), wp_channel_arguments);
  wp_areas_give_back(pool, index, wp_areas_take_warm(&worker->results, UINT64_MAX), wp_channel_results);
}

bool wp_areas_keep_lent(const wp_process_pool *pool) {
  if (pool->users.loans == 0) return false;
  for (uint32_t i = 0; i < pool->size.mapped; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    wp_areas_give_back(pool, i, worker->arguments.warm, wp_channel_arguments);
    wp_areas_give_back(pool, i, worker->results.warm & ~worker->results.busy, wp_channel_results);
  }
  return true;
}
