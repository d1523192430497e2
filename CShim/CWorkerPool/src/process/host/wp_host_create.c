// Creating a pool: settings are checked, memory is laid out, the template is started (while the host still has one
// thread, if it is to be forked), then the collector, which starts the workers.
#include "wp_host_state.h"

#include "../../base/wp_error.h"
#include "../../platform/wp_event.h"
#include "../../platform/wp_process.h"
#include "../../platform/wp_shared_memory.h"
#include "../../platform/wp_signals.h"
#include "../../platform/wp_thread.h"
#include "../child/wp_process_reexec.h"
#include "../child/wp_process_sandbox.h"
#include "../shared/wp_process_settings_check.h"
#include "wp_host_affinity.h"
#include "wp_host_cgroup.h"
#include "wp_host_collector.h"
#include "wp_host_handle.h"
#include "wp_host_room.h"
#include "wp_host_share.h"
#include "wp_host_supervise.h"
#include "wp_host_workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// What part of the address space that channels take has to be left besides.
#define WP_LEFT_OF_SPACE 8u

// MARK: Settings

static wp_status check(const wp_process_pool_config *config, wp_error *error) {
  if (config->worker_count > WP_PROCESS_POOL_MAX_WORKERS) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "worker_count", "at most 1024 worker processes");
  }
  if (config->prefetch > WP_PROCESS_MAX_PREFETCH) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "prefetch", "at most 16 tasks per worker");
  }
  if (config->max_payload > WP_PROCESS_PAYLOAD_CEILING) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "max_payload", "at most 2^40 bytes");
  }
  if (config->start_method > WP_START_REEXEC) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "start_method", "one of automatic, fork and reexec");
  }
  if (config->start_method == WP_START_FORK && config->handler == NULL) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "handler", "a forked pool needs a handler");
  }
  if (config->sandbox > WP_SANDBOX_COMPUTE_ONLY) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "sandbox", "none, or compute only");
  }
  if (config->on_template_loss > WP_TEMPLATE_LOSS_REEXECUTES) {
    return wp_fail(error, WP_INVALID_ARGUMENT, 0, "on_template_loss", "breaks, or reexecutes");
  }
  const char *refusal = wp_sandbox_refusal(config->sandbox, config->start_method);
  if (refusal != NULL) return wp_fail(error, WP_UNSUPPORTED, 0, "sandbox", refusal);
  return wp_process_settings_check(config, error);
}

static wp_status pick_method(const wp_process_pool_config *config, wp_start_method *method, wp_error *error) {
  *method = config->sandbox == WP_SANDBOX_NONE ? config->start_method : WP_START_REEXEC;
  size_t threads = *method == WP_START_REEXEC ? 0 : wp_process_thread_count();
  if (*method == WP_START_AUTOMATIC) {
    *method = threads == 1 && config->handler != NULL ? WP_START_FORK : WP_START_REEXEC;
  }
  bool may_reexecute = *method == WP_START_REEXEC || config->on_template_loss == WP_TEMPLATE_LOSS_REEXECUTES;
  const char *refusal = may_reexecute ? wp_reexec_refusal() : NULL;
  if (*method == WP_START_FORK && threads != 1) {
    const char *rule = threads == 0 ? "forking needs to know that the program has one thread, and /proc/self/task cannot "
                                      "be read"
                                    : "a program with more than one thread cannot be forked: locks that other threads "
                                      "hold would never be released in the workers";
    wp_fail(error, WP_UNSUPPORTED, 0, "start_method", rule);
    if (error != NULL) error->refused = (int)wp_process_other_thread(error->culprit);
    return WP_UNSUPPORTED;
  }
  if (refusal == NULL) return WP_OK;
  return wp_fail(error, WP_UNSUPPORTED, 0, *method == WP_START_FORK ? "on_template_loss" : "start_method", refusal);
}

// MARK: Building

static wp_status allocate(wp_process_pool *pool, const wp_process_pool_config *config, wp_error *error) {
  bool roomy = wp_room_allocate(pool);
  pool->batch.records = (wp_completion *)aligned_alloc(alignof(wp_completion), WP_BATCH * sizeof *pool->batch.records);
  bool kept = wp_places_keep(pool, &config->affinity);
  if (!roomy || pool->batch.records == NULL || !kept) {
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "calloc", NULL);
  }
  for (size_t i = 0; i <= WP_PROCESS_MAX_PREFETCH; i++) {
    pool->queue.buckets[i].first = pool->queue.buckets[i].last = WP_NO_WORKER;
  }
  return WP_OK;
}

static wp_status share_memory(wp_process_pool *pool, const wp_process_pool_config *config, const wp_place *places,
                              wp_error *error) {
  if (!wp_event_create(&pool->bells.collector, false) || !wp_event_create(&pool->bells.leader, true)) {
    return wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, "pipe2", NULL);
  }
  wp_status status = wp_room_open(pool, error);
  if (status == WP_OK) status = wp_room_map(pool, pool->size.bound, error);
  if (status != WP_OK) return status;
  for (uint32_t i = 0; i < pool->size.bound; i++) wp_places_assign(pool, i, places);
  pool->memory.head->capacity = pool->geometry.capacity;
  pool->memory.head->reserve = pool->geometry.reserve;
  pool->memory.head->max_payload = pool->geometry.max_payload;
  pool->memory.head->spin_ns = pool->settings.spin_ns;
  pool->memory.head->sandbox = (uint32_t)pool->settings.sandbox;
  strncpy(pool->memory.head->prefix, config->name == NULL ? "worker" : config->name, WP_PROCESS_PREFIX_BYTES - 1);
  wp_process_settings_share(pool->memory.head, wp_room_initializer(pool), config);
  return WP_OK;
}

/// Every template of the pool starts from what there is now, whoever replaces it and when.
static wp_status note_origin(wp_process_pool *pool, wp_error *error) {
  if (wp_pool_method(pool) != WP_START_REEXEC && pool->settings.on_template_loss != WP_TEMPLATE_LOSS_REEXECUTES) return WP_OK;
  const char *call;
  pool->settings.origin = wp_origin_take(&call);
  return pool->settings.origin != NULL ? WP_OK : wp_fail(error, WP_SYSTEM_CALL_FAILED, errno, call, NULL);
}

/// Makes the cgroups for a limit of memory.
static wp_status make_cgroups(wp_process_pool *pool, const wp_process_pool_config *config, wp_error *error) {
  pool->settings.memory_limit = config->limits.memory == 0 ? WP_MEMORY_UNLIMITED : WP_MEMORY_DATA;
  if (config->limits.memory == 0 || config->limits.memory_cgroup == WP_CGROUP_NEVER) return WP_OK;
  bool required = config->limits.memory_cgroup == WP_CGROUP_REQUIRED;
  wp_status status =
      wp_memory_cgroups_create("/proc", config, pool->size.bound, &pool->memory.cgroups, required ? error : NULL);
  pool->memory.head->has_cgroups = status == WP_OK;
  if (status == WP_OK) pool->settings.memory_limit = WP_MEMORY_CGROUP;
  return required ? status : WP_OK;
}

static wp_status start_detached(const wp_process_pool *pool, wp_thread_body body, void *argument, wp_error *error) {
  pthread_t thread;
  wp_thread_attributes attributes = {0, -1, &pool->settings.signal_mask};
  wp_status status = wp_thread_start(&thread, &attributes, body, argument, error);
  if (status == WP_OK) pthread_detach(thread);
  return status;
}

/// The body of the collector's thread, which drops its reference last.
static void *collect(void *argument) {
  wp_process_pool *pool = (wp_process_pool *)argument;
  wp_collector_run(pool);
  wp_handle_drop(pool);
  return NULL;
}

/// Starts the collector's thread: detached, because a pool may be released on it.
static wp_status start_collector(wp_process_pool *pool, wp_error *error) {
  pool->users.references++;
  wp_status status = start_detached(pool, collect, pool, error);
  if (status != WP_OK) pool->users.references--;
  return status;
}

wp_status wp_process_pool_start_helper(wp_process_pool *pool, wp_thread_body body, void *argument) {
  return start_detached(pool, body, argument, NULL);
}

/// Waits until the collector has started all workers, or has given up and cleared everything away.
static wp_status await_start(wp_process_pool *pool, wp_error *error) {
  pthread_mutex_lock(&pool->lock);
  while (pool->life.phase == WP_POOL_STARTING || (pool->life.phase == WP_POOL_FAILED && !pool->users.finished)) {
    pthread_cond_wait(&pool->changed, &pool->lock);
  }
  bool failed = pool->life.phase == WP_POOL_FAILED;
  wp_error found = pool->life.start_error;
  pid_t thread = pool->users.collector_thread;
  pthread_mutex_unlock(&pool->lock);
  if (!failed) return WP_OK;
  wp_thread_await_exit(thread);
  if (pool->life.breakage.reason != NULL && pool->settings.hooks.start_failed != NULL) {
    pool->settings.hooks.start_failed(pool->settings.hooks.context, &pool->life.breakage);
  }
  if (error != NULL) *error = found;
  return found.status;
}

static wp_status build(wp_process_pool *pool, const wp_process_pool_config *config, const wp_place *places,
                       wp_error *error) {
  wp_status status = allocate(pool, config, error);
  if (status == WP_OK) status = share_memory(pool, config, places, error);
  if (status == WP_OK) status = make_cgroups(pool, config, error);
  if (status == WP_OK) status = note_origin(pool, error);
  if (status == WP_OK) status = wp_workers_start_template(pool, error);
  if (status == WP_OK) {
    status = start_collector(pool, error);
    if (status == WP_OK) return await_start(pool, error);
    wp_workers_end(pool);
  }
  wp_collector_tear_down(pool);
  return status;
}

/// For as many workers as there may ever be, or as a file may hold; for no fewer than `count`, which is left for the system to
/// refuse.
static wp_geometry lay_out_for(const wp_process_pool_config *config, uint32_t count, const wp_reserve *reserve,
                               size_t max_payload) {
  wp_process_output output[WP_STREAM_COUNT];
  wp_process_settings_resolve(config, output);
  size_t initializer_length = config->initializer == NULL ? 0 : config->initializer->length;
  for (uint32_t capacity = WP_PROCESS_POOL_MAX_WORKERS;; capacity = capacity / 2 < count ? count : capacity / 2) {
    wp_geometry geometry = wp_geometry_of(capacity, reserve, max_payload);
    wp_geometry_extend(&geometry, output, initializer_length);
    if (capacity == count || wp_geometry_largest(&geometry) <= wp_memory_file_limit()) return geometry;
  }
}

/// Lays the memory out, and reserves less where there is not the address space for `count` workers, and some of it left for the
/// program. The least is left for the system to refuse.
static wp_geometry lay_out(const wp_process_pool_config *config, uint32_t count, uint32_t prefetch, size_t max_payload) {
  wp_reserve reserve = wp_reserve_most(prefetch);
  for (;;) {
    wp_geometry geometry = lay_out_for(config, count, &reserve, max_payload);
    uint64_t channels = count * wp_geometry_channel(&geometry);
    if (wp_memory_has_room(channels + channels / WP_LEFT_OF_SPACE)) return geometry;
    if (!wp_reserve_less(&reserve, config->prefetch != 0)) return geometry;
  }
}

static wp_process_pool *new_pool(const wp_process_pool_config *config, uint32_t count, wp_start_method method) {
  wp_process_pool *pool = (wp_process_pool *)calloc(1, sizeof *pool);
  if (pool == NULL) return NULL;
  size_t max_payload = config->max_payload == 0 ? WP_PROCESS_DEFAULT_MAX_PAYLOAD : config->max_payload;
  uint32_t prefetch = config->prefetch;
  // Address space is reserved for each task that a worker may hold.
  if (prefetch == 0) prefetch = max_payload <= WP_PROCESS_DEFAULT_MAX_PAYLOAD ? WP_PROCESS_MAX_PREFETCH : WP_LEAST_AHEAD;
  pool->geometry = lay_out(config, count, prefetch, max_payload);
  pool->size.bound = count;
  wp_atomic_init(&pool->size.wanted, count);
  pool->settings.ahead_follows_tasks = config->prefetch == 0;
  pool->queue.ahead = pool->geometry.prefetch;
  if (config->prefetch == 0 && pool->queue.ahead > WP_LEAST_AHEAD) pool->queue.ahead = WP_LEAST_AHEAD;
  wp_atomic_init(&pool->forker.method, (uint32_t)method);
  wp_supervise_init(pool, config);
  pool->settings.spin_ns = config->spin_ns == 0 ? WP_SPIN_DEFAULT_NS : config->spin_ns;
  if (config->spin_ns == WP_SPIN_NEVER) pool->settings.spin_ns = 0;
  pool->settings.sandbox = config->sandbox;
  pool->settings.handler = config->handler;
  pool->settings.handler_context = config->handler_context;
  pool->settings.hooks = config->hooks;
  pool->settings.fork_generation = wp_fork_generation();
  wp_signals_mask(NULL, 0, &pool->settings.signal_mask);
  pool->users.references = 1;
  wp_atomic_init(&pool->role.holder, WP_ROLE_HELD);  // ours until the collector runs, then its own
  pool->memory.files = (wp_pool_files){-1, -1, -1, -1};
  pool->forker.socket = pool->forker.pidfd = pool->forker.ends = -1;
  pool->bells.collector = pool->bells.leader = (wp_event){-1, -1};
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);  // held for a microsecond at most: spin first
  pthread_mutex_init(&pool->lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&pool->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  wp_atomic_init(&pool->bells.look_ns, UINT64_MAX);
  wp_task_table_init(&pool->tasks);
  return pool;
}

wp_status wp_process_pool_create(const wp_process_pool_config *config, wp_process_pool **result, wp_error *error) {
  wp_start_method method;
  uint32_t count = config->worker_count;
  wp_place *places = NULL;
  wp_status status = check(config, error);
  if (status == WP_OK) status = pick_method(config, &method, error);
  if (status == WP_OK) status = wp_places_find(&config->affinity, false, &count, &places, error);
  if (status != WP_OK) {
    free(places);
    return status;
  }
  wp_process_pool *pool = new_pool(config, count, method);
  status = pool == NULL ? wp_fail(error, WP_SYSTEM_CALL_FAILED, ENOMEM, "calloc", NULL)
                        : build(pool, config, places, error);
  free(places);
  if (status == WP_OK) {
    wp_share_join(pool);
    *result = pool;
  } else if (pool != NULL) {
    pool->settings.hooks.destroy = NULL;  // a call that fails leaves the context to its caller
    wp_handle_drop(pool);
  }
  return status;
}
