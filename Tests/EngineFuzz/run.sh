#!/usr/bin/env bash
# Fuzzes the host of a process pool by a worker that does what the fuzzer says: run.sh SECONDS (from the repository's root),
# or run.sh minimise to keep what was found.
#
# It begins with the kept inputs and collects what reaches new code in .build/engine-fuzz. An input that fails is left there
# as crash-* or timeout-*; .build/engine-fuzz/fuzz FILE runs it again. What earlier inputs have written stays in the
# memory of the pool, so that one input by itself may not show what the last one of many did.
set -euo pipefail
here=Tests/EngineFuzz
out=.build/engine-fuzz
rm -rf $out/c && mkdir -p $out/c $out/found

flags=(-std=c11 -D_GNU_SOURCE -O1 -g -ICShim/CWorkerPool/include -fno-sanitize-recover=all)
find CShim/CWorkerPool/src -name '*.c' | while read -r file; do
  clang "${flags[@]}" -fsanitize=address,undefined,fuzzer-no-link -c -o "$out/c/$(basename "$file").o" "$file"
done
clang "${flags[@]}" -fsanitize=address,undefined -c -o $out/c/fuzz.o $here/fuzz.c
runtime=$(dirname "$(readlink -f "$(command -v clang)")")/../lib/swift/linux
clang -fsanitize=address,undefined,fuzzer -o $out/fuzz $out/c/*.o -L"$runtime" -Wl,-rpath,"$runtime" \
  -ldispatch -lBlocksRuntime -lnuma -lpthread

# No limit on memory: who keeps it is a thread, beside which no pool can be forked.
options=(-max_len=1024 -timeout=30 -rss_limit_mb=0 -artifact_prefix=$out/)
if [[ $1 == minimise ]]; then
  rm -rf $out/kept && mkdir $out/kept
  $out/fuzz "${options[@]}" -use_counters=0 -merge=1 $out/kept $here/corpus $out/found
  rm -rf $here/corpus && mkdir $here/corpus && mv $out/kept/* $here/corpus
else
  $out/fuzz "${options[@]}" -max_total_time="$1" -print_final_stats=1 $out/found $here/corpus
fi
