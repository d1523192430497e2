#include "wp_process_views.h"

#include "../../platform/wp_shared_memory.h"
#include "../../platform/wp_socket.h"
#include "../shared/wp_process_message.h"
#include "wp_fork.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct wp_shared_view {
  wp_atomic_u32 references;
  /// Of the process that mapped it: a child of a fork has no mapping there, or another one.
  uint32_t fork_generation;
  bool writable;
  /// Why it could not be mapped.
  int error;
  void *address;
  size_t length;
  uint64_t id;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static wp_shared_view **views;
static uint32_t view_count;
static uint32_t seen_revision;
/// Whether memories came since the cells were looked at: they may have ended under way.
static bool looks_again;
/// Why the memories of the last request did not come.
static int delivery_error;

void *wp_shared_view_address(const wp_shared_view *view) { return view->address; }
size_t wp_shared_view_length(const wp_shared_view *view) { return view->length; }
bool wp_shared_view_is_writable(const wp_shared_view *view) { return view->writable; }

void wp_shared_view_release(wp_shared_view *view) {
  if (wp_atomic_fetch_sub(&view->references, 1u, wp_acq_rel) != 1) return;
  if (view->fork_generation == wp_fork_generation()) wp_memory_unmap(view->address, view->length);
  free(view);
}

wp_shared_view *wp_process_worker_view(uint64_t id, int32_t *system_errno) {
  wp_shared_view *found = NULL;
  pthread_mutex_lock(&lock);
  *system_errno = delivery_error;
  for (uint32_t cell = 0; cell < view_count && found == NULL; cell++) {
    if (views[cell] != NULL && views[cell]->id == id) found = views[cell];
  }
  if (found != NULL && found->address == NULL) {
    *system_errno = found->error;
    found = NULL;
  }
  if (found != NULL) wp_atomic_fetch_add(&found->references, 1u, wp_relaxed);
  pthread_mutex_unlock(&lock);
  return found;
}

void wp_views_forget(void) {
  pthread_mutex_init(&lock, NULL);
  views = NULL;  // not freed: whoever of the outer worker's task has one of them may still release it
  view_count = 0;
  seen_revision = 0;
  looks_again = false;
  delivery_error = 0;
}

/// Maps what came and closes its descriptor, which may be missing: this process's table of descriptors was full then.
static wp_shared_view *map(const wp_share_delivery *delivery, int descriptor) {
  wp_shared_view *view = (wp_shared_view *)calloc(1, sizeof *view);
  if (view != NULL) {
    wp_atomic_init(&view->references, 1u);
    view->fork_generation = wp_fork_generation();
    view->writable = delivery->writable != 0;
    view->id = delivery->id;
    view->length = (size_t)delivery->length;
    view->error = EMFILE;
    if (descriptor >= 0) view->address = wp_memory_map(descriptor, 0, view->length, view->writable);
    if (descriptor >= 0) view->error = errno;
  }
  if (descriptor >= 0) close(descriptor);
  return view;
}

/// Under the lock.
static void set_view(uint32_t cell, wp_shared_view *view) {
  if (views[cell] != NULL) wp_shared_view_release(views[cell]);
  views[cell] = view;
}

/// Takes the messages up to that of the task at `position`: earlier ones may not have been got when it was their turn.
static bool receive(int socket, uint32_t position) {
  wp_share_message message;
  int descriptors[WP_PROCESS_MAX_SHARED];
  bool complete = true;
  do {
    if (wp_socket_receive(socket, &message, sizeof message, descriptors, WP_PROCESS_MAX_SHARED, false) <= 0) {
      delivery_error = errno == 0 ? EPIPE : errno;
      return false;
    }
    for (uint32_t i = 0; i < message.count; i++) {
      wp_shared_view *view = map(&message.deliveries[i], descriptors[i]);
      complete = complete && view != NULL && view->address != NULL;
      if (view == NULL) delivery_error = ENOMEM;
      set_view(message.deliveries[i].cell, view);
    }
    looks_again = true;
  } while (message.position != position);
  return complete;
}

bool wp_views_receive(int socket, const wp_geometry *geometry, const wp_request_slot *request, uint32_t position) {
  if (request->deliveries == 0 && request->delivery_errno == delivery_error) return true;
  bool complete = true;
  pthread_mutex_lock(&lock);
  delivery_error = request->delivery_errno;
  if (request->deliveries > 0) {
    if (views == NULL) views = (wp_shared_view **)calloc(geometry->cells, sizeof *views);
    if (views != NULL) view_count = geometry->cells;
    if (views == NULL) delivery_error = ENOMEM;
    complete = views != NULL && receive(socket, position);
  }
  pthread_mutex_unlock(&lock);
  return complete;
}

void wp_views_follow(const wp_channel *channel, const wp_geometry *geometry) {
  uint32_t revision = wp_atomic_load(&wp_channel_get_head(channel)->cells_revision, wp_acquire);  // edge "cells"
  if (revision == seen_revision && !looks_again) return;
  seen_revision = revision;
  looks_again = false;
  pthread_mutex_lock(&lock);
  wp_atomic_u64 *cells = wp_channel_cells(channel, geometry);
  for (uint32_t cell = 0; cell < view_count; cell++) {
    if (views[cell] != NULL && views[cell]->id != wp_atomic_load(&cells[cell], wp_relaxed)) set_view(cell, NULL);
  }
  pthread_mutex_unlock(&lock);
}
