#include "wp_node.h"

bool wp_node_has_work(wp_thread_pool *pool, uint32_t n) {
  wp_pool_node *node = &pool->nodes[n];
  if (!wp_injector_is_empty(&node->injector) || wp_putback_count(&node->putback) != 0) return true;
  if (wp_atomic_load(&node->sweeping, wp_seq_cst) != 0) return true;  // edge ANNOUNCE
  uint32_t count = wp_atomic_load(&node->worker_count, wp_seq_cst);   // edges SLOT and ANNOUNCE
  for (uint32_t i = 0; i < count; i++) {
    if (!wp_deque_is_empty(&node->workers[i]->deque)) return true;
  }
  uint32_t spares = wp_atomic_load(&pool->spares.used, wp_seq_cst);  // edges SLOT and ANNOUNCE
  for (uint32_t i = 0; i < spares; i++) {
    wp_worker *spare = &pool->spares.slots[i];
    if (spare->node == n && !wp_deque_is_empty(&spare->deque)) return true;
  }
  return false;
}

bool wp_pool_has_work_aside(wp_thread_pool *pool) {
  // edge ANNOUNCE, of both words
  return wp_atomic_load(&pool->aside_used, wp_seq_cst) != 0 && !wp_injector_is_empty(pool->aside);
}

uint32_t wp_pool_find_work(wp_thread_pool *pool, uint32_t node) {
  const uint32_t *nearest = pool->nodes[node].nearest;
  for (uint32_t i = 0; i < pool->node_count; i++) {
    if (wp_node_has_work(pool, nearest[i])) return nearest[i];
  }
  return wp_pool_has_work_aside(pool) ? node : WP_NO_NODE;
}

void wp_pool_wake_all(wp_thread_pool *pool) {
  for (uint32_t i = 0; i < pool->node_count; i++) wp_event_count_notify_all(&pool->nodes[i].event_count);
}

size_t wp_node_pop(wp_pool_node *node, wp_job *jobs, size_t max, size_t share, wp_popped *popped) {
  size_t taken = wp_putback_take(&node->putback, jobs, max, share, &popped->ticket);
  if (taken == 0) return wp_injector_pop(&node->injector, jobs, max, share, popped);
  popped->left = wp_putback_count(&node->putback);
  return taken;
}
