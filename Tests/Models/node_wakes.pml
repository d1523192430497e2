/*
 * Model of sleeping and waking on several NUMA nodes: an event count for each node, used by thread/wp_worker.c and
 * wp_thread_pool.c. What happens inside one event count is modelled in event_count.pml; here a wait is one step, and so
 * is a look at all queues of one node.
 *
 * WORKERS workers, worker w on node w % NODES, and two submitters (JOBS_A and JOBS_B jobs), each of which gives every
 * job to any node. With -DCHILD a job submits one more from inside, to its worker's own deque or to any node. With
 * -DSPIN a worker may search of its own accord before it sleeps.
 *
 * To keep the larger pools small: with -DASLEEP all workers sleep when it begins, and with -DBUSY=w worker w runs a job
 * instead, which lasts until all others have ended, but for the one that waits.
 *
 * The rule that event_count.pml knows nothing of: a worker leaves the queues of another node alone while that node's
 * word says that somebody waits or searches there. Who searches looks at them later, or passes the wake on; who waits is
 * woken by whoever made the work visible, or has looked since: so nothing is lost by it. The worker reads the word before
 * it looks at the queues; with -DRULE_AFTER after it.
 *
 * Checked:
 *   - Without -DCLOSING the pool comes to rest only with every job run. One job, any of them, waits until all others
 *     have ended, so that work may not stand behind a blocked worker while another one sleeps, on whatever node.
 *   - With -DCLOSING, at any moment: every accepted job is run, all workers end, and none stands in a stack then. With
 *     -DWAITS one job waits there, too: a worker may not end and leave jobs that nobody has begun to one worker alone.
 *     (Batches are single jobs then, as they are in a closed pool.) In a closed pool the rule does not hold: the worker
 *     that waits or searches there may be about to end.
 *   - A waiter's signal is written only when it is IDLE (I1), and of a node at most one worker searches.
 *
 * Planted bugs, each of which must be found:
 *   BUG_OWN_WORD          a submitter looks at no word but that of the work's node
 *   BUG_RECHECK_AT_HOME   the look after prepare is one at the own node alone
 *   BUG_NO_HANDOVER       a searcher that found work does not pass the wake on
 *   BUG_NO_LATE_HANDOVER  nor does one that ended its search in prepare and then found work
 *   BUG_OWN_HANDOVER      it passes the wake on for the queues of its own node alone
 *   BUG_HANDOVER_HOME     it passes the wake on to workers of its own node alone
 *   BUG_SILENT_REFILL     do not announce the rest of a batch
 *   BUG_RULE_IN_CLOSED    the rule holds in a closed pool, too
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef JOBS_A
#define JOBS_A 1
#endif
#ifndef JOBS_B
#define JOBS_B 1
#endif
#define NOBODY 0 /* top + 1 == 0 */

mtype = { IDLE, WOKEN, BROADCAST };

/* wp_pool_node: the event count's word, and the injector */
byte top[NODES] = NOBODY; /* index + 1 */
byte searching[NODES] = 0;
byte injector[NODES] = 0;
bool injector_closed = false;

/* wp_worker and its waiter */
byte deque[WORKERS] = 0;
byte below[WORKERS] = NOBODY;
mtype signal[WORKERS] = IDLE;

bool closed = false;

/* Bookkeeping of the checks */
#ifdef BUSY
#define HELD 1
#else
#define HELD 0
#endif
#ifdef CLOSING
byte unfinished = 0; /* accepted jobs that have not ended */
#else
byte unfinished = JOBS_A + JOBS_B + HELD; /* jobs that have not ended, or not even been submitted */
#endif
byte ended = 0; /* workers that have */
bool any_waits = false, child_made = false;

#define NODE (me % NODES) /* a worker's own */
/* The node that is `hop` steps away: nearest first. */
#define NEAR(node, hop) (((node) + (hop)) % NODES)

inline signal_popped() {
  if
  :: popped != NOBODY ->
     d_step { assert(signal[popped - 1] == IDLE); signal[popped - 1] = WOKEN; popped = NOBODY } /* I1 */
  :: else
  fi
}

/* Finds somebody for work on node `home`: one word after the other. */
inline notify(home) {
  there = 0;
  do
  :: there < NODES ->
     d_step {
       at = NEAR(home, there);
       if
       :: searching[at] != 0 -> there = NODES
       :: searching[at] == 0 && top[at] == NOBODY -> there++
       :: else -> popped = top[at]; top[at] = below[popped - 1]; searching[at]++; there = NODES
       fi;
#ifdef BUG_OWN_WORD
       there = NODES;
#endif
       at = 0
     }
  :: else -> break
  od;
  there = 0;
  signal_popped()
}

inline notify_all(node) {
  d_step { popped = top[node]; top[node] = NOBODY }
  do
  :: popped != NOBODY ->
     d_step {
       assert(signal[popped - 1] == IDLE);
       signal[popped - 1] = BROADCAST;
       popped = below[popped - 1]
     }
  :: popped == NOBODY -> break
  od
}

#ifdef BUG_RULE_IN_CLOSED
#define OPEN true
#else
#define OPEN !closed
#endif

/* Its own node's word a worker has no need to read. */
inline read_word(leave, rule) {
  if
  :: hop == 0 -> leave = false
  :: else -> d_step { leave = rule && (searching[NEAR(NODE, hop)] != 0 || top[NEAR(NODE, hop)] != NOBODY) }
  fi
}

/* Whether a node's queues hold work. The looks at the several queues are one step here: what a worker misses between
   two of them is a matter of one event count. */
inline node_has_work(node, result) {
  d_step {
    result = injector[node] > 0;
    victim = node;
    do
    :: !result && victim < WORKERS -> result = deque[victim] > 0; victim = victim + NODES
    :: else -> break
    od;
    victim = 0
  }
}

/* The look after prepare: what this worker may take. */
inline may_take(result, rule) {
  hop = 0;
  result = false;
  do
  :: hop < NODES && !result ->
#ifndef RULE_AFTER
     read_word(leave, rule);
#endif
     if
     :: !leave -> node_has_work(NEAR(NODE, hop), result)
     :: else
     fi;
#ifdef RULE_AFTER
     if
     :: result -> read_word(leave, rule); result = !leave
     :: else
     fi;
#endif
     d_step {
       leave = false;
       if
       :: result -> seen = NEAR(NODE, hop)
       :: else
       fi;
       hop++;
#ifdef BUG_RECHECK_AT_HOME
       hop = NODES
#endif
     }
  :: else -> break
  od;
  hop = 0
}

/* refill: a share of the own node's injector. `batch` stands for the jobs in no queue. */
inline refill(found) {
  atomic {
    if
    :: injector[NODE] > 0 -> batch = 1
#ifndef WAITS
    :: injector[NODE] > 1 -> batch = injector[NODE] /* `closed` may have been read before it was set */
#endif
    :: injector[NODE] == 0
    fi;
    injector[NODE] = injector[NODE] - batch;
    found = batch > 0
  }
  if
  :: batch > 1 ->
     deque[me] = deque[me] + batch - 1; /* edge ANNOUNCE */
     batch = 0;
#ifndef BUG_SILENT_REFILL
     notify(NODE)
#endif
  :: else -> batch = 0
  fi
}

/* One job of another node's injector or deques. */
inline take_one(node, found) {
  d_step {
    if
    :: node != NODE && injector[node] > 0 -> injector[node]--; found = true
    :: else ->
       victim = node;
       do
       :: !found && victim < WORKERS ->
          if
          :: victim != me && deque[victim] > 0 -> deque[victim]--; found = true
          :: else
          fi;
          victim = victim + NODES
       :: else -> break
       od;
       victim = 0
    fi
  }
}

inline look_around(found) {
  hop = 0;
  found = false;
  do
  :: hop < NODES && !found ->
#ifdef RULE_AFTER
     leave = false;
     if
     :: hop > 0 -> node_has_work(NEAR(NODE, hop), leave);
        if
        :: leave -> read_word(leave, OPEN)
        :: else -> leave = true /* nothing there */
        fi
     :: else
     fi;
#else
     read_word(leave, OPEN);
#endif
     if
     :: !leave && hop == 0 -> refill(found)
     :: else
     fi;
     if
     :: !leave && !found -> take_one(NEAR(NODE, hop), found)
     :: else
     fi;
     d_step { leave = false; hop++ }
  :: else -> break
  od;
  hop = 0
}

/* For whatever node still has work, the worker's own first. */
inline pass_on() {
  hop = 0;
  do
  :: hop < NODES && !look ->
     node_has_work(NEAR(NODE, hop), look);
     d_step {
       if
       :: look -> seen = NEAR(NODE, hop)
       :: else
       fi;
       hop++;
#ifdef BUG_OWN_HANDOVER
       hop = NODES
#endif
     }
  :: else -> break
  od;
  hop = 0;
  if
#ifdef BUG_HANDOVER_HOME
  :: look -> look = false; seen = 0;
     d_step {
       if
       :: searching[NODE] == 0 && top[NODE] != NOBODY ->
          popped = top[NODE]; top[NODE] = below[popped - 1]; searching[NODE]++
       :: else
       fi
     }
     signal_popped()
#else
  :: look -> look = false; notify(seen); seen = 0
#endif
  :: else
  fi
}

/* At most one worker of a node searches, so whoever ends a search is the last. */
inline end_search() {
  d_step { assert(searching[NODE] == 1); searching[NODE]--; i_search = false }
#ifndef BUG_NO_HANDOVER
  pass_on()
#endif
}

inline prepare() {
  d_step {
    below[me] = top[NODE];
    top[NODE] = me + 1;
    if
    :: i_search -> assert(searching[NODE] == 1); searching[NODE]--
    :: else
    fi;
    i_search = false
  }
}

inline event_count_wait() {
  must_wait = false;
end_asleep: /* a rightful end in an open pool; Closer asserts the rest */
  d_step {
    signal[me] != IDLE ->
    i_search = (signal[me] == WOKEN);
    signal[me] = IDLE
  }
}

inline submit_from_inside() {
  if
  :: d_step { !child_made && !closed -> child_made = true; unfinished++ } /* submit_batch: the look at `closed`… */
     deque[me]++;                                                         /* …and the push, maybe much later */
     notify(NODE)
  :: d_step { !child_made && !injector_closed -> child_made = true; unfinished++; injector[0]++ }
     notify(0)
  :: d_step { !child_made && !injector_closed -> child_made = true; unfinished++; injector[1]++ }
     notify(1)
  :: true
  fi
}

inline run_job() {
#if !defined(CLOSING) || defined(WAITS)
  if
  :: d_step { !any_waits -> any_waits = true } unfinished <= 1 + HELD
  :: true
  fi;
#endif
#ifdef CHILD
  submit_from_inside();
#endif
  unfinished--
}

proctype Worker(byte me) {
  byte popped = NOBODY, batch = 0, hop = 0, there = 0, at = 0, victim = 0, seen = 0;
  bool i_search = false, seen_closed = false, look = false, got = false, leave = false, must_wait = false;

#ifdef BUSY
  if
  :: me == BUSY -> unfinished <= 1 + HELD; unfinished--; goto next_job
  :: else
  fi;
#endif
#ifdef ASLEEP
  goto fall_asleep;
#endif
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
#ifdef SPIN
  if
  :: d_step { searching[NODE] == 0 -> searching[NODE]++; i_search = true }
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
#endif
  do
  :: prepare();
     seen_closed = closed;
#ifdef BUG_RULE_IN_CLOSED
     may_take(look, true);
#else
     may_take(look, !seen_closed);
#endif
     must_wait = true;
     if
     :: look || seen_closed ->
        d_step { /* wp_event_count_retract */
          if
          :: top[NODE] == me + 1 -> top[NODE] = below[me]; must_wait = false
          :: else
          fi
        }
        if
        :: must_wait && seen_closed -> notify_all(NODE)
        :: must_wait && !seen_closed -> notify(seen)
        :: else
        fi
     :: else
     fi;
     look = false;
     seen = 0;
     if
     :: must_wait ->
fall_asleep:
        event_count_wait()
     :: else
     fi;
     look_around(got);
     if
     :: got && i_search -> end_search(); goto run_it
#ifdef BUG_NO_LATE_HANDOVER
     :: got && !i_search -> goto run_it
#else
     :: got && !i_search -> pass_on(); goto run_it
#endif
     :: !got && seen_closed && i_search -> end_search(); goto end_of_thread
     :: !got && seen_closed && !i_search -> goto end_of_thread
     :: else
     fi
  od;

run_it:
  skip;
  d_step { got = false; look = false; seen = 0; seen_closed = false }
  run_job();
  goto next_job;

end_of_thread:
  skip;
  d_step { /* it stands in no stack */
    popped = top[NODE];
    do
    :: popped != NOBODY -> assert(popped != me + 1); popped = below[popped - 1]
    :: else -> break
    od;
    ended++
  }
}

proctype Submitter(byte jobs) {
  byte popped = NOBODY, there = 0, at = 0, node = 0;
  bool taken = false;
  do
  :: jobs > 0 ->
     if
     :: node = 0
     :: node = 1
#if NODES > 2
     :: node = 2
#endif
     fi;
     d_step {
       if
       :: !injector_closed ->
          injector[node]++;
#ifdef CLOSING
          unfinished++;
#endif
          taken = true
       :: else -> taken = false
       fi;
       jobs--
     }
     if
     :: taken -> taken = false; notify(node)
     :: else
     fi;
     node = 0
  :: jobs == 0 -> break
  od
}

active proctype Closer() {
  byte popped = NOBODY, node = 0;
  atomic {
    do
    :: node < WORKERS ->
#ifdef ASLEEP
       if
#ifdef BUSY
       :: node == BUSY
#endif
       :: else -> below[node] = top[NEAR(node, 0)]; top[NEAR(node, 0)] = node + 1
       fi;
#endif
       run Worker(node);
       node++
    :: else -> break
    od;
    run Submitter(JOBS_A);
#if JOBS_B > 0
    run Submitter(JOBS_B);
#endif
    node = 0
  }
#ifdef CLOSING
  /* wp_thread_pool_close */
  injector_closed = true;
  closed = true; /* edge ANNOUNCE */
  do
  :: node < NODES -> notify_all(node); node++
  :: else -> break
  od;
  timeout; /* nobody can go on */
  assert(unfinished == 0 && ended == WORKERS)
#else
  timeout;
  assert(unfinished == 0)
#endif
}
