// The worker's side of the hostile scenarios: writes nonsense wherever a worker can write that the host reads.
#include "hostile.h"

#include "../../CShim/CWorkerPool/src/process/shared/wp_process_layout.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// The writes race with everything, on purpose.
#define RACES __attribute__((no_sanitize("thread")))

/// One scribbler: the thread, or the task.
typedef struct scribbler {
  uint64_t random;
  wp_channel channel;
  wp_geometry geometry;
  wp_atomic_u64 *counter;
  /// Of 256 scribbles, how many are loud.
  uint32_t loudness;
} scribbler;

static uint64_t roll(scribbler *self) {
  self->random ^= self->random << 13;
  self->random ^= self->random >> 7;
  self->random ^= self->random << 17;
  return self->random;
}

/// A number that a check may get wrong.
static uint64_t odd_number(scribbler *self) {
  static const uint64_t numbers[] = {
      0, 1, WP_REPLY_INLINE - 1, WP_REPLY_INLINE, WP_REPLY_INLINE + 1, 4095, 4096, 4097, HOSTILE_MAX_PAYLOAD - 1,
      HOSTILE_MAX_PAYLOAD, HOSTILE_MAX_PAYLOAD + 1, INT32_MAX, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX,
      (uint64_t)INT64_MAX + 1, UINT64_MAX - 4096, UINT64_MAX - 1, UINT64_MAX};
  uint64_t choice = roll(self) % (sizeof numbers / sizeof numbers[0] + 4);
  return choice < sizeof numbers / sizeof numbers[0] ? numbers[choice] : roll(self) >> roll(self) % 64;
}

RACES static void put(scribbler *self, void *place, size_t size) {
  uint64_t number = odd_number(self);
  if (size == sizeof(uint32_t)) *(volatile uint32_t *)place = (uint32_t)number;
  else *(volatile uint64_t *)place = number;
}

RACES static void put_bytes(scribbler *self, unsigned char *from, size_t length) {
  uint64_t bits = roll(self);
  for (size_t i = 0; i < length; i++) ((volatile unsigned char *)from)[i] = (unsigned char)(bits >> i % 57);
}

// MARK: What no host can tell from a result

static void scribble_reply(scribbler *self) {
  wp_reply_slot *slot = wp_channel_reply(&self->channel, &self->geometry, (uint32_t)roll(self));
  switch (roll(self) % 7) {
  case 0: put(self, &slot->code, sizeof slot->code); break;
  case 1: put(self, &slot->length, sizeof slot->length); break;
  case 2: put(self, &slot->started_ns, sizeof slot->started_ns); break;
  case 3: put(self, &slot->ended_ns, sizeof slot->ended_ns); break;
  case 4: put(self, &slot->touched, sizeof slot->touched); break;
  case 5: put(self, &slot->offset, sizeof slot->offset); break;
  default: put_bytes(self, slot->bytes, sizeof slot->bytes); break;
  }
}

static void scribble_status(scribbler *self) {
  wp_channel_status *status = wp_channel_get_status(&self->channel);
  wp_atomic_u32 *words[] = {&status->sleeping,       &status->ready,        &status->failed_call,  &status->failed_errno,
                            &status->forbidden_call, &status->initializing, &status->fault_starved,
                            &status->fault_near_zero};
  uint64_t choice = roll(self) % (sizeof words / sizeof words[0] + 1);
  if (choice < sizeof words / sizeof words[0]) put(self, words[choice], sizeof *words[choice]);
  else put(self, &status->fault_data, sizeof status->fault_data);
}

static void scribble_results(scribbler *self) {
  uint32_t buffer = (uint32_t)(roll(self) % self->geometry.result_buffers);
  unsigned char *start = (unsigned char *)wp_channel_results(&self->channel, &self->geometry, buffer);
  put_bytes(self, start + roll(self) % (self->geometry.buffer_size - 512), 512);
}

// MARK: What a host can tell

/// A word that some position shows at some time, or any other.
RACES static void scribble_state(scribbler *self) {
  wp_reply_slot *slot = wp_channel_reply(&self->channel, &self->geometry, (uint32_t)roll(self));
  uint32_t position = (*(volatile uint32_t *)&slot->state >> 3) + (uint32_t)(roll(self) % 5 * 4) - 8;
  if (roll(self) % 4 == 0) put(self, &slot->state, sizeof slot->state);
  else *(volatile uint32_t *)&slot->state = wp_slot_word(position, (uint32_t)(roll(self) % 8));
}

static void scribble_signal(scribbler *self) {
  wp_channel_signal *signal_line = wp_channel_get_signal(&self->channel);
  put(self, &signal_line->word, sizeof signal_line->word);
}

static void scribble_loudly(scribbler *self) {
  switch (roll(self) % 4) {
  case 0: scribble_signal(self); break;
  case 1: put_bytes(self, self->channel.worker_part, self->geometry.worker_fixed); break;
  default: scribble_state(self); break;
  }
}

// MARK: What the host hears

/// Rings all bells as often as they take it, and writes to the socket on which the host sends shared memories.
static void make_noise(scribbler *self) {
  for (int descriptor = STDERR_FILENO + 1; descriptor < 2048; descriptor++) {
    struct stat kind;
    uint64_t words[4] = {odd_number(self), roll(self), roll(self), roll(self)};
    if (fstat(descriptor, &kind) != 0) continue;
    if (S_ISSOCK(kind.st_mode)) {
      send(descriptor, words, 1 + roll(self) % sizeof words, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (!S_ISREG(kind.st_mode) && !S_ISDIR(kind.st_mode) && !S_ISCHR(kind.st_mode)) {
      ssize_t written = write(descriptor, words, sizeof words[0]);
      (void)written;
    }
  }
}

// MARK: The hostile worker

static void scribble_once(scribbler *self) {
  uint64_t choice = roll(self) % 256;
  if (choice < self->loudness) scribble_loudly(self);
  else if (choice % 32 == 31) make_noise(self);
  else if (choice % 8 == 7) scribble_results(self);
  else if (choice % 8 == 6) scribble_status(self);
  else scribble_reply(self);
  // A worker that is told to sleep on would only look idle.
  if (choice % 16 == 15) wp_word_wake_all(&wp_channel_get_status(&self->channel)->sleeping);
  wp_atomic_fetch_add(self->counter, 1u, wp_relaxed);
  for (uint64_t i = roll(self) % 64; i > 0; i--) wp_cpu_relax();
}

static void *scribble_for_ever(void *argument) {
  scribbler *self = (scribbler *)argument;
  for (;;) scribble_once(self);
  return NULL;  // gcc wants one
}

void scribble(const wp_process_request *request, wp_process_reply *reply) {
  hostile_task task;
  memcpy(&task, request->bytes, sizeof task);
  if (wp_process_worker_index() != HOSTILE_INDEX) return;
  static scribbler beside;
  scribbler self;
  int32_t error = 0;
  wp_shared_view *view = wp_process_worker_view(task.memory, &error);
  if (view == NULL) return;  // the noise in its socket
  self.counter = (wp_atomic_u64 *)wp_shared_view_address(view);
  self.random = task.seed | 1;
  wp_reserve reserve = wp_reserve_most(HOSTILE_PREFETCH);
  self.geometry = wp_geometry_of(HOSTILE_WORKERS, &reserve, HOSTILE_MAX_PAYLOAD);
  self.channel.host_part = NULL;
  // A small result stands in its slot, and the slots on the first page of what a worker can write.
  uintptr_t slot = (uintptr_t)wp_process_reply_reserve(reply, 1);
  self.channel.worker_part = (unsigned char *)(slot & ~(uintptr_t)(self.geometry.worker_fixed - 1));
  self.loudness = task.way == SCRIBBLE_LOUDLY ? 64 : task.way == SCRIBBLE_BESIDE ? 1 : 0;
  if (task.way == SCRIBBLE_BESIDE && beside.counter == NULL) {
    beside = self;
    pthread_t thread;
    if (pthread_create(&thread, NULL, scribble_for_ever, &beside) != 0) _exit(99);
  }
  for (uint64_t i = roll(&self) % 200; i > 0; i--) scribble_once(&self);
  if (task.way == SCRIBBLE_AND_DIE) kill(getpid(), SIGKILL);
  wp_process_reply_reserve(reply, (size_t)(roll(&self) % 3000));
}
