/*
 * Model of sleeping and waking: park/wp_event_count.c used by thread/wp_worker.c and wp_thread_pool.c.
 *
 * Two workers, two submitters (JOBS_A and JOBS_B jobs), one thread that may close the pool. With -DCHILD a job submits
 * one more from inside, to its worker's own deque, and may have read `closed` long before it pushes. With -DGUEST a
 * thread from outside works as a worker that sleeps (thread/wp_guest.c): it forks one job, which it may leave behind.
 *
 * Checked:
 *   - Without -DCLOSING the pool comes to rest only with every job run. One job, any of them, waits until all
 *     others have ended, so that work may not stand behind a blocked worker while the other one sleeps.
 *   - With -DCLOSING, at any moment: every accepted job is run, and all workers end. A worker that has ended stands in
 *     no stack, and nobody writes its signal.
 *   - I1: a waiter's signal is written only when it is IDLE or SLEEPING.
 *
 * What is one step here is one step there: a load, or a CAS loop on the event count's word. A CAS loop may be one step
 * because the word's tag makes it fail when the stack changed in between. Queues are counters (their insides are
 * modelled in injector.pml), but a batch on its way from the injector to a deque is in neither, as in refill().
 *
 * Planted bugs, each of which must be found:
 *   BUG_NO_RECHECK         sleep after prepare without the second look
 *   BUG_NO_HANDOVER        the last searcher does not pass the wake on (I2)
 *   BUG_NO_LATE_HANDOVER   nor does one that ended its search in prepare and then found work
 *   BUG_LOOK_BEFORE_CLOSED read `closed` after the look instead of before it, and end without another
 *   BUG_LONE_SLEEPER       in a closed pool, wake one instead of all when the stack cannot be left
 *   BUG_ENDS_UNWOKEN       in a closed pool, end when the stack cannot be left, without waiting for the signal
 *   BUG_SILENT_REFILL      do not announce the rest of a batch
 *   BUG_NO_FUTEX_CHECK     sleep without comparing the futex word
 *   BUG_GUEST_SILENT       a guest does not look for work when it has given its worker back
 *   BUG_GUEST_AWAKE        a guest borrows a worker that is not asleep yet
 *   BUG_GUEST_CLOSED       a guest gives its worker back as if the pool could not have been closed
 */

#ifndef JOBS_A
#define JOBS_A 1
#endif
#ifndef JOBS_B
#define JOBS_B 1
#endif
#ifdef GUEST
#define GUESTS_WORK 2 /* what it forks, and the rest */
#else
#define GUESTS_WORK 0
#endif
#define WORKERS 2
#define NOBODY 0 /* top + 1 == 0 */

mtype = { IDLE, SLEEPING, WOKEN, BROADCAST };

/* wp_event_count.word and the waiters */
byte top = NOBODY; /* index + 1 */
byte searching = 0;
byte below[WORKERS];
mtype signal[WORKERS] = IDLE;
bool in_kernel[WORKERS];

/* wp_thread_pool */
byte injector = 0;
bool injector_closed = false;
bool closed = false;
byte deque[WORKERS];

/* Bookkeeping of the checks */
#ifdef CLOSING
byte unfinished = 0; /* accepted jobs that have not ended */
#else
byte unfinished = JOBS_A + JOBS_B + GUESTS_WORK; /* jobs that have not ended, or not even been submitted */
#endif
byte ended = 0; /* workers that have */
bool gone[WORKERS];
bool any_waits = false, child_made = false;

/* signal_waiter: the exchange, then FUTEX_WAKE by address. */
inline signal_waiter(waiter, value) {
  d_step {
    before = signal[waiter];
    assert(before == IDLE || before == SLEEPING); /* I1 */
    assert(!gone[waiter]);
    signal[waiter] = value;
  }
  if
  :: before == SLEEPING -> in_kernel[waiter] = false
  :: else
  fi;
  before = IDLE
}

inline notify_one() {
  d_step {
    if
    :: top == NOBODY || searching != 0 -> popped = NOBODY
    :: else -> popped = top; top = below[popped - 1]; searching++
    fi
  }
  if
  :: popped != NOBODY -> signal_waiter(popped - 1, WOKEN); popped = NOBODY
  :: else
  fi
}

/* The whole stack in one step; whoever is woken may stand in it again before the next is. */
inline notify_all() {
  d_step { chain = top; top = NOBODY }
  do
  :: chain != NOBODY ->
     d_step { popped = chain; chain = below[popped - 1] }
     signal_waiter(popped - 1, BROADCAST); popped = NOBODY
  :: else -> break
  od
}

/* wp_thread_pool_has_work: one look after the other. */
inline has_work(result) {
  result = injector > 0;
  if
  :: !result -> result = deque[0] > 0
  :: else
  fi;
  if
  :: !result -> result = deque[1] > 0
  :: else
  fi
}

/* refill and steal_from_node. `share` is the number of workers; `batch` stands for the jobs in no queue. */
inline look_around(found) {
  atomic {
    found = false;
    if
    :: injector > 0 && closed -> batch = 1
    :: injector > 0 -> batch = (injector + 1) / 2 /* `closed` may have been read before it was set */
    :: else
    fi;
    injector = injector - batch;
    found = batch > 0
  }
  if
  :: found && batch > 1 ->
     deque[me] = deque[me] + batch - 1; /* edge ANNOUNCE */
     batch = 0;
#ifndef BUG_SILENT_REFILL
     notify_one()
#endif
  :: found && batch == 1 -> batch = 0
  :: !found ->
     d_step {
       if
       :: deque[1 - me] > 0 -> deque[1 - me]--; found = true
       :: else
       fi
     }
  fi
}

inline pass_on() {
  has_work(look);
  if
  :: look -> notify_one()
  :: else
  fi
}

/* At most one worker searches, so whoever ends a search is the last. */
inline end_search() {
  d_step { assert(searching == 1); searching--; i_search = false }
#ifndef BUG_NO_HANDOVER
  pass_on()
#endif
}

inline prepare() {
  d_step {
    below[me] = top;
    top = me + 1;
    if
    :: i_search -> searching--
    :: else
    fi;
    i_search = false
  }
}

inline event_count_wait() {
  d_step {
    if
    :: signal[me] == IDLE -> signal[me] = SLEEPING
    :: else
    fi
  }
  do
  :: signal[me] == SLEEPING ->
     d_step { /* FUTEX_WAIT */
       if
#ifdef BUG_NO_FUTEX_CHECK
       :: true -> in_kernel[me] = true
#else
       :: signal[me] == SLEEPING -> in_kernel[me] = true
       :: else
#endif
       fi
     }
end_asleep: /* a rightful end in an open pool; Closer asserts the rest */
     !in_kernel[me]
  :: signal[me] != SLEEPING -> break
  od;
  skip;
  d_step {
    i_search = (signal[me] == WOKEN);
    signal[me] = IDLE
  }
}

inline run_job() {
#ifndef CLOSING
  if
  :: d_step { !any_waits -> any_waits = true } unfinished == 1
  :: true
  fi;
#endif
#ifdef CHILD
  if
  :: d_step { !child_made && !closed -> child_made = true; unfinished++ } /* submit_batch: the look at `closed`… */
     deque[me]++;                                                         /* …and the push, maybe much later */
     notify_one()
  :: else
  fi;
#endif
  unfinished--
}

proctype Worker(byte me) {
  mtype before = IDLE;
  byte chain = NOBODY, popped = NOBODY, batch = 0;
  bool i_search = false, seen_closed = false, look = false, got = false, must_wait = false;

next_job:
  skip;
  d_step { /* wp_deque_take */
    if
    :: deque[me] > 0 -> deque[me]--; got = true
    :: else -> got = false
    fi
  }
  if
  :: got -> goto run_it
  :: else
  fi;
  look_around(got);
  if
  :: got -> goto run_it
  :: else
  fi;

  /* wait_for_job; a pool that never spins skips the search */
  if
  :: d_step { searching == 0 -> searching++; i_search = true }
     /* spin: looks for as long as it likes */
     do
     :: look_around(got);
        if
        :: got -> end_search(); goto run_it
        :: else
        fi
     :: break
     od
  :: true
  fi;
  do
  :: prepare();
#ifndef BUG_LOOK_BEFORE_CLOSED
     seen_closed = closed;
#endif
#ifdef BUG_NO_RECHECK
     look = false;
#else
     has_work(look);
#endif
#ifdef BUG_LOOK_BEFORE_CLOSED
     seen_closed = closed;
#endif
     must_wait = true;
     if
     :: look || seen_closed ->
        d_step { /* wp_event_count_retract */
          if
          :: top == me + 1 -> top = below[me]; must_wait = false
          :: else
          fi
        }
        if
        :: !must_wait
#ifndef BUG_LONE_SLEEPER
        :: must_wait && seen_closed -> notify_all()
        :: must_wait && !seen_closed -> notify_one()
#else
        :: must_wait && !look -> notify_all()
        :: must_wait && look -> notify_one()
#endif
        fi
     :: else
     fi;
     if
#ifdef BUG_ENDS_UNWOKEN
     :: must_wait && seen_closed -> goto end_of_thread
#endif
     :: must_wait -> must_wait = false; event_count_wait()
     :: else
     fi;
#ifdef BUG_LOOK_BEFORE_CLOSED
     if
     :: !look && seen_closed && !i_search -> goto end_of_thread
     :: else
     fi;
#endif
     look = false;
     d_step { /* wp_deque_take: what a guest left */
       if
       :: deque[me] > 0 -> deque[me]--; got = true
       :: else
       fi
     }
     if
     :: !got -> look_around(got)
     :: else
     fi;
     if
     :: got && i_search -> end_search(); goto run_it
#ifdef BUG_NO_LATE_HANDOVER
     :: got && !i_search -> goto run_it
#else
     :: got && !i_search -> pass_on(); goto run_it
#endif
     :: !got && seen_closed && i_search -> end_search(); goto end_of_thread
     :: !got && seen_closed && !i_search -> goto end_of_thread /* nothing was left after it saw that the pool is closed */
     :: else
     fi
  od;

run_it:
  skip;
  d_step { got = false; look = false; seen_closed = false }
  run_job();
  goto next_job;

end_of_thread:
  skip;
  d_step { /* it stands in no stack */
    assert(top != me + 1 && (top == NOBODY || below[top - 1] != me + 1));
    gone[me] = true;
    ended++
  }
}

proctype Submitter(byte jobs) {
  mtype before = IDLE;
  byte chain = NOBODY, popped = NOBODY;
  bool taken = false;
  do
  :: jobs > 0 ->
     d_step {
       if
       :: !injector_closed ->
          injector++;
#ifdef CLOSING
          unfinished++;
#endif
          taken = true
       :: else -> taken = false
       fi;
       jobs--
     }
     if
     :: taken -> notify_one()
     :: else
     fi
  :: jobs == 0 -> break
  od
}

#ifdef GUEST
proctype Guest() {
  mtype before = IDLE;
  byte chain = NOBODY, popped = NOBODY, me = 0;
  bool is_guest = false, look = false;

  if
  :: !closed -> /* some time before the next step */
     d_step { /* wp_event_count_borrow */
       if
#ifdef BUG_GUEST_AWAKE
       :: top != NOBODY -> me = top - 1; top = below[me]; is_guest = true
#else
       :: top != NOBODY && signal[top - 1] == SLEEPING -> me = top - 1; top = below[me]; is_guest = true
#endif
       :: else
       fi
     }
  :: else
  fi;
  if
  :: !is_guest -> goto refused
  :: else
  fi;
  d_step {
#ifdef CLOSING
    unfinished++;
#endif
    deque[me]++ /* edge ANNOUNCE */
  }
  notify_one();
#ifndef CLOSING
  if
  :: d_step { !any_waits -> any_waits = true } unfinished == 1
  :: true
  fi;
#endif
  if /* wp_stack_job_take_back; or it was submitted, and stays */
  :: d_step { deque[me] > 0 -> deque[me]-- } unfinished--
  :: true
  fi;
#ifndef CLOSING
  unfinished--; /* the rest */
#endif
  d_step { /* wp_event_count_give_back */
    assert(signal[me] == SLEEPING);
    below[me] = top;
    top = me + 1
  }
  if
#ifndef BUG_GUEST_CLOSED
  :: closed -> notify_all(); goto end_of_guest
#endif
  :: else
  fi;
#ifndef BUG_GUEST_SILENT
  has_work(look);
  if
  :: look -> notify_one()
  :: else
  fi;
#endif
  goto end_of_guest;
refused:
  skip;
#ifndef CLOSING
  unfinished = unfinished - 2;
#endif
end_of_guest:
  skip
}
#endif

active proctype Closer() {
  mtype before = IDLE;
  byte chain = NOBODY, popped = NOBODY;
  atomic {
    run Worker(0);
    run Worker(1);
    run Submitter(JOBS_A);
    run Submitter(JOBS_B)
#ifdef GUEST
    ;
    run Guest()
#endif
  }
#ifdef CLOSING
  /* wp_thread_pool_close */
  injector_closed = true;
  closed = true; /* edge ANNOUNCE */
  notify_all();
  timeout; /* nobody can go on */
  assert(unfinished == 0 && ended == WORKERS)
#else
  timeout;
  assert(unfinished == 0)
#endif
}
