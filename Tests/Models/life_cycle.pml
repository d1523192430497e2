/*
 * Model of the life of a pool: how its threads start, block, are replaced, leave and end, while the pool is resized and
 * closed. It covers thread/wp_threads.c, wp_blocked.c, wp_spares.c, wp_sleep.c, wp_guest.c and wp_shutdown.c. A worker's life and the pool's life are drawn in thread/wp_thread_state.h.
 *
 * The first WORKERS slots are those of workers, the others those of spares. A slot is used again when its thread has
 * ended. Under the lock stand `threads` (the slots that STAY or LEAVE), `blocked` (how many of these wait), `blocked_for_pool`
 * (how many wait for jobs of this pool) and `wanted` (the slots that STAY). The rules:
 *   - Whoever blocks calls up a spare if less than `wanted` would be left, in a DRAINING pool only if work is visible.
 *     Workers end there. So there one thread is wanted as long as one is blocked, and the slot of a worker that has
 *     ended serves like that of a spare: in an open pool that worker would run the work.
 *   - A thread that ends looks whether it is needed again, since it was counted as one that may run.
 *   - When all threads are blocked for the pool, and none of them goes on, one wait is refused: that which begins, or
 *     another if nobody can refuse that (a structured wait).
 *   - While more than `wanted` are not blocked, a spare may step down, and a worker that a resize made surplus may end.
 *
 * A thread counts itself as blocked before it registers with what it awaits, and out only when it runs again. So a
 * refusal asks each waiter whether it goes on: whether it does not sleep yet, or was woken. A waiter that then falls
 * asleep looks whether it was the last one that did not (edge ASLEEP).
 *
 * Which function a step stands for:
 *   life_cycle.counting     named there; wait_for: Future.sleep of the Swift layer
 *   prepare, notify_one and so on   wp_event_count_*; end_wait, leave_stack, drained, expendable: wp_sleep.c
 *   leave, step_down        wp_threads_leave, wp_spares_step_down
 *   end_thread, join_pool   wp_threads_end, wp_threads_join
 *   Closer                  wp_thread_pool_close, then _join or _release; Resizer: wp_roster_fill
 *   guest, give_back        wp_guest_begin, wp_guest_end
 *
 * What the jobs do is a program (life_cycle.programs). Flags: CLOSING closes the pool at any moment and joins it, with
 * TWO_JOINERS twice, with RELEASE not at all; SUBMIT submits one more job from outside at any moment; CANCELLED=n
 * cancels job n; RESIZE=1 brings the number of workers from 2 to 1 and back, RESIZE=2 from 1 to 2 and back, with
 * RESIZES=1 not back.
 *
 * Checked:
 *   - No thread that has ended stands in the event count's stack. No slot without a thread is signalled.
 *   - At rest each accepted job has run, once.
 *   - Each thread is joined or detached, once. A join returns only when all threads have exited, but for those that
 *     ended in the open pool and were detached.
 *   - No thread starts in a DRAINING pool, except in the place of a blocked one while work is visible.
 *   - A wait is refused only when each thread waits for a job that has not ended and no spare can be called up. At rest
 *     no pool is in that state, and nobody waits but for such a cycle as leaves a thread free. A closed pool ends.
 *   - At rest no thread sleeps without a deadline that is one too many and may leave.
 *   - A wp_blocking is there when it is woken.
 *   - With `ends` in run.sh: no run goes on for ever, so no thread spins.
 *
 * What is one step: a critical section, since only hints are read outside the lock; a look at all queues; a CAS loop on
 * the event count's word. What happens between two loads of the last two is event_count.pml's, as are batches and
 * workers that search of their own accord. A futex is a word that its sleeper waits for. A thread that cannot be
 * started is like a lower limit. A time may be up at any moment or never. Hooks, several nodes and waits inside waits
 * are left out.
 *
 * Planted bugs, each of which must be found:
 *   BUG_ENDS_IN_STACK        a thread of a draining pool ends without leaving the stack
 *   BUG_ENDS_UNWOKEN         it ends when it was popped already, without waiting for the signal
 *   BUG_LONE_SLEEPER         in a draining pool, a thread that cannot leave the stack wakes one instead of all
 *   BUG_END_UNRESOLVED       a thread ends without looking whether all others wait for the pool now
 *   BUG_SPARE_ENDS_FOR_GOOD  a thread ends without looking whether it is needed again
 *   BUG_ENDED_NOT_REPLACED   a draining pool starts no thread in the slot of a worker that has ended
 *   BUG_NONE_WANTED          a draining pool wants nobody when all its workers have ended
 *   BUG_BENCHED_LEFT         close leaves the benched spares where they are
 *   BUG_NOT_JOINED           a thread does not join the one that ended before it
 *   BUG_NOT_DETACHED         the last thread of a released pool does not detach itself
 *   BUG_OPEN_NOT_DETACHED    nor does one that ends in an open pool
 *   BUG_RESIZE_LOOKS_EARLY   resize looks whether the pool is open before it takes the lock
 *   BUG_LEAVES_SILENTLY      a spare that was woken for work steps down without passing the wake on
 *   BUG_STEP_DOWN_UNCHECKED  a spare steps down without looking at the counters again under the lock
 *   BUG_LINGERS              a wait that ends wakes nobody who is one too many now
 *   BUG_UNCOUNTED            a wait for others is not counted, such as the shutdown of another pool
 *   BUG_STRUCTURED_UNCOUNTED a structured wait that gets no spare is not counted
 *   BUG_AWAKE_REFUSED        a refusal does not ask whether a waiter goes on
 *   BUG_ENDING_UNSEEN        a refusal does not ask whether a spare is about to end, and so to be free
 *   BUG_NO_LOOK_ASLEEP       a waiter that falls asleep does not look whether it was the last one
 *   BUG_LOOKS_BEFORE_ASLEEP  it looks before it falls asleep
 *   BUG_REFUSED_GOES         a refused waiter goes although it could not unregister
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef SPARES
#define SPARES 0
#endif
#if RESIZE == 2
#define FIRST_WANTED 1
#else
#define FIRST_WANTED WORKERS
#endif
#ifndef RESIZES
#define RESIZES 2
#endif
#define SLOTS (WORKERS + SPARES)
#define NOBODY 0 /* an index + 1 */
#define NONE 15
#define BIT(n) (1 << (n))

/* How a thread waits. */
#define NOT_COUNTED 0
#define FOR_OTHERS 1
#define TIMED 2 /* for others, or until a time */
#define FOR_POOL 3
#define STRUCTURED 4 /* for the pool, and nobody can refuse it */
#define IS_FOR_POOL(kind) ((kind) >= FOR_POOL)

#include "life_cycle.programs"

mtype = { OPEN, DRAINING, ENDED };
mtype = { ABSENT, STAYS, LEAVES, BENCHED, ENDING };
mtype = { IDLE, SLEEPING, WOKEN, BROADCAST };
mtype = { GONE, BEGUN, AWAITED, REFUSED, COMPLETED };

/* wp_thread_pool. `life` is written under the lock and read anywhere. */
mtype life = OPEN;
bool injector_closed = false;
byte queue[SLOTS + 1]; /* sets of jobs: the deques, by slot, and the injector */
#define INJECTOR SLOTS
#define WORK_IN(q) (queue[q] != 0)
#if SLOTS == 1
#define WORK_VISIBLE ((queue[0] | queue[1]) != 0)
#define NONE_LIVES (slot[0] == ABSENT)
#elif SLOTS == 2
#define WORK_VISIBLE ((queue[0] | queue[1] | queue[2]) != 0)
#define NONE_LIVES (slot[0] == ABSENT && slot[1] == ABSENT)
#else
#define WORK_VISIBLE ((queue[0] | queue[1] | queue[2] | queue[3]) != 0)
#define NONE_LIVES (slot[0] == ABSENT && slot[1] == ABSENT && slot[2] == ABSENT)
#endif

/* wp_event_count, and its waiters by slot */
byte top = NOBODY;
bool searching = false;
byte below[SLOTS];
mtype signal[SLOTS] = IDLE;

/* wp_threads, under the lock; the counters and the lives are read outside it as hints. */
mtype slot[SLOTS] = ABSENT;
byte threads = 0, blocked = 0, wanted = 0;
byte blocked_for_pool = 0;
bool nearly_deadlocked = false;
byte lingering = 0;
byte last_ended = NOBODY; /* the thread that nobody has joined yet */
bool released = false;

/* wp_blocking, by slot. All but the word stands under the lock. */
mtype word[SLOTS] = GONE;
byte counted[SLOTS] = NOT_COUNTED;
byte awaits[SLOTS];
byte listed = 0; /* a set */

/* What jobs wait for: jobs and promises. One thread at most waits for each job. */
byte done = 0;
byte waiter[ITEMS] = NOBODY;

/* Bookkeeping of the checks. Threads are numbered as they start. */
byte begun = 0, cancelled = 0;
byte started = 0, exited = 0, joined = 0, detached = 0;
bool is_joined = false;

byte i = 0, s = 0; /* for steps that nobody interrupts; 0 between them */

#include "life_cycle.event_count"
#include "life_cycle.counting"
#include "life_cycle.steps"

proctype Thread(byte me; byte tid) {
  byte chain = NOBODY, popped = NOBODY, to_wake = NOBODY, previous = NOBODY;
  byte job = 0, awaited = 0, how = 0;
  bool i_search = false, got = false, draining = false, sees = false, lingers = false;

#ifdef GUEST
  if
  :: tid == GUESTS_ID -> goto guest
  :: else
  fi;
#endif
next_job:
  if /* leaves */
  :: MAY_LEAVE && HAS_SURPLUS ->
     if
     :: me < WORKERS -> goto leave
     :: else -> goto step_down
     fi
  :: atomic { !(MAY_LEAVE && HAS_SURPLUS) -> take() }
  fi;
looked:
  if
  :: got -> goto run_it
  :: else
  fi;

  do /* wp_sleep_for_job */
  :: true ->
     if
     :: HAS_SURPLUS -> notify_expendable(); got = false; prepare()
     :: d_step { !HAS_SURPLUS -> push() }
     fi;
     d_step { draining = (life == DRAINING); sees = WORK_VISIBLE }
     if
     :: draining && !sees -> goto drained
     :: sees -> retract()
     :: else
     fi;
     if
#ifndef BUG_LONE_SLEEPER
     :: !got && sees && draining -> notify_all() /* itself, too: those above may end when nobody else wakes anybody */
     :: !got && sees && !draining -> notify_one()
#else
     :: !got && sees -> notify_one()
#endif
     :: else
     fi;
     draining = false;
     sees = false;
     if
     :: got -> got = false
     :: else ->
        if
        :: MAY_LEAVE -> goto expendable
        :: else
        fi;
        fall_asleep();
end_asleep: /* a rightful end in an open pool; init asserts the rest */
        await_signal();
woken:
        if
#ifdef BUG_LEAVES_SILENTLY
        :: MAY_LEAVE && HAS_SURPLUS -> d_step { searching = searching && !i_search; i_search = false } goto next_job
        :: MAY_LEAVE && !HAS_SURPLUS -> end_wait(); goto next_job
#else
        :: MAY_LEAVE -> end_wait(); goto next_job
#endif
        :: else
        fi
     fi;
     atomic { take() }
     if
     :: got -> end_wait(); goto run_it
     :: else
     fi
  od;

expendable: /* sleep_expendable */
  if
  :: me < WORKERS
  :: me >= WORKERS -> /* its time is never up */
     fall_asleep();
end_expendable:
     await_signal(); goto woken
  :: me >= WORKERS ->
     fall_asleep();
     if
     :: d_step {
          signal[me] == WOKEN || signal[me] == BROADCAST ->
          i_search = (signal[me] == WOKEN);
          signal[me] = IDLE
        }
        goto woken
     :: d_step { signal[me] == IDLE || signal[me] == SLEEPING -> signal[me] = IDLE }
     fi
  fi;
  d_step { /* wp_threads_linger */
    lingers = (slot[me] != LEAVES || !HAS_SURPLUS || life != OPEN);
    lingering = lingering + lingers
  }
  if
  :: lingers ->
     fall_asleep();
end_lingering:
     await_signal();
     d_step { lingering--; lingers = false }
  :: else -> leave_stack()
  fi;
  goto woken;

drained: /* end_drained */
  draining = false;
#ifdef BUG_ENDS_IN_STACK
  goto ending;
#endif
  leave_stack();
  atomic { take() }
  if
  :: got || i_search -> end_wait()
  :: else
  fi;
  if
  :: got -> goto run_it
  :: else -> goto ending
  fi;

run_it:
  run_job();
#ifdef GUEST
  if
  :: tid == GUESTS_ID -> goto give_back
  :: else
  fi;
#endif
  goto next_job;

leave: /* wp_threads_leave */
  skip;
  d_step {
    got = (slot[me] == LEAVES && HAS_SURPLUS && life == OPEN);
    if
    :: got -> set_life(me, ENDING)
    :: else
    fi
  }
  if
  :: got -> got = false
  :: else -> atomic { take() } goto looked
  fi;
#ifndef BUG_LEAVES_JOBS
  if
  :: WORK_IN(me) -> notify_one()
  :: else
  fi;
#endif
  goto ending;

step_down: /* wp_spares_step_down */
  skip;
#ifndef BUG_LEAVES_JOBS
  if
  :: WORK_IN(me) -> notify_one()
  :: else
  fi;
#endif
  d_step {
#ifdef BUG_STEP_DOWN_UNCHECKED
    got = (life == OPEN);
#else
    got = (HAS_SURPLUS && life == OPEN);
#endif
    if
    :: got -> set_life(me, BENCHED)
    :: else
    fi
  }
  if
  :: got -> got = false
  :: else -> atomic { take() } goto looked
  fi;
  if
  :: true -> /* its time is never up */
end_benched:
     slot[me] != BENCHED
  :: true ->
     if
     :: slot[me] != BENCHED
     :: d_step { slot[me] == BENCHED -> set_life(me, ENDING) }
     fi
  fi;
  if
  :: slot[me] == LEAVES -> goto next_job
  :: else
  fi;

ending:
  end_thread();
  if
#ifdef BUG_NOT_JOINED
  :: true
#else
  :: previous != NOBODY -> join_thread(previous - 1)
  :: else
#endif
  fi;
  d_step { exited = exited | BIT(tid); previous = NOBODY }
#ifdef GUEST
  goto gone;

guest: /* wp_guest_begin */
  if
  :: life == OPEN -> /* some time before the next step */
     d_step { /* wp_event_count_borrow */
       if
       :: top != NOBODY && top <= WORKERS && signal[top - 1] == SLEEPING ->
          me = top - 1;
          top = below[me];
          got = true;
          begun = begun | BIT(GUESTS_JOB)
       :: else
       fi
     }
  :: else
  fi;
  if
  :: got -> job = GUESTS_JOB; goto run_it
  :: else -> d_step { done = ALL_JOBS } goto gone /* refused */
  fi;
give_back: /* wp_guest_end */
  prepare();
  if
  :: life != OPEN || slot[me] == LEAVES -> notify_all()
  :: else -> pass_on()
  fi;
gone:
#endif
  skip
}

#include "life_cycle.outside"

init {
  atomic {
    queue[INJECTOR] = INITIAL;
    start(0, STAYS);
#if FIRST_WANTED > 1
    start(1, STAYS);
#endif
#ifdef GUEST
    run Thread(0, GUESTS_ID);
#endif
#if KEPT_OUTSIDE > 0
    run Outside();
#endif
#ifdef CANCELLED
    run Canceller();
#endif
#ifdef SUBMIT
    run Submitter();
#endif
#ifdef RESIZE
    run Resizer();
#endif
#ifdef CLOSING
    run Closer();
#endif
#ifdef TWO_JOINERS
    run Joiner();
#endif
  }
  timeout; /* nobody can go on */
  d_step {
    assert(threads > blocked_for_pool || threads == 0);
    assert(!(HAS_SURPLUS && lingering > 0));
#if !defined(CYCLE) || defined(CLOSING)
    assert((done & ALL_JOBS) == ALL_JOBS && blocked == 0);
#endif
#ifdef CLOSING
    assert(life == ENDED && top == NOBODY);
#endif
    /* Each thread that has exited, and in an ended pool each. */
    assert((joined | detached) == exited && (joined & detached) == 0);
#ifdef CLOSING
    assert(exited == BIT(started) - 1)
#endif
  }
}
