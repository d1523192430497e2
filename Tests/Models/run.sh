#!/bin/sh
# Checks the Promela models with Spin: each must hold, and each planted bug must be found.
#
#   Tests/Models/run.sh            all of them, two at a time (MODEL_JOBS)
#   Tests/Models/run.sh injector   one model
#
# Needs spin and a C compiler (CC). Exhaustive within the bounds below; each run stops at 1.5 GB, which counts as a
# failure, so that "holds" always means that every state was visited.
set -u
here=$(cd "$(dirname "$0")" && pwd)

# model | flags | holds, or ends (no run goes on for ever), or the planted bug that must be found
runs='
event_count|-DJOBS_A=1 -DJOBS_B=1|holds
event_count|-DJOBS_A=3 -DJOBS_B=0|holds
event_count|-DCLOSING -DCHILD -DJOBS_A=1 -DJOBS_B=0|holds
event_count|-DJOBS_A=1 -DJOBS_B=1|BUG_NO_RECHECK
event_count|-DJOBS_A=1 -DJOBS_B=1|BUG_NO_HANDOVER
event_count|-DJOBS_A=1 -DJOBS_B=1|BUG_NO_LATE_HANDOVER
event_count|-DJOBS_A=3 -DJOBS_B=0|BUG_SILENT_REFILL
event_count|-DJOBS_A=1 -DJOBS_B=1|BUG_NO_FUTEX_CHECK
event_count|-DCLOSING -DJOBS_A=1 -DJOBS_B=0|BUG_LOOK_BEFORE_CLOSED
event_count|-DCLOSING -DCHILD -DJOBS_A=1 -DJOBS_B=0|BUG_LONE_SLEEPER
event_count|-DCLOSING -DJOBS_A=1 -DJOBS_B=0|BUG_ENDS_UNWOKEN
event_count|-DGUEST -DJOBS_A=1 -DJOBS_B=0|holds
event_count|-DGUEST -DCLOSING -DJOBS_A=0 -DJOBS_B=0|holds
event_count|-DGUEST -DJOBS_A=1 -DJOBS_B=0|BUG_GUEST_SILENT
event_count|-DGUEST -DCLOSING -DJOBS_A=0 -DJOBS_B=0|BUG_GUEST_AWAKE
event_count|-DGUEST -DCLOSING -DJOBS_A=0 -DJOBS_B=0|BUG_GUEST_CLOSED
node_wakes|-DWORKERS=2 -DJOBS_A=1 -DJOBS_B=1 -DSPIN|holds
node_wakes|-DWORKERS=2 -DJOBS_A=1 -DJOBS_B=1 -DRULE_AFTER|holds
node_wakes|-DWORKERS=2 -DJOBS_A=1 -DJOBS_B=0 -DCHILD -DSPIN|holds
node_wakes|-DWORKERS=3 -DJOBS_A=1 -DJOBS_B=1 -DASLEEP -DBUSY=1|holds
node_wakes|-DWORKERS=4 -DJOBS_A=2 -DJOBS_B=0 -DASLEEP -DBUSY=1|holds
node_wakes|-DWORKERS=3 -DNODES=3 -DJOBS_A=1 -DJOBS_B=1 -DASLEEP -DBUSY=2|holds
node_wakes|-DWORKERS=2 -DJOBS_A=1 -DJOBS_B=0 -DCLOSING -DCHILD|holds
node_wakes|-DWORKERS=2 -DJOBS_A=2 -DJOBS_B=0 -DASLEEP -DCLOSING -DWAITS|holds
node_wakes|-DWORKERS=2 -DJOBS_A=2 -DJOBS_B=0 -DASLEEP|BUG_OWN_WORD
node_wakes|-DWORKERS=2 -DJOBS_A=1 -DJOBS_B=1|BUG_RECHECK_AT_HOME
node_wakes|-DWORKERS=3 -DJOBS_A=1 -DJOBS_B=1 -DASLEEP -DBUSY=1|BUG_NO_HANDOVER
node_wakes|-DWORKERS=2 -DJOBS_A=1 -DJOBS_B=1 -DSPIN|BUG_NO_LATE_HANDOVER
node_wakes|-DWORKERS=3 -DJOBS_A=1 -DJOBS_B=1 -DASLEEP -DBUSY=1|BUG_OWN_HANDOVER
node_wakes|-DWORKERS=3 -DNODES=3 -DJOBS_A=1 -DJOBS_B=1 -DASLEEP -DBUSY=2|BUG_HANDOVER_HOME
node_wakes|-DWORKERS=3 -DJOBS_A=3 -DJOBS_B=0 -DASLEEP|BUG_SILENT_REFILL
node_wakes|-DWORKERS=2 -DJOBS_A=2 -DJOBS_B=0 -DASLEEP -DCLOSING -DWAITS|BUG_RULE_IN_CLOSED
injector|-DPOPS=1 -DBURNS=1|holds
injector|-DPOPS=2 -DOTHER_POPS=2 -DBURNS=0|holds
injector|-DCLOSING -DPOPS=2 -DBURNS=0|holds
injector|-DCLOSING -DPOPS=1 -DBURNS=1|holds
injector|-DPOPS=1 -DBURNS=1|BUG_NO_HAZARD_CHECK
injector|-DPOPS=1 -DBURNS=1|BUG_NO_HAZARD_LOOK
injector|-DPOPS=1 -DBURNS=1|BUG_HEAD_FIRST
injector|-DPOPS=1 -DBURNS=1|BUG_NO_BURN
injector|-DCLOSING -DPOPS=2 -DBURNS=1|BUG_CLOSE_NO_LINK
future|-DSLEEPERS|holds
future|-DNO_CALLBACK|holds
future|-DPARKER|holds
future|-DSLEEPERS|BUG_SETTLE_IGNORES_LOCK
future|-DNO_CALLBACK|BUG_SILENT_UNLOCK
future|-DSLEEPERS|BUG_UNLOCK_DROPS_BLOCKED
future|-DSLEEPERS|BUG_UNLOCK_STORES
future|-DSLEEPERS|BUG_LATE_RESULT
future|-DSLEEPERS|BUG_RESULT_OVER_BODY
future|-DNO_CALLBACK|BUG_NO_ABANDON
future|-DPARKER|BUG_LEAVES_UNTOLD
collector_role||holds
collector_role|-DSPIN|holds
collector_role|-DCANCEL|holds
collector_role|-DONE_WORKER|holds
collector_role|-DONE_WORKER -DSPIN|holds
collector_role||BUG_NO_RECHECK
collector_role|-DSPIN|BUG_LEAVE_NO_RECHECK
collector_role||BUG_LEAVE_SILENTLY
collector_role||BUG_LEADER_NO_RECHECK
collector_role||BUG_LEADER_NO_CLAIMED
collector_role|-DCANCEL|BUG_LEADER_NO_COME
collector_role|-DCANCEL|BUG_NO_WAKE
collector_role||BUG_CLAIMED_ONLY
collector_role||BUG_GIVE_UP_SILENTLY
collector_role||BUG_ROLE_BY_STORE
collector_role||BUG_RING_FIRST
collector_role||BUG_CLEAR_LATE
collector_role||BUG_SLEEP_ON
collector_role|-DONE_WORKER|BUG_SAME_SLEEP
life_cycle|-DSUBMIT -DCLOSING|holds
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DSUBMIT|holds
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DSUBMIT -DCLOSING|holds
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DTIMES -DCLOSING|holds
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING -DTWO_JOINERS|holds
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING -DRELEASE|holds
life_cycle|-DTWO_WAITS -DSPARES=1|holds
life_cycle|-DACROSS -DWORKERS=1 -DSPARES=1 -DCLOSING|holds
life_cycle|-DPIECE -DCLOSING|holds
life_cycle|-DPIECE -DCLOSING -DCANCELLED=2|holds
life_cycle|-DPIECE -DSPARES=1|holds
life_cycle|-DCHAIN -DWORKERS=1 -DSPARES=1 -DCLOSING|holds
life_cycle|-DCHAIN -DWORKERS=1 -DSPARES=2 -DCLOSING|holds
life_cycle|-DCYCLE|holds
life_cycle|-DCYCLE -DSPARES=1 -DCLOSING|holds
life_cycle|-DPAIRS -DCLOSING|holds
life_cycle|-DPUSHED -DSUBMIT -DCLOSING|holds
life_cycle|-DPUSHED -DINDIRECTLY -DCLOSING|holds
life_cycle|-DPUSHED -DWORKERS=1 -DSPARES=1 -DCLOSING|holds
life_cycle|-DPUSHED -DWORKERS=1 -DSPARES=1 -DCLOSING -DRELEASE|holds
life_cycle|-DPUSHED -DSPARES=1|holds
life_cycle|-DPUSHED -DRESIZE=1 -DCLOSING|holds
life_cycle|-DSTANDS_IN -DWORKERS=1 -DSPARES=1 -DCLOSING|holds
life_cycle|-DSPAWNED -DRESIZE=1 -DCLOSING|holds
life_cycle|-DSPARES=1 -DRESIZE=1 -DCLOSING|holds
life_cycle|-DSPARES=1 -DRESIZE=2 -DCLOSING|holds
life_cycle|-DGUEST -DDIRECTLY -DWORKERS=1 -DCLOSING|holds
life_cycle|-DGUEST -DINDIRECTLY -DWORKERS=1 -DSPARES=1 -DCLOSING|holds
life_cycle|-DGUEST -DDIRECTLY -DCLOSING|holds
life_cycle|-DGUEST -DRESIZE=1|holds
life_cycle|-DGUEST -DRESIZE=1 -DRESIZES=1 -DCLOSING|holds
life_cycle|-DSUBMIT -DCLOSING|ends
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING|ends
life_cycle|-DTWO_WAITS -DSPARES=1|ends
life_cycle|-DPUSHED -DWORKERS=1 -DSPARES=1 -DCLOSING|ends
life_cycle|-DPAIRS -DCLOSING|ends
life_cycle|-DGUEST -DDIRECTLY -DCLOSING|ends
life_cycle|-DSPARES=1 -DRESIZE=2 -DCLOSING|ends
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING|BUG_ENDS_IN_STACK
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING|BUG_ENDS_UNWOKEN
life_cycle|-DSUBMIT -DCLOSING|BUG_LONE_SLEEPER
life_cycle|-DCYCLE -DSPARES=1 -DCLOSING|BUG_END_UNRESOLVED
life_cycle|-DPUSHED -DWORKERS=1 -DSPARES=1 -DCLOSING|BUG_SPARE_ENDS_FOR_GOOD
life_cycle|-DPUSHED -DINDIRECTLY -DCLOSING|BUG_ENDED_NOT_REPLACED
life_cycle|-DSTANDS_IN -DWORKERS=1 -DSPARES=1 -DCLOSING|BUG_NONE_WANTED
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING|BUG_BENCHED_LEFT
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING|BUG_NOT_JOINED
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DCLOSING -DRELEASE|BUG_NOT_DETACHED
life_cycle|-DRESIZE=1|BUG_OPEN_NOT_DETACHED
life_cycle|-DRESIZE=2 -DCLOSING|BUG_RESIZE_LOOKS_EARLY
life_cycle|-DTWO_WAITS -DWORKERS=1 -DSPARES=1 -DSUBMIT|BUG_LEAVES_SILENTLY
life_cycle|-DPUSHED -DWORKERS=1 -DSPARES=1|BUG_STEP_DOWN_UNCHECKED
life_cycle|-DTWO_WAITS -DSPARES=1|BUG_LINGERS
life_cycle|-DACROSS -DWORKERS=1 -DSPARES=1|BUG_UNCOUNTED
life_cycle|-DPIECE|BUG_STRUCTURED_UNCOUNTED
life_cycle|-DPAIRS|BUG_AWAKE_REFUSED
life_cycle|-DPUSHED -DWORKERS=1 -DSPARES=1|BUG_ENDING_UNSEEN
life_cycle|-DPIECE|BUG_NO_LOOK_ASLEEP
life_cycle|-DPIECE|BUG_LOOKS_BEFORE_ASLEEP
life_cycle|-DPIECE -DCANCELLED=2|BUG_REFUSED_GOES
structured|-DSCOPE_OVER_JOIN|holds
structured|-DSCOPE_OVER_JOIN -DNO_ROOM -DSPARE|holds
structured|-DBURIED|holds
structured|-DLATE_SPAWN -DNO_ROOM|holds
structured|-DNEXT_TASK|holds
structured|-DNEXT_TASK -DSPARE|holds
structured|-DWAITED_CALL -DSPARE|holds
structured|-DNESTED -DSPARE|holds
structured|-DMIXED|holds
structured|-DMIXED -DWORKERS=3|holds
structured|-DPIECES|holds
structured|-DDEEP|holds
structured|-DDEEP -DSPARE|holds
structured|-DLATE_SPAWN -DNO_ROOM|ends
structured|-DNEXT_TASK -DSPARE|ends
structured|-DMIXED -DSPARE|ends
structured|-DDEEP|ends
structured|-DSCOPE_OVER_JOIN|BUG_JOIN_TAKES_CALLS
structured|-DNEXT_TASK|BUG_NO_LATCH_CHECK
structured|-DNEXT_TASK|BUG_GIVEN_TO_NOBODY
structured|-DPIECES|BUG_TOUCH_AFTER_DONE
structured|-DWAITED_CALL -DSPARE|BUG_INVITATION_DROPPED
structured|-DBURIED|BUG_CLOSE_BY_CELLS
structured|-DLATE_SPAWN|BUG_SILENT_SPAWN
structured|-DLATE_SPAWN -DNO_ROOM|BUG_UNINVITED
structured|-DLATE_SPAWN|BUG_PARK_WITHOUT_LOOK
structured|-DLATE_SPAWN|BUG_CLAIM_IN_TWO
structured|-DLATE_SPAWN|BUG_CORE_FREED
worker_sleep||holds
worker_sleep|-DTASKS=3 -DCELLS=3|holds
worker_sleep||BUG_NO_RECHECK
worker_sleep||BUG_NO_EXCHANGE
worker_sleep||BUG_NUMBERED
'

# Runs one line of the table; prints one line, and fails when it is not as expected.
check() {
  model=${1%%|*}
  rest=${1#*|}
  flags=${rest%%|*}
  expected=${rest#*|}
  work=$(mktemp -d) || return 1
  trap 'rm -rf "$work"' EXIT
  bug=
  search=-DSAFETY
  option=
  good=ok
  case $expected in
    holds) ;;
    ends) search=-DNP option=-l good=ends ;;
    *) bug=-D$expected ;;
  esac
  # shellcheck disable=SC2086 # flags are words, an option may be none
  if ! (cd "$work" && cp "$here/$model".* . && spin -a $flags $bug "$model.pml" > spin.out 2>&1 &&
    ${CC:-cc} -O2 -w $search -DMEMLIM=1500 -o pan pan.c > cc.out 2>&1); then
    cat "$work"/*.out
    echo "FAIL  $model $flags $bug: does not compile"
    return 1
  fi
  # shellcheck disable=SC2086
  (cd "$work" && ./pan $option -m100000 -w22 > pan.out 2>&1)
  out=$work/pan.out
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$out")
  seconds=$(sed -n 's/^pan: elapsed time \([0-9.e+-]*\) seconds.*/\1/p' "$out")
  errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$out")
  finding=$(sed -n 's/^pan:1: //p' "$out")
  incomplete=$(grep -E 'reached -DMEMLIM|max search depth too small|Search not completed' "$out" | head -n 1)
  if [ -z "$bug" ]; then
    verdict=$good
    { [ "$errors" = 0 ] && [ -z "$incomplete" ]; } || verdict=FAIL
  else
    verdict=found
    # A truncated search is reported as one only when it found nothing.
    case $finding in
      "assertion violated"* | "invalid end state"*) ;;
      *) verdict=FAIL ;;
    esac
  fi
  printf '%-5s %-14s %-86s %10s states %7s s\n' "$verdict" "$model" "$flags${bug:+ $bug}" "${states:-?}" "${seconds:-?}"
  [ "$verdict" != FAIL ] && return 0
  printf '      %s\n' "${finding:-${incomplete:-no violation found}}"
  return 1
}

if [ "${1:-}" = --check ]; then
  check "$2"
  exit
fi
command -v spin > /dev/null || { echo "models: spin is missing (apt-get install spin)" >&2; exit 1; }
selected=$(printf '%s' "$runs" | grep "^${1:-[a-z]}") || { echo "models: no model '$1'" >&2; exit 64; }
if printf '%s\n' "$selected" | tr '\n' '\0' | xargs -0 -n 1 -P "${MODEL_JOBS:-2}" "$0" --check; then
  echo "models: all $(printf '%s\n' "$selected" | wc -l) runs as expected"
else
  echo "models: FAILED" >&2
  exit 1
fi
