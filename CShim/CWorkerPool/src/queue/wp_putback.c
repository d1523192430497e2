#include "wp_putback.h"

#include <stdlib.h>
#include <string.h>

void wp_putback_init(wp_putback *putback) {
  pthread_mutex_init(&putback->lock, NULL);
  wp_atomic_init(&putback->count, (uint64_t)0);
  putback->first = NULL;
  putback->latest = NULL;
  putback->filtered = NULL;
}

void wp_putback_destroy(wp_putback *putback) {
  while (putback->first != NULL) {
    wp_putback_part *next = putback->first->next;
    free(putback->first);
    putback->first = next;
  }
  pthread_mutex_destroy(&putback->lock);
}

/// Requires: lock.
static void add_to_count(wp_putback *putback, size_t added, size_t taken) {
  uint64_t count = wp_atomic_load(&putback->count, wp_relaxed) + added - taken;
  wp_atomic_store(&putback->count, count, wp_seq_cst);  // edge ANNOUNCE
}

/// Requires: lock. Where the pointer to a part with this ticket belongs.
static wp_putback_part **place_of(wp_putback *putback, uint64_t ticket) {
  wp_putback_part *latest = putback->latest;
  wp_putback_part **place = latest != NULL && latest->ticket < ticket ? &latest->next : &putback->first;
  while (*place != NULL && (*place)->ticket < ticket) place = &(*place)->next;
  return place;
}

wp_putback_part *wp_putback_part_create(size_t capacity) {
  wp_putback_part *part = (wp_putback_part *)malloc(sizeof(wp_putback_part) + capacity * sizeof(wp_job));
  if (part == NULL) return NULL;
  part->begin = 0;
  part->end = 0;
  part->capacity = capacity;
  return part;
}

void wp_putback_part_add(wp_putback_part *part, uint64_t ticket, wp_job job) {
  WP_ASSERT(part->end < part->capacity);
  if (part->end == 0) part->ticket = ticket;
  part->jobs[part->end++] = job;
}

void wp_putback_put_part(wp_putback *putback, wp_putback_part *part) {
  if (part->end == 0) {
    free(part);
    return;
  }
  pthread_mutex_lock(&putback->lock);
  wp_putback_part **place = place_of(putback, part->ticket);
  part->next = *place;
  *place = part;
  putback->latest = part;
  add_to_count(putback, part->end, 0);
  pthread_mutex_unlock(&putback->lock);
}

bool wp_putback_put(wp_putback *putback, uint64_t ticket, const wp_job *jobs, size_t count) {
  wp_putback_part *part = wp_putback_part_create(count);
  if (part == NULL) return false;
  for (size_t i = 0; i < count; i++) wp_putback_part_add(part, ticket + i, jobs[i]);
  wp_putback_put_part(putback, part);
  return true;
}

/// Requires: lock. Frees the part that `place` points to.
static void remove_part(wp_putback *putback, wp_putback_part **place) {
  wp_putback_part *part = *place;
  *place = part->next;
  if (putback->latest == part) putback->latest = NULL;
  if (putback->filtered == part) putback->filtered = NULL;
  free(part);
}

size_t wp_putback_take(wp_putback *putback, wp_job *jobs, size_t max, size_t share, uint64_t *ticket) {
  if (wp_putback_count(putback) == 0) return 0;
  pthread_mutex_lock(&putback->lock);
  wp_putback_part *part = putback->first;
  size_t taken = 0;
  if (part != NULL) {
    taken = (part->end - part->begin + share - 1) / share;
    if (taken > max) taken = max;
    memcpy(jobs, part->jobs + part->begin, taken * sizeof(wp_job));
    *ticket = part->ticket;
    part->ticket += taken;
    part->begin += taken;
    if (part->begin == part->end) remove_part(putback, &putback->first);
    add_to_count(putback, 0, taken);
  }
  pthread_mutex_unlock(&putback->lock);
  return taken;
}

/// Requires: lock. Takes out of a part what is not to stay, as far as there is room. Returns how many.
static size_t filter_part(wp_putback_part *part, wp_putback_stays stays, void *context, wp_job *jobs, size_t max) {
  size_t taken = 0;
  size_t kept = part->begin;
  for (size_t i = part->begin; i < part->end; i++) {
    if (taken < max && !stays(context, part->jobs[i])) {
      jobs[taken++] = part->jobs[i];
    } else {
      part->jobs[kept++] = part->jobs[i];
    }
  }
  part->end = kept;
  return taken;
}

size_t wp_putback_filter(wp_putback *putback, wp_putback_stays stays, void *context, wp_job *jobs, size_t max,
                         size_t looks) {
  if (wp_putback_count(putback) == 0) return 0;
  pthread_mutex_lock(&putback->lock);
  size_t taken = 0;
  wp_putback_part **place = putback->filtered != NULL ? &putback->filtered->next : &putback->first;
  while (*place != NULL && taken < max && looks > 0) {
    wp_putback_part *part = *place;
    size_t size = part->end - part->begin;
    looks = looks > size ? looks - size : 0;
    taken += filter_part(part, stays, context, jobs + taken, max - taken);
    if (part->begin == part->end) {
      remove_part(putback, place);
    } else if (taken < max) {
      putback->filtered = part;
      place = &part->next;
    }
  }
  if (*place == NULL) putback->filtered = NULL;
  add_to_count(putback, 0, taken);
  pthread_mutex_unlock(&putback->lock);
  return taken;
}
