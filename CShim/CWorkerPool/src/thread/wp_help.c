#include "wp_help.h"

#include "wp_blocked.h"
#include "wp_worker.h"

#include "../platform/wp_clock.h"

#define LOOKS_PER_CLOCK 16

static bool is_set(void *latch) { return wp_latch_is_set((wp_latch *)latch); }

static void wait_asleep(wp_worker *self, wp_latch *latch) {
  wp_blocking_state blocking;
  wp_blocked_begin_structured(self, &blocking, is_set, latch);
  wp_latch_wait(latch);
  wp_blocked_end(&blocking);
}

void wp_help_until_set(wp_worker *self, wp_latch *latch, wp_find_help find, void *awaited) {
  wp_job found;
  uint64_t deadline = 0;
  bool is_last = false;
  while (!wp_latch_is_set(latch)) {
    if (find(self, awaited, is_last, &found)) {
      self->helping++;
      wp_worker_run(self, found);
      self->helping--;
      deadline = 0;
      continue;
    }
    if (is_last) {
      wait_asleep(self, latch);
      return;
    }
    for (int i = 0; i < LOOKS_PER_CLOCK && !wp_latch_is_set(latch); i++) wp_cpu_relax();
    uint64_t now = wp_clock_now();
    if (deadline == 0) deadline = now + self->pool->spin_ns;
    if (now < deadline || wp_latch_is_set(latch)) continue;
    is_last = !wp_latch_wait_until(latch, now + WP_HELP_SPARE_AFTER_NS);
  }
}
