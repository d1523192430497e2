#!/usr/bin/env bash
# Checks threads and memory on NUMA machines that this one is not: in emulated machines of several shapes, whose nodes,
# CPUs and distances the programs inside (Tests/NumaCheck, Tests/NumaScenarios) are told. One line a shape; what the
# programs said is in .build/numa-machine/SHAPE.log.
#
#   Tests/NumaMachine/run.sh [SHAPE…]       ONLY=topology,pinned narrows it to some checks
set -euo pipefail
cd "$(dirname "$0")/../.."
all=(uniform2 uniform4 cpuless memless offline sparse)
ring="10,20,30,20/20,10,20,30/30,20,10,20/20,30,20,10"
four="0:0-1:384/1:2-3:256/2:4-5:256/3:6-7:256"

# Sets the options of boot.sh.
describe() {
  offline='' threads=1 nodes=$four distances=$ring
  case $1 in
  uniform2) nodes="0:0-3:384/1:4-7:256" distances="10,21/21,10" threads=2 ;;
  uniform4) ;;
  # The last node has memory alone, far from all; no memory, one CPU; CPUs that are all off.
  cpuless) nodes="0:0-1:384/1:2-3:256/2::256" distances="10,20,40/20,10,40/40,40,10" ;;
  memless) nodes="0:0-1:384/1:2-3:256/2:4:" distances="10,20,30/20,10,15/30,15,10" ;;
  offline) offline=1,6-7 ;;
  # There is no node 1.
  sparse) nodes="0:0-1:384/2:2-3:256/3:4-5:256/5:6-7:256" ;;
  *)
    echo "$1: not a shape; there are ${all[*]}" >&2
    exit 64
    ;;
  esac
}

shapes=("$@")
(($#)) || shapes=("${all[@]}")
for shape in "${shapes[@]}"; do describe "$shape"; done

.ci/need gcc=gcc numa.h=libnuma-dev
out=.build/numa-machine
mkdir -p $out
gcc -std=c11 -D_GNU_SOURCE -O2 -ICShim/CWorkerPool/include -o $out/numa-check Tests/NumaCheck/*.c \
  CShim/CWorkerPool/src/*/*.c CShim/CWorkerPool/src/*/*/*.c -lnuma -lpthread
# The standard library inside, so that what the machine needs beside the program is C's.
swift build -c release --static-swift-stdlib --scratch-path .build-static --product NumaScenarios \
  >$out/build.log 2>&1 || { cat $out/build.log; exit 1; }
strip -o $out/NumaScenarios .build-static/release/NumaScenarios
Tests/Machine/pack.sh $out Tests/NumaMachine/main $out/numa-check $out/NumaScenarios

failed=0
printf '%-10s %6s %6s %8s %8s\n' shape nodes CPUs checks seconds
for shape in "${shapes[@]}"; do
  describe "$shape"
  start=$SECONDS status=0 log=$out/$shape.log
  Tests/Machine/boot.sh -n "$nodes" -d "$distances" -o "$offline" -t "$threads" -l 600 $out "ONLY=${ONLY:-}" \
    >$log.raw 2>&1 || status=$?
  tr -d '\r' <$log.raw >$log && rm $log.raw
  passed=$(grep -c '^check .*: passed' $log || true)
  of=$(grep -c '^check ' $log || true)
  slashes=${nodes//[^\/]/}
  cpus=$(tr / '\n' <<<"$nodes" | cut -d : -f 2 | awk -F - '/./ { count += $NF - $1 + 1 } END { print count }')
  printf '%-10s %6d %6d %8s %8d' "$shape" $((${#slashes} + 1)) "$cpus" "$passed/$of" $((SECONDS - start))
  # A machine in which nothing was checked has not passed either.
  if ((status == 0 && passed > 0 && passed == of)); then
    echo "  passed"
  else
    echo "  FAILED ($status), see $log"
    grep -v ': passed' $log | tail -n 20 | sed 's/^/  | /'
    failed=1
  fi
done
exit $failed
