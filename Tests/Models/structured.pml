/*
 * Model of structured waits: joins and scopes, and what a thread that waits for one of them may run meanwhile. It
 * covers thread/wp_stack_job.c, wp_group.c and wp_help.c.
 *
 * A program (structured.programs) is a set of activities: tasks, halves of joins, calls of scopes. A worker keeps the
 * activities that it has begun on a stack, and does the next instruction of the one on top. In queues stand:
 *   - tasks;
 *   - forks. A fork is the second half of a join, and lives in that join's frame (wp_stack_job);
 *   - invitations to scopes. A scope counts in a core on the heap its calls that are unstarted and those that run. An
 *     invitation says only that there may be a call to begin. It holds a reference to the core.
 *
 * A join sets aside what stands above its fork in the own deque. If the fork is gone, the join helps the fork's thief:
 * it takes forks from the thief's deque, as long as the thief runs the join's own fork. What it takes after that is no
 * piece of what it waits for. The join gives it back to its forker, who runs it (GIVEN_BACK). Or the join parks.
 *
 * A scope's owner claims calls until none is left. Then it parks, until a spawn or the end of the last call wakes it. A
 * worker that takes an invitation claims a call or finds none, and lets go of the core.
 *
 * So a worker runs on top of a frame only what that frame waits for.
 *
 * Which function a step stands for:
 *   join            stage 0: wp_stack_job_fork; stage 1: wp_stack_job_take_back and _get_back; stage 2:
 *                   wp_help_until_set with wp_stack_job_find_piece
 *   start_fork      wp_stack_job_run_stolen
 *   BEGIN, spawn, close   wp_group_begin, wp_group_spawn, wp_group_wait; claim, let_go and the rest are named as there
 *   set_aside, find_work  wp_look.c
 *
 * Flags: SPARE adds a worker that takes work while another is blocked. With NO_ROOM a spawn may find its deque full and
 * sets the invitation aside.
 *
 * Checked:
 *   - Each program ends: at rest each activity has ended. All of them are acyclic.
 *   - Each activity is begun once. A join returns when both halves have ended, a scope when all its calls have.
 *   - Nobody uses the frame of a join that has returned, or a core that is gone. At rest all cores are gone.
 *   - With `ends` in run.sh: no run goes on for ever.
 *
 * What is one step: an operation on a deque, on a word of a core, on a latch. A worker without work waits until some is
 * visible: how it sleeps is event_count.pml's, and how blocked workers are counted and replaced life_cycle.pml's.
 *
 * Planted bugs, each of which must be found:
 *   BUG_JOIN_TAKES_CALLS   a join that helps takes invitations, too
 *   BUG_NO_LATCH_CHECK     it runs what it took without looking whether the thief still runs the fork
 *   BUG_GIVEN_TO_NOBODY    it sets aside what is no piece, where its forker does not look
 *   BUG_TOUCH_AFTER_DONE   a thief uses the fork after it has set the latch
 *   BUG_INVITATION_DROPPED a join drops an invitation that stands above its fork
 *   BUG_CLOSE_BY_CELLS     a scope's owner begins only calls whose invitation it can take from a deque
 *   BUG_SILENT_SPAWN       a spawn does not look whether the owner is parked
 *   BUG_UNINVITED          a spawn that finds its deque full leaves the call to the owner alone
 *   BUG_PARK_WITHOUT_LOOK  an owner parks without a second look
 *   BUG_CLAIM_IN_TWO       a call that is claimed is neither unstarted nor running for a moment
 *   BUG_CORE_FREED         an owner frees the core although invitations stand
 */

#define NOBODY 0 /* an index + 1 */
#define BIT(n) (1 << (n))

#include "structured.programs"

#ifdef SPARE
#define THREADS (WORKERS + 1)
#else
#define THREADS WORKERS
#endif

/* What stands in queues. */
#define TASK_CELL(t) (16 + t)
#define FORK_CELL(b) (32 + b)
#define INVITATION_CELL(s) (48 + s)
#define IS_CELL(cell, kind) (((cell) & 48) == kind(0))
#define NUMBER(cell) ((cell) & 15)

mtype = { OPEN, DONE, GIVEN_BACK };
mtype = { AWAKE, PARKED };

/* Deques: the cells of worker w from top[w] to bottom[w]. */
#define CELLS 5
#define CELL(w, position) cells[(w) * CELLS + (position)]
byte cells[THREADS * CELLS];
byte top[THREADS], bottom[THREADS];
#define HAS_CELLS(w) (top[w] < bottom[w])

/* The injector, and what was set aside: sets, and numbers of invitations. */
short tasks = TASKS, forks = 0;
byte invitations[SCOPES];

/* Stacks: activities that a worker has begun. Of each the next instruction, and how far that one is. */
#define DEPTH 8
byte stack[THREADS * DEPTH];
byte depth[THREADS];
byte next[ACTIVITIES];
byte stage[ACTIVITIES];

/* wp_stack_job, by the half that is forked */
mtype latch[ACTIVITIES] = OPEN;
byte thief[ACTIVITIES] = NOBODY;
byte thief_position[ACTIVITIES];

/* A scope's core */
short unstarted[SCOPES]; /* a set */
byte running[SCOPES];
byte references[SCOPES]; /* invitations, and the owner */
mtype owner[SCOPES] = AWAKE;
#define IS_OVER(s) (unstarted[s] == 0 && running[s] == 0)

byte kept = 0; /* promises */

/* Bookkeeping of the checks */
short frames = 0; /* forks whose join has not returned */
short begun = 0, ended = 0;
byte blocked = 0; /* workers */

#define ALL (BIT(ACTIVITIES) - 1)

#include "structured.steps"

#ifdef BUG_JOIN_TAKES_CALLS
#define IS_WANTED(cell) (!IS_CELL(cell, TASK_CELL))
#else
#define IS_WANTED(cell) IS_CELL(cell, FORK_CELL)
#endif
#define VICTIM (thief[operand] - 1)
#define CAN_HELP                                                                                      \
  (thief[operand] != NOBODY && HAS_CELLS(VICTIM) && top[VICTIM] >= thief_position[operand] &&         \
   IS_WANTED(CELL(VICTIM, top[VICTIM])))

proctype Worker(byte me) {
  byte activity = 0, instruction = 0, operand = 0, cell = 0, found = 0;

next_instruction:
  if
  :: depth[me] == 0 -> goto idle
  :: d_step {
       depth[me] != 0 ->
       activity = stack[me * DEPTH + depth[me] - 1];
       instruction = CODE(activity, next[activity]);
       operand = NUMBER(instruction)
     }
  fi;
  if
  :: DOES(JOIN) -> goto join
  :: DOES(BEGIN) ->
     d_step { references[operand] = 1; next[activity]++ }
     goto next_instruction
  :: DOES(SPAWN) -> goto spawn
  :: DOES(CLOSE) -> goto close
  :: DOES(SUBMIT) ->
     d_step { push(TASK_CELL(operand)); next[activity]++ }
     goto next_instruction
  :: DOES(WAIT) -> /* for others */
     if
     :: kept & BIT(operand)
     :: else ->
        blocked++;
        kept & BIT(operand);
        blocked--
     fi;
     next[activity]++;
     goto next_instruction
  :: DOES(KEEP) ->
     d_step { kept = kept | BIT(operand); next[activity]++ }
     goto next_instruction
  :: else /* it ends */
  fi;
  d_step { depth[me]--; ended = ended | BIT(activity) }
  if
  :: IS_FORK(activity) && thief[activity] != NOBODY ->
     d_step { assert(frames & BIT(activity)); latch[activity] = DONE }
#ifdef BUG_TOUCH_AFTER_DONE
     assert(frames & BIT(activity))
#endif
  :: IS_CALL(activity) ->
     operand = SCOPE_OF(activity);
     d_step { CORE_IS_THERE(operand); running[operand]--; found = IS_OVER(operand) } /* finish */
     if
     :: found -> found = 0; wake_owner(operand)
     :: else
     fi;
     if
     :: depth[me] == 0 -> let_go(operand) /* of the invitation; an owner has a reference of its own */
     :: else
     fi
  :: else
  fi;
  goto next_instruction;

spawn:
  cell = operand;
  d_step {
    operand = SCOPE_OF(cell);
    CORE_IS_THERE(operand);
    unstarted[operand] = unstarted[operand] | BIT(cell);
    references[operand]++
  }
  if /* invite */
  :: d_step { true -> push(INVITATION_CELL(operand)) }
#ifdef NO_ROOM
#ifdef BUG_UNINVITED
  :: d_step { true -> references[operand]-- }
#else
  :: d_step { true -> invitations[operand]++ }
#endif
#endif
  fi;
#ifndef BUG_SILENT_SPAWN
  wake_owner(operand);
#endif
  d_step { cell = 0; next[activity]++ }
  goto next_instruction;

close:
#ifdef BUG_CLOSE_BY_CELLS
  atomic {
    if
    :: HAS_CELLS(me) && CELL(me, bottom[me] - 1) == INVITATION_CELL(operand) -> bottom[me]--; cell = 1
#if THREADS > 1
    :: HAS_CELLS(1 - me) && CELL(1 - me, top[1 - me]) == INVITATION_CELL(operand) -> top[1 - me]++; cell = 1
#endif
    :: else
    fi
  }
  if
  :: cell != 0 -> cell = 0; claim(operand); let_go(operand)
  :: else
  fi;
#else
  claim(operand);
#endif
  if
  :: found != 0 -> found = 0; goto next_instruction
  :: else
  fi;
  if
  :: IS_OVER(operand) ->
     d_step { assert((begun & CALLS_OF(operand) & ~ended) == 0); next[activity]++ }
#ifdef BUG_CORE_FREED
     references[operand] = 0;
#else
     let_go(operand);
#endif
     goto next_instruction
  :: else
  fi;
  owner[operand] = PARKED;
  if
#if defined(BUG_CLOSE_BY_CELLS)
  :: IS_OVER(operand) -> owner[operand] = AWAKE
  :: else ->
#elif !defined(BUG_PARK_WITHOUT_LOOK)
  :: unstarted[operand] != 0 || IS_OVER(operand) -> owner[operand] = AWAKE
  :: else ->
#else
  :: true ->
#endif
     blocked++;
     owner[operand] == AWAKE;
     blocked--
  fi;
  goto close;

join:
  if
  :: stage[activity] == 0 ->
     d_step { frames = frames | BIT(operand); push(FORK_CELL(operand)); stage[activity] = 1; start(operand - 1) }
     goto next_instruction
  :: stage[activity] == 1 -> /* wp_stack_job_take_back */
     do
     :: d_step { HAS_CELLS(me) -> bottom[me]--; cell = CELL(me, bottom[me]) }
        if
        :: cell == FORK_CELL(operand) -> d_step { cell = 0; stage[activity] = 3; start(operand) } goto next_instruction
        :: else -> d_step { assert(!IS_CELL(cell, FORK_CELL)); set_aside(cell); cell = 0 }
        fi
     :: !HAS_CELLS(me) -> break
     od;
     stage[activity] = 2;
     goto join
  :: stage[activity] == 2 -> /* wp_help_until */
     if
     :: latch[operand] == DONE -> stage[activity] = 3; goto join
     :: latch[operand] == GIVEN_BACK -> d_step { stage[activity] = 3; start(operand) } goto next_instruction
     :: latch[operand] == OPEN
     fi;
     if /* some time after that look */
     :: d_step { CAN_HELP -> cell = CELL(VICTIM, top[VICTIM]); top[VICTIM]++ }
        if
#ifdef BUG_JOIN_TAKES_CALLS
        :: IS_CELL(cell, INVITATION_CELL) -> claim(NUMBER(cell)); let_go(NUMBER(cell)); found = 0
#endif
#ifdef BUG_NO_LATCH_CHECK
        :: IS_CELL(cell, FORK_CELL) -> d_step { start_fork(NUMBER(cell)) }
#else
        :: IS_CELL(cell, FORK_CELL) && latch[operand] == OPEN -> d_step { start_fork(NUMBER(cell)) }
        :: IS_CELL(cell, FORK_CELL) && latch[operand] != OPEN ->
#ifdef BUG_GIVEN_TO_NOBODY
           set_aside(cell)
#else
           d_step { assert(frames & BIT(NUMBER(cell))); latch[NUMBER(cell)] = GIVEN_BACK }
#endif
#endif
        fi;
        cell = 0;
        goto next_instruction
     :: true -> /* parks */
        blocked++;
        latch[operand] != OPEN;
        blocked--;
        goto join
     fi
  :: else ->
     d_step {
       assert((ended & BIT(operand)) && (ended & BIT(operand - 1)));
       frames = frames & ~BIT(operand);
       stage[activity] = 0;
       next[activity]++
     }
     goto next_instruction
  fi;

idle:
  activity = 0;
  d_step { instruction = 0; operand = 0 }
end_idle:
  find_work();
  if
  :: IS_CELL(cell, TASK_CELL) -> d_step { start(NUMBER(cell)); cell = 0 }
  :: IS_CELL(cell, FORK_CELL) -> d_step { start_fork(NUMBER(cell)); cell = 0 }
  :: else ->
     cell = NUMBER(cell);
     claim(cell);
     if
     :: found != 0 -> found = 0
     :: else -> let_go(cell)
     fi;
     cell = 0
  fi;
  goto next_instruction
}

init {
  atomic {
    begun = 1;
    depth[0] = 1;
    run Worker(0);
#if THREADS > 1
    run Worker(1);
#endif
#if THREADS > 2
    run Worker(2)
#endif
  }
  timeout; /* nobody can go on */
  assert(ended == ALL);
  assert(references[0] == 0 && frames == 0);
#if SCOPES > 1
  assert(references[1] == 0)
#endif
}
