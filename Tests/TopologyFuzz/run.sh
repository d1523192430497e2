#!/usr/bin/env bash
# Fuzzes the reading of topologies: run.sh SECONDS (from the repository's root), or run.sh minimise to keep what was found.
#
# It begins with the kept inputs and with the fixtures of the tests, and collects what reaches new code in .build/fuzz. An
# input that fails is left there as crash-*, timeout-* or oom-*; .build/fuzz/fuzz FILE runs it again.
set -euo pipefail
here=Tests/TopologyFuzz
out=.build/fuzz
mkdir -p $out/found $out/seeds

# The fuzzer is told what the engine does, not what the check does. Comparisons are not traced in sets of CPUs, whose
# words are compared by the thousand. libdispatch is what the sanitizers of a Swift toolchain ask for.
flags=(-std=c11 -D_GNU_SOURCE '-DWP_TOPOLOGY_SCRATCH=(96u*1024u)' -O2 -g -ICShim/CWorkerPool/include -fno-sanitize-recover=all)
for file in CShim/CWorkerPool/src/{topology/*,base/wp_error,platform/wp_affinity}.c $here/fuzz.c; do
  case $file in
  */fuzz.c) sanitizers=(-fsanitize=address,undefined) ;;
  */wp_cpu_list.c) sanitizers=(-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-coverage=trace-cmp) ;;
  *) sanitizers=(-fsanitize=address,undefined,fuzzer-no-link) ;;
  esac
  clang "${flags[@]}" "${sanitizers[@]}" -c -o $out/"$(basename "$file" .c)".o "$file"
done
runtime=$(dirname "$(readlink -f "$(command -v clang)")")/../lib/swift/linux
clang -fsanitize=address,undefined,fuzzer -o $out/fuzz $out/*.o -L"$runtime" -Wl,-rpath,"$runtime" \
  -ldispatch -lBlocksRuntime -lnuma -lpthread

# A fixture as an input: each file under its path.
for fixture in Tests/TopologyTests/Fixtures/*/; do
  find "$fixture" -type f -printf '%P\n' | sort | while read -r file; do
    printf '@%s\n' "$file"
    cat "$fixture$file"
  done >$out/seeds/"$(basename "$fixture")"
done

options=(-dict=$here/dictionary -max_len=8192 -timeout=10 -artifact_prefix=$out/)
if [[ $1 == minimise ]]; then
  rm -rf $out/kept && mkdir $out/kept
  # By code reached alone: how often a loop runs would keep thousands.
  $out/fuzz "${options[@]}" -use_counters=0 -merge=1 $out/kept $here/corpus $out/seeds $out/found
  rm -rf $here/corpus && mkdir $here/corpus && mv $out/kept/* $here/corpus
else
  $out/fuzz "${options[@]}" -max_total_time="$1" -print_final_stats=1 $out/found $here/corpus $out/seeds
fi
