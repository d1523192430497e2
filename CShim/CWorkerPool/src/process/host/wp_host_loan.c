// Results that a user keeps where they stand, after the callback.
#include "wp_host_state.h"

#include "wp_host_bell.h"
#include "wp_host_buffers.h"
#include "wp_host_handle.h"
#include "wp_host_room.h"

#include <stdlib.h>

struct wp_process_loan {
  wp_process_pool *pool;  // a reference
  uint32_t worker;
  uint8_t buffer;
  size_t touched;
};

wp_process_loan *wp_process_pool_lend(const wp_task_outcome *outcome) {
  wp_completion *record = (wp_completion *)outcome->lender;
  if (record == NULL || record->result_buffer == WP_NO_BUFFER) return NULL;
  wp_process_loan *loan = (wp_process_loan *)malloc(sizeof *loan);
  if (loan == NULL) return NULL;
  loan->pool = record->pool;
  loan->worker = record->worker;
  loan->buffer = record->result_buffer;
  loan->touched = record->touched_results;
  wp_process_pool *pool = record->pool;
  pthread_mutex_lock(&pool->lock);
  wp_buffers *buffers = &pool->workers[record->worker].results;
  bool granted = buffers->lent < pool->geometry.reserve.loans;
  if (granted) {
    buffers->lent++;
    pool->users.loans++;
    pool->users.references++;
    record->result_buffer = WP_NO_BUFFER;
  }
  pthread_mutex_unlock(&pool->lock);
  if (granted) return loan;
  free(loan);
  return NULL;
}

void wp_process_loan_release(wp_process_loan *loan) {
  wp_process_pool *pool = loan->pool;
  if (wp_forked_from(pool)) return;  // the lock may be held by a thread that is not here
  wp_buffers *buffers = &pool->workers[loan->worker].results;
  const wp_channel *channel = &pool->workers[loan->worker].channel;
  // Lent, hence mapped.
  wp_buffer_trim(wp_channel_results(channel, &pool->geometry, loan->buffer), loan->touched);
  pthread_mutex_lock(&pool->lock);
  buffers->lent--;
  wp_buffer_free(buffers, loan->buffer);
  if (!pool->idle.warm && pool->memory.head != NULL) {
    pool->idle.warm = true;
    wp_bell_collector(pool);  // a sleeping collector has to see that there is something to tidy
  }
  wp_pool_head *last = --pool->users.loans == 0 ? pool->memory.lent : NULL;
  if (last != NULL) pool->memory.lent = NULL;
  pthread_mutex_unlock(&pool->lock);
  wp_room_unmap(pool, last);
  free(loan);
  wp_handle_drop(pool);
}
