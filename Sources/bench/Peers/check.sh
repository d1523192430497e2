#!/usr/bin/env bash
# Runs every peer with every bench at a small n. Fails if a round does, or if one offers other benches than README.md
# says.
#   check.sh OUT/peers.tsv
set -euo pipefail

readme=$(dirname "$0")/README.md
number='-?[0-9]+(\.[0-9]+)?'
failures=0

declare -A small=(
  [fanout]=1000 [contend]=1003 [fanout-future]=1000 [fire-and-forget]=1000 [spawn-fib]=100 [pingpong]=100
  [map-uniform]=10007 [map-irregular]=20 [primes]=100003 [pending]=1000 [pending-future]=1000 [idle]=1
  [process-pingpong]=100 [process-pingpong-parked]=100 [process-pingpong-parked-near]=100 [process-fanout]=1000
  [process-map]=1000 [process-payload]=10 [process-respawn]=10 [process-primes]=100003 [process-seed]=1000)
times=", \"p50_ns\": $number, \"p99_ns\": $number"
declare -A more=(
  [process-pingpong]=$times [process-pingpong-parked]=$times [process-pingpong-parked-near]=$times
  [process-respawn]=$times
  [pingpong]=$times [pending]=", \"bytes\": $number"
  [pending-future]=", \"bytes\": $number" [idle]=", \"switches\": $number")

complain() {
  echo "$1" >&2
  failures=$((failures + 1))
}

# Whether a run offers the bench; anything but two good rounds or a clean refusal is a failure.
offers() {
  local name=$1 bench=$2 output status=0 round
  shift 2
  output=$(printf 'go\ngo\n' | timeout 60 "$@" "$bench" 2 "${small[$bench]}") || status=$?
  round="\{\"wall_ns\": $number, \"cpu_ns\": $number${more[$bench]-}\}"
  if ((status == 2)) && [[ $output == '{"error": "unsupported"}' ]]; then return 1; fi
  if ((status != 0)) || ! [[ $output =~ ^ready$'\n'$round$'\n'$round$ ]]; then
    complain "$name $bench: status $status, printed: $output"
  fi
}

while IFS=$'\t' read -r -u 3 name command _; do
  read -ra words <<<"$command"
  offered=()
  for bench in $(printf '%s\n' "${!small[@]}" | sort); do
    if offers "$name" "$bench" "${words[@]}"; then offered+=("$bench"); fi
  done
  promised=$(awk -F ' *[|] *' -v name="$name" '$2 == name { print $3 }' "$readme")
  [[ ${offered[*]} == "$promised" ]] || complain "$name offers '${offered[*]}', but README.md says '$promised'"

  status=0
  output=$("${words[@]}" pingpong 0 1 </dev/null) || status=$?
  if ((status != 1)) || [[ $output != '{"error": "workers is '"'0'"* ]]; then
    complain "$name with 0 workers: status $status, printed: $output"
  fi
  echo "$name: ${offered[*]}"
done 3<"$1"

((failures == 0)) || { echo "$failures failures" >&2; exit 1; }
