/*
 * Model of queue/wp_injector.c: tickets into segments of two cells, burning, appending, advancing, hazards, recycling,
 * closing.
 *
 * One submitter pushes a batch of two items, one pushes two items one by one; two workers pop POPS and OTHER_POPS of
 * them. With -DCLOSING one worker pops and another thread closes the queue at any moment. BURNS bounds how many cells
 * are burnt: a worker may always wait longer for a cell's publication.
 *
 * Checked:
 *   - Every accepted item is popped exactly once or still in the queue at the end; no refused item is either.
 *   - A segment is recycled only when neither `head` nor `tail` shows it and nobody holds it through a hazard that was
 *     found good; so no recycled segment is ever touched.
 *   - Once close has returned, no ticket is valid and no segment is linked.
 *
 * A step is one atomic operation there, or several where the comment says why that loses nothing. Memory is
 * sequentially consistent here; the orders are argued in the header. Each thread has a hazard slot of its own: the code
 * claims one by CAS, with the same effect. There are SEGMENTS segments; a push that finds none fails as the code does
 * without memory. They are given out lowest number first, so that what was freed comes back as soon as it can (ABA).
 *
 * Planted bugs, each of which must be found:
 *   BUG_NO_HAZARD_CHECK  take a segment without looking whether it is still where it was found
 *   BUG_NO_HAZARD_LOOK   recycle without looking at the slots
 *   BUG_HEAD_FIRST       advance `head` without moving `tail` first
 *   BUG_NO_BURN          leave an unpublished cell that was claimed, without burning it
 *   BUG_CLOSE_NO_LINK    close the ticket counter but not the link to a next segment
 */

#ifndef SEGMENTS
#define SEGMENTS 3
#endif
#ifndef POPS
#define POPS 2
#endif
#ifndef OTHER_POPS
#define OTHER_POPS 1
#endif
#ifndef BURNS
#define BURNS 2
#endif
#define CELLS 2
#define ITEMS 4

/* Words that name segments: 0 is none, s + 1 is segment s. */
#define NONE 0
#define NEXT_CLOSED 255

#define EMPTY 0
#define FULL 1
#define BURNT 2

/* Segments. `enqueue` stops counting above CELLS: any such ticket is void. */
byte enqueue[SEGMENTS], dequeue[SEGMENTS], next[SEGMENTS];
bool tickets_closed[SEGMENTS], in_use[SEGMENTS], retired[SEGMENTS];
byte code[SEGMENTS * CELLS], argument[SEGMENTS * CELLS];

byte head, tail;

/* Slots, by thread, and whether what they show was found good. */
#define THREADS 4
byte hazard[THREADS];
bool holds[THREADS];

/* Bookkeeping of the checks. */
bool accepted[ITEMS];
byte popped[ITEMS];
bool close_done = false;
byte burns = 0;
byte k;

#define touch(s) assert(in_use[s])

inline reset(s) {
  enqueue[s] = 0; dequeue[s] = 0; next[s] = NONE; tickets_closed[s] = false;
  code[s * CELLS] = EMPTY; code[s * CELLS + 1] = EMPTY;
  argument[s * CELLS] = 0; argument[s * CELLS + 1] = 0
}

/* segment_give_back */
inline give_back(s) {
  d_step {
    k = 0;
    do
    :: k < THREADS -> assert(!(holds[k] && hazard[k] == s + 1)); k++
    :: else -> break
    od;
    k = 0;
    assert(head != s + 1 && tail != s + 1);
    assert(in_use[s]);
    in_use[s] = false;
    reset(s)
  }
}

/* hazard_begin and hazard_follow: afterwards `segment` is the held one. The load before the store is part of it: what
 * was loaded is only a guess until the check. A check that fails is the next guess. */
inline follow(source) {
#ifdef BUG_NO_HAZARD_CHECK
  segment = source;
  hazard[me] = segment;
#else
  d_step { holds[me] = false; hazard[me] = source } /* edge SHIELD, reader's store */
  do
  :: good -> break
  :: !good ->
     d_step {
       if
       :: source == hazard[me] -> holds[me] = true; good = true /* edge SHIELD, reader's check */
       :: else -> hazard[me] = source
       fi
     }
  od;
#endif
  skip;
  d_step { good = false; holds[me] = true; segment = hazard[me] - 1 }
}

/* hazard_follow from the segment that is held. */
inline follow_on(source) {
  if
  :: source == segment + 1
  :: else -> follow(source)
  fi
}

inline hazard_end() {
  d_step { holds[me] = false; hazard[me] = NONE }
}

inline move(from, to) {
  d_step { /* one CAS */
    if
    :: from == segment + 1 -> from = to
    :: else
    fi
  }
}

/* wp_injector_push of items [item, end). Each is accepted in order; the rest is refused. */
inline push() {
  follow(tail);
  do
  :: item == end -> break
  :: else ->
     d_step { /* the look and the ticket; that they are two operations only makes void tickets */
       touch(segment);
       if
       :: tickets_closed[segment] -> ticket = 254
       :: else ->
          ticket = enqueue[segment];
          assert(ticket >= CELLS || !close_done);
          enqueue[segment] = (ticket + end - item > CELLS -> CELLS : ticket + end - item)
       fi;
       limit = (ticket + end - item > CELLS -> CELLS : ticket + end - item)
     }
     if
     :: ticket == 254 -> break /* WP_SHUT_DOWN */
     :: ticket < CELLS ->
        do /* fill_cells */
        :: ticket < limit ->
           d_step {
             touch(segment);
             if
             :: code[segment * CELLS + ticket] == EMPTY ->
                argument[segment * CELLS + ticket] = item + 1; /* before the CAS; of a burnt cell nobody reads it */
                code[segment * CELLS + ticket] = FULL; /* edge PUBLISH */
                accepted[item] = true;
                item++
             :: else -> assert(code[segment * CELLS + ticket] == BURNT)
             fi;
             ticket++
           }
        :: else -> break
        od
     :: else ->
        d_step { touch(segment); after = next[segment] }
        if
        :: after == NONE ->
           /* append_segment: take, fill, link; a private segment is filled in one step */
           d_step {
             fresh = 0;
             do
             :: fresh < SEGMENTS && in_use[fresh] -> fresh++
             :: else -> break
             od;
             if
             :: fresh < SEGMENTS ->
                in_use[fresh] = true;
                limit = (end - item > CELLS -> CELLS : end - item);
                enqueue[fresh] = limit;
                ticket = 0;
                do
                :: ticket < limit ->
                   code[fresh * CELLS + ticket] = FULL;
                   argument[fresh * CELLS + ticket] = item + ticket + 1;
                   ticket++
                :: else -> break
                od
             :: else
             fi
           }
           if
           :: fresh == SEGMENTS -> break /* no memory */
           :: else
           fi;
           d_step {
             touch(segment);
             if
             :: next[segment] == NONE -> /* edges LINK and ANNOUNCE */
                assert(!close_done);
                next[segment] = fresh + 1;
                do
                :: limit > 0 -> accepted[item] = true; item++; limit--
                :: else -> break
                od
             :: else -> limit = 255
             fi
           }
           if
           :: limit == 255 -> give_back(fresh)
           :: else
           fi;
           d_step { fresh = 0; touch(segment); after = next[segment] }
        :: else
        fi;
        if
        :: after == NEXT_CLOSED -> break /* WP_SHUT_DOWN */
        :: else
        fi;
        move(tail, after);
        follow_on(tail)
     fi;
     skip;
     d_step { ticket = 0; limit = 0; after = NONE }
  od;
  skip;
  d_step { ticket = 0; limit = 0; after = NONE; hazard_end() }
}

/* retire: all that wait for it and `segment_left`; slot by slot. */
inline retire() {
  d_step { /* the exchange takes over all others */
    retired[segment_left] = true;
    s = 0;
    do
    :: s < SEGMENTS -> mine[s] = retired[s]; retired[s] = false; s++
    :: else -> break
    od;
    s = 0
  }
  do
  :: s == SEGMENTS -> break
  :: s < SEGMENTS && !mine[s] -> s++
  :: else ->
     slot = 0;
     do
#ifdef BUG_NO_HAZARD_LOOK
     :: slot < THREADS -> slot++
#else
     :: slot < THREADS && hazard[slot] != s + 1 -> slot++ /* edge SHIELD, reclaimer's check */
#endif
     :: else -> break
     od;
     if
     :: slot == THREADS -> give_back(s)
     :: else -> retired[s] = true /* pushed back together there, one by one here */
     fi;
     d_step { mine[s] = false; slot = 0; s++ }
  od;
  skip;
  d_step { s = 0; segment_left = 0 }
}

/* wp_injector_pop of one job. */
inline pop() {
  follow(head);
  do
  :: d_step { /* two loads and a CAS in one step: `dequeue` and `enqueue` only grow, and the CAS checks the former */
       touch(segment);
       first = dequeue[segment];
       any = first < enqueue[segment];
       if
       :: any -> dequeue[segment] = first + 1
       :: else
       fi
     }
     if
     :: first == CELLS -> /* advance_head */
        d_step { touch(segment); after = next[segment] }
        if
        :: after == NONE || after == NEXT_CLOSED -> break
        :: else
        fi;
#ifndef BUG_HEAD_FIRST
        move(tail, after);
#endif
        d_step {
          unlinked = (head == segment + 1);
          if
          :: unlinked -> head = after
          :: else
          fi;
          segment_left = segment;
          after = NONE
        }
        follow_on(head);
        if
        :: unlinked -> unlinked = false; retire()
        :: else -> segment_left = 0
        fi
     :: else ->
        if
        :: !any -> break
        :: else
        fi;
#ifndef BUG_NO_BURN
        if /* take_cell; patience ends after some time, here only so often */
        :: code[segment * CELLS + first] != EMPTY
        :: d_step { code[segment * CELLS + first] == EMPTY && burns < BURNS ->
             touch(segment);
             code[segment * CELLS + first] = BURNT;
             burns++;
             any = false
           }
        fi;
#else
        any = code[segment * CELLS + first] != EMPTY;
#endif
        if
        :: any ->
           d_step { /* after the acquire of the code */
             touch(segment);
             assert(argument[segment * CELLS + first] != 0);
             popped[argument[segment * CELLS + first] - 1]++;
             any = false
           }
           break
        :: else
        fi
     fi;
     first = 0
  od;
  skip;
  d_step { first = 0; after = NONE; any = false; hazard_end() }
}

proctype Submitter(byte me; byte item; byte last; byte batch) {
  byte segment, ticket, limit, after, fresh, end;
  bool good;
  do
  :: item < last ->
     end = item + batch;
     push();
     item = end /* refused ones are not tried again */
  :: else -> break
  od
}

proctype Worker(byte me; byte limit) {
  byte segment, first, after, segment_left, s, slot, pops;
  bool good, unlinked, any, mine[SEGMENTS];
  do
  :: pops < limit -> pop(); pops++
  :: else -> break
  od
}

/* wp_injector_close */
proctype Closer(byte me) {
  byte segment, after;
  bool good;
  follow(tail);
  do
  :: d_step { touch(segment); tickets_closed[segment] = true }
     d_step {
       touch(segment);
       after = next[segment];
#ifndef BUG_CLOSE_NO_LINK
       if
       :: after == NONE -> next[segment] = NEXT_CLOSED
       :: else
       fi
#endif
     }
     if
     :: after == NONE || after == NEXT_CLOSED -> break
     :: else
     fi;
     move(tail, after);
     follow_on(tail)
  od;
  skip;
  d_step { after = NONE; close_done = true; hazard_end() }
}

init {
  byte at, cell, i;
  bool left[ITEMS];
  atomic {
    in_use[0] = true;
    head = 1;
    tail = 1;
    run Submitter(0, 0, 2, 2);
    run Submitter(1, 2, 4, 1);
    run Worker(2, POPS);
#ifdef CLOSING
    run Closer(3)
#else
    run Worker(3, OTHER_POPS)
#endif
  }
  _nr_pr == 1;
  d_step {
    at = head;
    do
    :: at != NONE && at != NEXT_CLOSED ->
       assert(in_use[at - 1]);
       cell = dequeue[at - 1];
       do
       :: cell < CELLS ->
          if
          :: code[(at - 1) * CELLS + cell] == FULL ->
             i = argument[(at - 1) * CELLS + cell] - 1;
             assert(!left[i] && cell < enqueue[at - 1]);
             left[i] = true
          :: else
          fi;
          cell++
       :: else -> break
       od;
       at = next[at - 1]
    :: else -> break
    od;
    i = 0;
    do
    :: i < ITEMS -> assert(popped[i] + left[i] == accepted[i]); i++
    :: else -> break
    od
  }
}
