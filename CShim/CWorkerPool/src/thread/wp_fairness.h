// Fairness: every place where a job can stand, and the bound on its wait there.
//
// A worker prefers what is near: its own newest job, then its node's queue, then what others have. Such an order starves
// whatever stands further down as long as there is more further up. So every `interval` jobs a worker takes a turn: it looks
// at one of the places below first, each in its turn. A turn whose place is empty goes on to the next, so none is wasted.
//
//   place                                 who looks there first        bound, in jobs of one worker
//   ───────────────────────────────────── ──────────────────────────── ─────────────────────────────────────────────
//   the worker's own deque, newest job    its owner, at once           none waits: it is taken next
//   the worker's own deque, oldest job    its owner                    TURNS · interval
//   what was put back to a node           the node's workers, before   as the injector, in whose order it stands
//                                         the injector
//   the injector of the worker's node     its workers                  TURNS · interval, and the jobs before it
//   the injector of another node          that node's workers          nodes · TURNS · interval, and the jobs before it
//   the deque of another worker, awake,   its owner, if it has one;    deques with jobs · TURNS · interval for each
//   blocked or ended, or of a spare,      idle workers                 WP_FAIR_TAKE jobs before it, or WP_FAIR_TAKE_FEW of the
//   at work, benched or ended                                          last 64, and a TURNS · interval for each WP_FAIR_LOOKS
//                                                                      empty deques
//   aside (jobs that stood above forked   idle workers                 TURNS · interval, and the jobs before it
//   work on a deque)
//   a stack job (a fork)                  its owner, who waits for it  as the deque in which it stands
//
// The interval is 61 jobs (the Go scheduler's number), up to the next stop, and 7 where tasks are long and a look costs nothing
// beside them; there a turn takes one job from a deque, so that no place gets more than its share. With tasks of 2 µs a place
// has its turn every half of a millisecond.
//
// A job that was handed to a thread stands nowhere: a worker that sleeps holds no job, and one that is about to end leaves
// its deque to the others.
#ifndef WP_FAIRNESS_H
#define WP_FAIRNESS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum wp_turn { WP_TURN_INJECTORS, WP_TURN_OWN_OLDEST, WP_TURN_DEQUES, WP_TURN_ASIDE, WP_TURNS } wp_turn;

/// Jobs between two turns.
#define WP_FAIR_INTERVAL 61u
/// The same where tasks are long.
#define WP_FAIR_INTERVAL_LONG 7u
/// Jobs from one stop to the next, at which a worker sees whether it is time for a turn, and whether jobs have become long.
#define WP_FAIR_STRETCH 13u
/// How many deques a turn looks at.
#define WP_FAIR_LOOKS 16u
/// How many jobs a turn takes from the first deque that has some; and from one that has so few that they may be the rest of a
/// batch, whose order is of worth if they are long.
#define WP_FAIR_TAKE 32u
#define WP_FAIR_TAKE_FEW 8u

/// One worker's; only it touches it. All zero: the first turn is near.
typedef struct wp_fairness {
  /// Jobs until the next stop, and from the last one to the next.
  uint32_t countdown;
  uint32_t stretch;
  /// Jobs from the last stop until the next turn.
  int32_t until_turn;
  /// How many turns there were.
  uint32_t turns;
  /// Where the next look at deques begins.
  uint32_t next_deque;
} wp_fairness;

/// Counts a job. True at a stop.
static inline bool wp_fairness_is_due(wp_fairness *fairness) {
  if (fairness->countdown != 0) {
    fairness->countdown--;
    return false;
  }
  return true;
}

/// Has the next stop come after so many jobs, at least one, the one that is looked for now among them.
static inline void wp_fairness_stop_after(wp_fairness *fairness, uint32_t jobs) {
  fairness->until_turn -= (int32_t)(fairness->stretch - fairness->countdown);
  fairness->stretch = jobs;
  fairness->countdown = jobs - 1;
}

/// Whether it is time for a turn. The next one then comes after so many jobs.
static inline bool wp_fairness_is_turn(wp_fairness *fairness, uint32_t interval) {
  if (fairness->until_turn > 0) return false;
  fairness->until_turn = (int32_t)interval;
  return true;
}

#endif
