/*
 * Model of who collects in a process pool: process/host/wp_host_role.c, wp_host_leader.c and look() of
 * wp_host_collector.c, with the workers' wake_host().
 *
 * The collector's thread; two threads that wait for one task each, and sleep with the role if they get it, or spin
 * with -DSPIN; two workers that end one task each. Task 0 has a callback, which a leader leaves to the collector's
 * thread. Task 1 begins only after that thread was rung for and has made a round, which no leader does for it. With
 * -DCANCEL another thread takes task 1 back instead, at any time; with -DONE_WORKER the first worker ends both tasks.
 *
 * Checked: at most one thread has the role; when nobody can go on, every result was collected, every waiting thread
 * has its own, and the callback was called, once.
 *
 * A step is one store, exchange or CAS of a word that others use, or one look. A look may take in several words, since
 * each of them only ever changes to what ends a sleep while the role has the holder who looks. The lock makes no
 * difference where all accesses are in one order. That who waits for a future is woken by its word is future.pml's.
 *
 * Planted bugs, each of which must be found:
 *   BUG_NO_RECHECK         the collector's thread sleeps after WP_COLLECTOR_SLEEPS without a second look
 *   BUG_LEAVE_NO_RECHECK   nor does a leader look again that leaves
 *   BUG_LEAVE_SILENTLY     a leader leaves without WP_COLLECTOR_SLEEPS
 *   BUG_LEADER_NO_RECHECK  a leader sleeps after WP_LEADER_SLEEPS without a second look at the workers
 *   BUG_LEADER_NO_CLAIMED  nor at the role
 *   BUG_LEADER_NO_COME     nor at what it waits for
 *   BUG_NO_WAKE            who takes a task back does not wake the leader
 *   BUG_CLAIMED_ONLY       the collector's thread wants the role without waking the leader
 *   BUG_GIVE_UP_SILENTLY   whoever gives the role up does not look whether it is wanted
 *   BUG_ROLE_BY_STORE      the role is taken by a load and a store
 *   BUG_RING_FIRST         the bell is rung before `attention` is set
 *   BUG_CLEAR_LATE         the bell is cleared after `attention` was read
 *   BUG_SAME_SLEEP         sleeps have no numbers, and a worker rings once for all of a kind
 *   BUG_SLEEP_ON           the collector's thread takes every ring without `attention` for a leader's
 */

#define TASKS 2

mtype = { FREE, HELD, CLAIMED, NOBODY, COLLECTOR, LEADER };

/* wp_process_pool */
mtype role = HELD; /* the collector's thread begins with it */
mtype host_sleeping = NOBODY;
bool attention = false, call_due = false;
bool doorbell = false, leader_bell = false; /* pipes that hold something */
bool published[TASKS]; /* slots that are DONE */
bool collected[TASKS];
bool done[TASKS]; /* futures */
mtype rung[TASKS] = NOBODY; /* by worker: who it has rung for, if the sleep is still the one that was announced last */

/* Bookkeeping of the checks */
byte holders = 1;
byte told = 0;
bool round_wanted = false, second_started = false;
bool collector_waits = false; /* in the futex of `role` */

#define HAS_NEWS ((published[0] && !collected[0]) || (published[1] && !collected[1]))

/* wp_role_announce_sleep: a new number, for which nobody has rung. */
inline announce_sleep(sleeper) {
  d_step {
    host_sleeping = sleeper;
#ifndef BUG_SAME_SLEEP
    rung[0] = NOBODY;
    rung[1] = NOBODY
#endif
  }
}

/* wp_bell_collector */
inline ring_collector() {
#ifdef BUG_RING_FIRST
  doorbell = true;
  attention = true
#else
  attention = true;
  doorbell = true
#endif
}

/* One CAS. `got` is false on entry. */
inline take_role(got) {
#ifdef BUG_ROLE_BY_STORE
  got = (role == FREE);
  if
  :: got -> d_step { role = HELD; holders++; assert(holders == 1) }
  :: else
  fi
#else
  d_step {
    if
    :: role == FREE -> role = HELD; got = true; holders++; assert(holders == 1)
    :: else
    fi
  }
#endif
}

inline give_up() {
  d_step {
    holders--;
#ifndef BUG_GIVE_UP_SILENTLY
    if
    :: role == CLAIMED -> collector_waits = false /* FUTEX_WAKE */
    :: else
    fi;
#endif
    role = FREE
  }
}

/* wp_role_wake_leader */
inline leader_wake() {
  if
  :: d_step { host_sleeping == LEADER -> host_sleeping = NOBODY } leader_bell = true
  :: else
  fi
}

/* Takes the result of task `n`, if it is there, and calls back. */
inline collect_one(n, leading) {
  if
  :: d_step { published[n] && !collected[n] -> assert(holders == 1); collected[n] = true }
     done[n] = true;
     if
     :: n == 0 && leading -> call_due = true; ring_collector() /* wp_process_pool_call */
     :: n == 0 && !leading -> told++
     :: else
     fi
  :: else
  fi
}

active proctype CollectorThread() {
  bool got = false;
round:
  if
  :: d_step { round_wanted -> round_wanted = false; second_started = true }
  :: else
  fi;
  collect_one(0, false);
  collect_one(1, false);
  if
  :: d_step { call_due -> call_due = false; told++ }
  :: else
  fi;
  if
  :: doorbell = false; goto round /* it found something, or spins: a look at the descriptors, now and then */
  :: true
  fi;
  /* look, which may sleep */
  announce_sleep(COLLECTOR);
#ifndef BUG_NO_RECHECK
  if
  :: HAS_NEWS -> doorbell = false; goto awake
  :: else
  fi;
#endif
  give_up(); /* sleep_until_wanted */
  do
  :: true;
end_idle:
     doorbell; /* ppoll */
#ifndef BUG_CLEAR_LATE
     doorbell = false;
#endif
     d_step { got = attention; attention = false }
#ifdef BUG_CLEAR_LATE
     doorbell = false;
#endif
     if
     :: got -> break
#ifndef BUG_SLEEP_ON
     :: !got && host_sleeping == COLLECTOR -> break
     :: !got && host_sleeping != COLLECTOR
#else
     :: else
#endif
     fi
  od;
  got = false;
  do /* wp_role_take_back */
  :: take_role(got);
     if
     :: got -> break
     :: else
     fi;
     d_step {
       if
       :: role == HELD -> role = CLAIMED
       :: else
       fi
     }
#ifndef BUG_CLAIMED_ONLY
     leader_wake();
#endif
     d_step { /* FUTEX_WAIT */
       if
       :: role == CLAIMED -> collector_waits = true
       :: else
       fi
     }
     !collector_waits
  od;
  got = false;
awake:
  host_sleeping = NOBODY;
  goto round
}

/* Ends a leader's turn. */
inline leave() {
#ifndef BUG_LEAVE_SILENTLY
  announce_sleep(COLLECTOR);
#endif
#ifndef BUG_LEAVE_NO_RECHECK
  if
  :: HAS_NEWS -> ring_collector()
  :: else
  fi;
#endif
  give_up()
}

inline spin_leading() {
  do
  :: done[me] || role == CLAIMED || call_due -> break
  :: !done[me] -> break /* the time is up */
  :: !done[me] && HAS_NEWS -> collect_one(0, true); collect_one(1, true)
  od
}

inline sleep_leading() {
  do
  :: done[me] || role == CLAIMED || call_due -> break
  :: else ->
     if
     :: HAS_NEWS -> collect_one(0, true); collect_one(1, true)
     :: else ->
        announce_sleep(LEADER);
        if
#ifndef BUG_LEADER_NO_RECHECK
        :: HAS_NEWS
#endif
#ifndef BUG_LEADER_NO_CLAIMED
        :: role == CLAIMED
#endif
#ifndef BUG_LEADER_NO_COME
        :: done[me]
#endif
        :: else -> leader_bell; leader_bell = false
        fi;
        host_sleeping = NOBODY
     fi
  od
}

/* block(until:) of a future */
proctype Waiting(byte me) {
  bool got = false;
  if
  :: done[me]
  :: !done[me] -> take_role(got)
  fi;
  if
  :: got ->
#ifdef SPIN
     host_sleeping = NOBODY;
     spin_leading();
#else
     sleep_leading();
#endif
     leave()
  :: else
  fi;
  done[me] /* sleeps on the word */
}

/* hand_back, wake_host */
proctype Worker(byte me, last) {
  mtype sleeper;
  byte task = me;
  do
  :: task <= last ->
     me == 0 || second_started;
     published[task] = true;
     d_step {
       sleeper = (rung[me] == host_sleeping -> NOBODY : host_sleeping);
       rung[me] = (sleeper != NOBODY -> sleeper : rung[me]);
       task++
     }
     if
     :: sleeper == COLLECTOR -> doorbell = true
     :: sleeper == LEADER -> leader_bell = true
     :: else
     fi
  :: else -> break
  od
}

/* Takes task 1 back. */
proctype Canceller() {
  done[1] = true;
#ifndef BUG_NO_WAKE
  leader_wake()
#endif
}

active proctype Main() {
  atomic {
    run Waiting(0);
    run Waiting(1);
#ifdef ONE_WORKER
    run Worker(0, 1)
#else
    run Worker(0, 0);
#ifdef CANCEL
    run Canceller()
#else
    run Worker(1, 1)
#endif
#endif
  }
  round_wanted = true;
  ring_collector();
  timeout; /* nobody can go on */
  assert(_nr_pr == 2); /* nobody waits but the collector's thread */
  assert(collected[0] && done[0] && done[1] && told == 1 && second_started);
#ifndef CANCEL
  assert(collected[1]);
#endif
  assert(holders == 0 && role == FREE && host_sleeping == COLLECTOR)
}
