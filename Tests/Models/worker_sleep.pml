/*
 * Model of how a worker process falls asleep and is woken: await_signal() of process/child/wp_process_worker.c against
 * wp_bell_worker() and wp_bell_wake_all() of process/host/wp_host_bell.c.
 *
 * The host publishes TASKS tasks and tells CELLS times that the worker's cells have changed, in any order, and each time
 * looks late whether the worker sleeps, and wakes it later still: after the lock was released. The worker runs tasks and
 * follows its cells.
 *
 * Checked: when nobody can go on, the worker has run all tasks and seen the last of its cells.
 *
 * Planted bugs, each of which must be found:
 *   BUG_NO_RECHECK   the worker sleeps after its store to `sleeping` without a second look at the word
 *   BUG_NUMBERED     it sleeps on the signal word, and the host ends each sleep, which has a number, once
 *   BUG_NO_EXCHANGE  the host wakes it without turning `sleeping` to 0
 */

#ifndef TASKS
#define TASKS 2
#endif
#ifndef CELLS
#define CELLS 1
#endif

byte published = 0, cells = 0; /* the signal word */
byte sleeping = 0;
bool in_futex = false;
byte taken = 0, followed = 0;

active proctype host() {
  byte left_tasks = TASKS, left_cells = CELLS;
  byte woken = 0, seen = 0;
  bool wake;
  do
  :: left_tasks + left_cells > 0 ->
     wake = false;
     if
     :: left_tasks > 0 -> left_tasks--; published++
     :: left_cells > 0 -> left_cells--; cells++
     fi;
     seen = sleeping; /* a step of its own: the worker may have run the task meanwhile */
#ifdef BUG_NUMBERED
     if
     :: seen != 0 && seen != woken -> woken = seen; wake = true
     :: else
     fi;
#else
     if
#ifdef BUG_NO_EXCHANGE
     :: seen != 0 -> wake = true
#else
     :: seen != 0 -> atomic { wake = (sleeping != 0); sleeping = 0 } /* exchange */
#endif
     :: else
     fi;
#endif
     if
     :: wake -> in_futex = false /* futex_wake: lost unless the worker waits */
     :: else
     fi
  :: else -> break
  od;
end:
  /* Nothing comes any more: the worker has to have done all of it, or be on its way. */
  (in_futex || (taken == TASKS && followed == CELLS));
  assert(taken == TASKS && followed == CELLS)
}

active proctype worker() {
  byte seen_tasks = 0, seen_cells = 0, sleeps = 0;
  do
  :: taken < published -> /* is not idle */
     followed = cells;
     taken++
  :: else ->
announce:
     sleeps++;
#ifdef BUG_NUMBERED
     sleeping = sleeps;
#else
     sleeping = 1;
#endif
#ifndef BUG_NO_RECHECK
     atomic { seen_tasks = published; seen_cells = cells };
#endif
     if
     :: seen_tasks > taken -> sleeping = 0
     :: else ->
        followed = cells;
        /* futex_wait: compares and waits in one step */
        atomic {
          if
#ifdef BUG_NUMBERED
          :: published == seen_tasks && cells == seen_cells -> in_futex = true
#else
          :: sleeping == 1 -> in_futex = true
#endif
          :: else
          fi
        };
end_asleep:
        !in_futex;
        goto announce
     fi
  od
}
