#!/usr/bin/env bash
# Fuzzes the decoders that a host runs on a worker's bytes: run.sh SECONDS [TARGET...] (from the repository's root; so many
# seconds for each target), or run.sh minimise to keep what was found.
#
# It begins with the kept inputs and collects what reaches new code in .build/wire-fuzz. An input that fails is left there
# as TARGET-crash-*, -timeout-* or -oom-*; WIRE_FUZZ_TARGET=TARGET .build/wire-fuzz/fuzz FILE runs it again.
set -euo pipefail
here=Tests/WireFuzz
out=.build/wire-fuzz
seconds=$1
shift
targets=("$@")
((${#targets[@]})) || targets=(wire errors json propertyList)
mkdir -p $out

# The modules are compiled by hand: SwiftPM has no fuzzers.
swift_flags=(-O -g -swift-version 6 -parse-as-library -wmo -package-name fuzz -sanitize=address,fuzzer -I $out
  -ICShim/CWorkerPool/include -Xcc -fmodule-map-file=CShim/CNuma/module.modulemap
  -Xcc -fmodule-map-file=$out/CWorkerPool.modulemap -Xcc -D_GNU_SOURCE)
if [[ -f CShim/CWorkerPool/include/module.modulemap ]]; then
  cp CShim/CWorkerPool/include/module.modulemap $out/CWorkerPool.modulemap
else
  printf 'module CWorkerPool { umbrella "%s" export * }\n' "$PWD/CShim/CWorkerPool/include" >$out/CWorkerPool.modulemap
fi
module() {
  local name=$1
  shift
  swiftc "${swift_flags[@]}" -module-name "$name" -emit-module -emit-module-path "$out/$name.swiftmodule" \
    -c -o "$out/$name.o" "$@"
}
module WorkerPool Sources/WorkerPool/*/*.swift
module WorkerPoolFoundation Sources/WorkerPoolFoundation/*.swift
module WireFuzz $here/*.swift
rm -rf $out/c && mkdir -p $out/c
find CShim/CWorkerPool/src -name '*.c' | while read -r file; do
  clang -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=address -ICShim/CWorkerPool/include -c -o "$out/c/$(basename "$file").o" "$file"
done
swiftc -sanitize=address,fuzzer -o $out/fuzz $out/{WorkerPool,WorkerPoolFoundation,WireFuzz}.o $out/c/*.o -lnuma

for target in "${targets[@]}"; do
  mkdir -p $out/found/"$target"
  options=(-max_len=16384 -timeout=5 -rss_limit_mb=2048 -artifact_prefix="$out/$target-")
  export WIRE_FUZZ_TARGET=$target
  if [[ $seconds == minimise ]]; then
    rm -rf $out/kept && mkdir $out/kept
    # By code reached alone: how often a loop runs would keep thousands.
    $out/fuzz "${options[@]}" -use_counters=0 -merge=1 $out/kept $here/corpus/"$target" $out/found/"$target"
    rm -rf $here/corpus/"$target" && mkdir $here/corpus/"$target" && mv $out/kept/* $here/corpus/"$target"
  else
    $out/fuzz "${options[@]}" -max_total_time="$seconds" -print_final_stats=1 $out/found/"$target" $here/corpus/"$target"
  fi
done
