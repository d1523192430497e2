/*
 * Model of Sources/WorkerPool/Engine/FutureState.swift: one state word with a lock bit, its waiters and its sleepers.
 *
 * A runner (begin, finish) against a canceller; two threads that block, one of which may give up; a callback that is
 * added; and a continuation that is added and, beside that, removed, as by the cancelling of the awaiting task. Or (PARKER),
 * beside the callback alone, a worker of the task's pool that waits in the list, and whose wait may be refused.
 *
 * Checked: nobody sleeps for ever; the callback is told exactly once and the continuation is resumed exactly once; a worker
 * that is woken has not left its frame; one thread at a time is inside the list; whoever sees `finished` sees the result; the
 * body is taken by one thread, and before the result takes its place, since both stand in the same storage.
 *
 * Telling is part of `announce` here. In the code callbacks and continuations may wait for their turn in the completing
 * thread's queue (Engine/Delivery.swift), which no other thread sees; workers that wait are woken before.
 *
 * A step is one atomic operation on the word, one futex call, or one access to what the word guards. A weak CAS that
 * fails takes a fresh value, as in the code. Nodes: 0 is the callback's, 1 is the continuation's.
 *
 * Planted bugs, each of which must be found:
 *   BUG_SETTLE_IGNORES_LOCK  settle does not wait until the list is unlocked
 *   BUG_SILENT_UNLOCK        unlock does not wake those who set `contended`
 *   BUG_UNLOCK_DROPS_BLOCKED unlock clears `blocked` with the other flags
 *   BUG_UNLOCK_STORES        unlock writes back the word of its lock instead of the one it finds
 *   BUG_LATE_RESULT          finish publishes before it has stored the result
 *   BUG_RESULT_OVER_BODY     finish stores the result where the body still stands
 *   BUG_NO_ABANDON           remove does not mark a node that was not added yet
 *   BUG_LEAVES_UNTOLD        a refused worker that cannot be removed any more does not wait until it was woken
 */

#define PENDING 0
#define RUNNING 1
#define FINISHED 2
#define CANCELLED 3
#define PHASE 3
#define DONE 2
#define LOCKED 4
#define CONTENDED 8
#define BLOCKED 16
#define LISTED 32

byte word = PENDING;

/* The two words that first hold the task and then what it returned. */
#define BODY 1
#define EMPTY 2
#define RESULT 3
byte payload = BODY;

/* What whoever moved the future out of `pending` does. */
inline move_body() {
  assert(payload == BODY);
  payload = EMPTY
}

inline store_result() {
  assert(payload == EMPTY);
  payload = RESULT
}

/* The list: who stands in it, and how many threads are inside. */
bool in_list[2], abandoned[2];
byte inside = 0;
byte told[2];
bool gave_up = false; /* the removal came first: nobody may wait for the future any more */
bool left = false;    /* the worker has left the frame that the wake uses */

/* The futex of the word: who sleeps in the kernel, by process. */
#define PROCESSES 8
bool asleep[PROCESSES];
byte p;

inline futex_wait(expected) {
  d_step {
    if
    :: word == expected -> asleep[_pid] = true
    :: else
    fi
  }
  !asleep[_pid]
}

inline futex_wake_all() {
  d_step {
    p = 0;
    do
    :: p < PROCESSES -> asleep[p] = false; p++
    :: else -> break
    od;
    p = 0
  }
}

/* waitForUnlock: `current` is the word as seen, with `locked`; afterwards a fresh one. */
inline wait_for_unlock() {
  if
  :: (current & CONTENDED) == 0 ->
     d_step {
       if
       :: word == current -> word = word | CONTENDED; current = current | CONTENDED; sleep = true
       :: else -> current = word; sleep = false
       fi
     }
  :: else -> sleep = true
  fi;
  if
  :: sleep -> futex_wait(current); current = word; sleep = false
  :: else
  fi
}

inline begin(claimed) {
  d_step {
    claimed = ((word & PHASE) == PENDING);
    if
    :: claimed -> word = word | RUNNING
    :: else
    fi
  }
}

inline settle(from, phase, moved) {
  current = word;
  moved = false;
  do
  :: (current & PHASE) != from -> break
#ifndef BUG_SETTLE_IGNORES_LOCK
  :: (current & PHASE) == from && (current & LOCKED) != 0 -> wait_for_unlock()
  :: (current & PHASE) == from && (current & LOCKED) == 0 ->
#else
  :: (current & PHASE) == from ->
#endif
     d_step {
       if
       :: word == current -> word = phase; moved = true
       :: else -> current = word
       fi
     }
     if
     :: moved -> break
     :: else
     fi
  od
}

/* announce(before): `current` is the word as it was. */
inline announce() {
  if
  :: (current & (BLOCKED | CONTENDED)) != 0 -> futex_wake_all()
  :: else
  fi;
  if
  :: (current & LISTED) != 0 ->
     inside++;
     assert(inside == 1);
     if
     :: in_list[0] -> in_list[0] = false; told[0]++
     :: else
     fi;
     if
     :: in_list[1] -> in_list[1] = false; assert(!left); told[1]++
     :: else
     fi;
     inside--
  :: else
  fi
}

/* withWaiters, up to the lock: `open` says whether the list is ours. */
inline lock_list(open) {
  current = word;
  open = false;
  do
  :: (current & DONE) != 0 -> break
  :: (current & DONE) == 0 && (current & LOCKED) != 0 -> wait_for_unlock()
  :: (current & DONE) == 0 && (current & LOCKED) == 0 ->
     d_step {
       if
       :: word == current -> word = word | LOCKED; open = true
       :: else -> current = word
       fi
     }
     if
     :: open -> inside++; assert(inside == 1); break
     :: else
     fi
  od
}

inline unlock_list() {
  inside--;
#ifdef BUG_UNLOCK_DROPS_BLOCKED
#define KEPT (~(LOCKED | CONTENDED | LISTED | BLOCKED))
#else
#define KEPT (~(LOCKED | CONTENDED | LISTED))
#endif
  d_step { /* the CAS loop: succeeds on what it finds */
#ifndef BUG_UNLOCK_STORES
    current = word;
#endif
    word = (current & KEPT) | ((in_list[0] || in_list[1]) -> LISTED : 0)
  }
#ifndef BUG_SILENT_UNLOCK
  if
  :: (current & CONTENDED) != 0 -> futex_wake_all()
  :: else
  fi
#endif
}

inline add(node, added) {
  lock_list(added);
  if
  :: added ->
     if
     :: abandoned[node] -> added = false
     :: else -> in_list[node] = true
     fi;
     unlock_list()
  :: else
  fi
}

/* runBody, complete(with:) */
proctype Runner() {
  byte current;
  bool sleep, mine;
  begin(mine);
  if
  :: mine ->
#ifndef BUG_RESULT_OVER_BODY
     move_body();
#endif
#ifndef BUG_LATE_RESULT
     store_result();
#endif
     settle(RUNNING, FINISHED, mine);
     assert(mine); /* the precondition of finish(with:) */
#ifdef BUG_LATE_RESULT
     store_result();
#endif
     announce()
  :: else
  fi
}

proctype Canceller() {
  byte current;
  bool sleep, mine;
  settle(PENDING, CANCELLED, mine);
  if
  :: mine -> move_body(); announce()
  :: else
  fi
}

/* block(until:) */
proctype Blocker(bool may_time_out) {
  byte current;
  current = word;
  do
  :: (current & DONE) != 0 -> break
  :: (current & DONE) == 0 ->
     if
     :: (current & BLOCKED) == 0 ->
        d_step {
          if
          :: word == current -> word = word | BLOCKED; current = word
          :: else -> current = word
          fi
        }
     :: else ->
        d_step {
          if
          :: word == current -> asleep[_pid] = true
          :: else
          fi
        }
        if
        :: !asleep[_pid] -> current = word
        :: may_time_out -> asleep[_pid] = false; current = word; break
        fi
     fi
  od;
  assert((current & PHASE) != FINISHED || payload == RESULT)
}

/* addDoneCallback */
proctype Adder() {
  byte current;
  bool sleep, added;
  add(0, added);
  if
  :: !added -> assert((word & DONE) != 0); told[0]++
  :: else
  fi
}

/* waitUntilDone: the continuation… */
proctype Awaiter() {
  byte current;
  bool sleep, added;
  add(1, added);
  if
  :: !added -> told[1]++
  :: else -> assert(!gave_up)
  fi
}

/* …and onCancel, which may come before it. */
proctype Remover() {
  byte current;
  bool sleep, open, removed;
  lock_list(open);
  if
  :: open ->
     removed = in_list[1];
     in_list[1] = false;
#ifndef BUG_NO_ABANDON
     abandoned[1] = true;
#endif
     gave_up = !removed;
     unlock_list()
  :: else
  fi;
  if
  :: removed -> told[1]++
  :: else
  fi
}

/* sleepAsWaiter. The engine may refuse the wait at any moment. */
proctype Parker() {
  byte current;
  bool sleep, added, open, removed;
  add(1, added);
  if
  :: !added -> assert((word & DONE) != 0)
  :: added ->
     if
     :: told[1] == 1
     :: true ->
        lock_list(open);
        if
        :: open ->
           removed = in_list[1];
           in_list[1] = false;
           abandoned[1] = true;
           unlock_list()
        :: else
        fi;
        if
        :: removed
        :: !removed ->
#ifndef BUG_LEAVES_UNTOLD
           told[1] == 1
#endif
        fi
     fi
  fi;
  left = true
}

init {
  atomic {
    run Runner();
    run Canceller();
#ifdef PARKER
    run Parker();
#else
    run Blocker(false);
#endif
#ifdef SLEEPERS
    run Blocker(true);
#endif
#if !defined(SLEEPERS) && !defined(PARKER)
    run Awaiter();
    run Remover();
#endif
#ifndef NO_CALLBACK
    run Adder()
#endif
  }
  _nr_pr == 1; /* a sleeper that is left is an invalid end state */
  assert((word & DONE) != 0 && word == (word & PHASE));
  assert(payload == (word == FINISHED -> RESULT : EMPTY));
#ifndef NO_CALLBACK
  assert(told[0] == 1);
#endif
#if !defined(SLEEPERS) && !defined(PARKER)
  assert(told[1] == 1)
#endif
}
