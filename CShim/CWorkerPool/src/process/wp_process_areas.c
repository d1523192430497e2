#include "wp_process_areas.h"

#include "../platform/wp_clock.h"
#include "../platform/wp_shared_memory.h"
#include "wp_process_state.h"

#include <stdlib.h>
#include <string.h>

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

typedef void *wp_area_place(const wp_channel *channel, const wp_geometry *geometry, uint32_t area);

static void give_back_all(const wp_process_pool *pool, uint32_t worker, uint64_t areas, wp_area_place *place) {
  for (; areas != 0; areas &= areas - 1) {
    uint32_t area = (uint32_t)__builtin_ctzll(areas);
    give_back(place(&pool->workers[worker].channel, &pool->geometry, area), pool->geometry.area);
  }
}

/// Those of these areas that are warm and used by nobody, which are cold from now on.
static uint64_t take_warm(wp_areas *areas, uint64_t wanted) {
  uint64_t taken = areas->warm & ~areas->busy & wanted;
  areas->warm &= ~taken;
  return taken;
}

void wp_areas_bury(wp_process_pool *pool, uint32_t index) {
  wp_host_worker *worker = &pool->workers[index];
  give_back_all(pool, index, take_warm(&worker->arguments, UINT64_MAX), wp_channel_arguments);
  give_back_all(pool, index, take_warm(&worker->results, UINT64_MAX), wp_channel_results);
}

/// An area is busy while the lock is released, so that nobody finds his argument gone. One at a time, since whoever
/// submits meanwhile counts on there being another. False when somebody has: the rest will be used.
static bool tidy(wp_process_pool *pool, uint32_t worker, wp_areas *areas, wp_area_place *place) {
  bool idle = true;
  for (uint32_t i = 0; i < areas->count && idle; i++) {
    pthread_mutex_lock(&pool->lock);
    idle = pool->live == 0;
    uint64_t area = idle ? take_warm(areas, (uint64_t)1 << i) : 0;
    areas->busy |= area;
    pthread_mutex_unlock(&pool->lock);
    if (area == 0) continue;
    give_back_all(pool, worker, area, place);
    pthread_mutex_lock(&pool->lock);
    areas->busy &= ~area;
    pthread_mutex_unlock(&pool->lock);
  }
  return idle;
}

bool wp_areas_are_due(wp_process_pool *pool) {
  if (pool->live > 0 || !pool->warm) {
    pool->idle_since = 0;
    return false;
  }
  uint64_t now = wp_clock_now();
  if (pool->idle_since == 0) pool->idle_since = now;
  if (now - pool->idle_since < WP_TIDY_AFTER_NS) return false;
  pool->idle_since = 0;
  pool->warm = false;
  return true;
}

void wp_areas_tidy(wp_process_pool *pool) {
  bool idle = true;
  pthread_mutex_lock(&pool->lock);
  uint32_t count = pool->mapped;
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < count && idle; i++) {
    wp_host_worker *worker = &pool->workers[i];
    idle = tidy(pool, i, &worker->arguments, wp_channel_arguments) && tidy(pool, i, &worker->results, wp_channel_results);
  }
  if (idle) return;
  pthread_mutex_lock(&pool->lock);
  pool->warm = true;
  pthread_mutex_unlock(&pool->lock);
}

void wp_areas_rest(wp_process_pool *pool) {
  if (!pool->warm) return;
  pool->idle_since = 0;
  wp_timers_look_by(pool, wp_clock_now() + WP_TIDY_AFTER_NS);
}

uint64_t wp_areas_deadline(const wp_process_pool *pool) {
  return pool->idle_since == 0 ? UINT64_MAX : pool->idle_since + WP_TIDY_AFTER_NS;
}

// MARK: Loans

struct wp_process_loan {
  wp_process_pool *pool;  // a reference
  uint32_t worker;
  uint8_t area;
  size_t touched;
};

wp_process_loan *wp_process_pool_lend(const wp_task_outcome *outcome) {
  wp_completion *record = (wp_completion *)outcome->lender;
  if (record == NULL || record->result_area == WP_NO_AREA) return NULL;
  wp_process_loan *loan = (wp_process_loan *)malloc(sizeof *loan);
  if (loan == NULL) return NULL;
  loan->pool = record->pool;
  loan->worker = record->worker;
  loan->area = record->result_area;
  loan->touched = record->touched_results;
  wp_process_pool *pool = record->pool;
  pthread_mutex_lock(&pool->lock);
  wp_areas *areas = &pool->workers[record->worker].results;
  bool granted = areas->lent < WP_PROCESS_MAX_LOANS;
  if (granted) {
    areas->lent++;
    pool->loans++;
    pool->references++;
    record->result_area = WP_NO_AREA;
  }
  pthread_mutex_unlock(&pool->lock);
  if (granted) return loan;
  free(loan);
  return NULL;
}

void wp_process_loan_release(wp_process_loan *loan) {
  wp_process_pool *pool = loan->pool;
  if (wp_forked_from(pool)) return;  // the lock may be held by a thread that is not here
  wp_areas *areas = &pool->workers[loan->worker].results;
  const wp_channel *channel = &pool->workers[loan->worker].channel;
  // Lent, hence mapped.
  wp_area_trim(wp_channel_results(channel, &pool->geometry, loan->area), loan->touched);
  pthread_mutex_lock(&pool->lock);
  areas->lent--;
  wp_area_free(areas, loan->area);
  if (!pool->warm && pool->head != NULL) {
    pool->warm = true;
    wp_pool_poke(pool);  // a sleeping collector has to see that there is something to tidy
  }
  wp_pool_head *last = --pool->loans == 0 ? pool->lent_memory : NULL;
  if (last != NULL) pool->lent_memory = NULL;
  pthread_mutex_unlock(&pool->lock);
  wp_pool_unmap(pool, last);
  free(loan);
  wp_pool_drop(pool);
}

bool wp_areas_keep_lent(const wp_process_pool *pool) {
  if (pool->loans == 0) return false;
  for (uint32_t i = 0; i < pool->mapped; i++) {
    const wp_host_worker *worker = &pool->workers[i];
    give_back_all(pool, i, worker->arguments.warm, wp_channel_arguments);
    give_back_all(pool, i, worker->results.warm & ~worker->results.busy, wp_channel_results);
  }
  return true;
}
