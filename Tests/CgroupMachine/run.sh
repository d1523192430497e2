#!/usr/bin/env bash
# Runs the engine's scenarios about memory cgroups where nobody else's are touched: in a small emulated machine, once
# with cgroup v1 and once with v2. Takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
.ci/need gcc=gcc numa.h=libnuma-dev seccomp.h=libseccomp-dev
out=.build/cgroup-machine
mkdir -p $out
flags="-std=c11 -D_GNU_SOURCE -O1 -ICShim/CWorkerPool/include"
gcc $flags -DWP_SANDBOX -rdynamic -o $out/check Tests/ProcessEngineCheck/*.c \
  CShim/CWorkerPool/src/*/*.c CShim/CWorkerPool/src/*/*/*.c \
  -lnuma -lseccomp -lpthread
gcc $flags -static -o $out/helper Tests/CgroupMachine/helper.c
Tests/Machine/pack.sh $out Tests/CgroupMachine/main $out/check $out/helper
for version in v1 v2; do
  Tests/Machine/boot.sh -n 0:0-1:1536 -l 900 $out version=$version | tr -d '\r' | tee $out/$version.log |
    grep -aE '^v[12] |^ran |^machine|^Tests/|^these|^/sys' || true
  grep -aq '^machine: as expected' $out/$version.log || { echo "see $out/$version.log" >&2; exit 1; }
done
