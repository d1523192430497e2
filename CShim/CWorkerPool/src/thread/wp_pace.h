// Pace: how many jobs a worker takes from an injector at once.
//
// A batch spares the queue's cost, and gives away order: what stands in a worker's own deque waits behind whatever that
// worker does. Both are worth having only where the other costs nothing. So batches are for tasks that cost less than some
// 20 µs; longer ones are taken one by one, in the order of their submission.
//
// How long tasks take is known without a clock reading for each: a worker reads the clock when it takes a batch, after the
// batch's first job, and every 13 jobs (wp_fairness.h); where those took as long as a long one, once more after the next job.
// A batch grows from one job, doubling as long as the last one was short. It falls back to one job when the shortest mean of
// the last four batches is long: so one task that the kernel preempted changes little. Where a job that was timed alone was
// long, the rest of the batch goes back to the queue (queue/wp_putback.h). Then, and when a batch has ended with long ones,
// batches grow from one job again: had the kernel preempted one, they are large again after some sixty jobs. So when tasks
// become long, whatever part of a batch has run, each worker begins some 15 of them at most before it takes them one by one.
//
// Sources. The growing batch is TCP's slow start (V. Jacobson, SIGCOMM 1988). Rejected: a fixed batch (it runs 0, 32, 1, 33,
// … of tasks that take milliseconds); a clock reading for each task (20 ns of 60).
#ifndef WP_PACE_H
#define WP_PACE_H

#include <stdbool.h>
#include <stdint.h>

/// Nanoseconds from which a task is long.
#define WP_PACE_LONG_NS 20000u
/// How many batches are remembered.
#define WP_PACE_BATCHES 4u

/// One worker's; only it touches it. All zero: nothing is known.
typedef struct wp_pace {
  /// When the batch at hand was taken, 0 if there is none; and how many jobs the worker had run by then.
  uint64_t began;
  uint64_t jobs_before;
  /// The same of the last look at the clock during the batch.
  uint64_t looked;
  uint64_t jobs_looked;
  /// Mean nanoseconds of a job in the last batches; and how many of them are known.
  uint32_t means[WP_PACE_BATCHES];
  uint32_t known;
  /// How many jobs the next batch may have; 0 counts as 1.
  uint32_t limit;
} wp_pace;

static inline bool wp_pace_is_long(const wp_pace *pace) { return pace->limit <= 1 && pace->known != 0; }

/// The shortest mean of the batches that are remembered.
static inline uint32_t wp_pace_shortest(const wp_pace *pace) {
  uint32_t shortest = UINT32_MAX;
  uint32_t known = pace->known < WP_PACE_BATCHES ? pace->known : WP_PACE_BATCHES;
  for (uint32_t i = 0; i < known; i++) {
    if (pace->means[i] < shortest) shortest = pace->means[i];
  }
  return shortest;
}

/// The next batch has one job.
static inline void wp_pace_begin_anew(wp_pace *pace) { pace->limit = 1; }

/// Ends the batch at hand, if there is one: at `now` the worker has run `jobs` jobs in all. `most` is the largest batch.
static inline void wp_pace_end_batch(wp_pace *pace, uint64_t now, uint64_t jobs, uint32_t most) {
  if (pace->began == 0 || jobs == pace->jobs_before) return;
  uint64_t mean = (now - pace->began) / (jobs - pace->jobs_before);
  bool ends_long = jobs > pace->jobs_looked + 1 && (now - pace->looked) / (jobs - pace->jobs_looked) >= WP_PACE_LONG_NS;
  pace->means[pace->known++ % WP_PACE_BATCHES] = mean < UINT32_MAX ? (uint32_t)mean : UINT32_MAX;
  if (pace->known == 2 * WP_PACE_BATCHES) pace->known = WP_PACE_BATCHES;
  pace->began = 0;
  if (mean < WP_PACE_LONG_NS) {
    uint32_t limit = pace->limit == 0 ? 1 : pace->limit;
    pace->limit = limit < most / 2 ? 2 * limit : most;
  } else if (wp_pace_shortest(pace) >= WP_PACE_LONG_NS) {
    pace->limit = 1;
  }
  if (ends_long) wp_pace_begin_anew(pace);
}

/// Returns how many nanoseconds went by since the last look.
static inline uint64_t wp_pace_look(wp_pace *pace, uint64_t now, uint64_t jobs) {
  uint64_t passed = now - pace->looked;
  pace->looked = now;
  pace->jobs_looked = jobs;
  return passed;
}

static inline void wp_pace_begin_batch(wp_pace *pace, uint64_t now, uint64_t jobs) {
  pace->began = now;
  pace->jobs_before = jobs;
  wp_pace_look(pace, now, jobs);
}

#endif
