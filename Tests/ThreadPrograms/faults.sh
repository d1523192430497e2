#!/usr/bin/env bash
# Plants known faults, one by one, in a copy of the sources, and checks that random programs find each within 1,000 seeds:
#
#   Tests/ThreadPrograms/faults.sh                            all of them
#   Tests/ThreadPrograms/faults.sh ended-spare-in-stack ...   some of them
#   FIRST=5000 COUNT=2000 Tests/ThreadPrograms/faults.sh      with other seeds
#
# A fault is a patch in the folder faults; the lines before the diff say what is wrong with it. First of all the copy without
# a fault has to pass. The copy and its build stay in .build/faults, so that a second run compiles less.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$PWD/Tests/ThreadPrograms/faults
tree=$PWD/.build/faults/tree
first=${FIRST:-0} count=${COUNT:-1000}
# Seconds without a step after which a program hangs, and after which a whole run is over.
patience=${PATIENCE:-10} limit=1800

# Changes a file only if it differs, so that nothing is built twice.
copy_sources() {
  mkdir -p "$tree"
  git ls-files -z --cached --others --exclude-standard -- Package.swift Package.resolved Sources ':!Sources/bench' CShim Tests |
    while IFS= read -r -d '' file; do
      [ -e "$file" ] || continue
      cmp -s "$file" "$tree/$file" || { mkdir -p "$tree/$(dirname "$file")" && cp "$file" "$tree/$file"; }
    done
}

# Builds the copy and runs the programs; what they say goes to a log. True when they fail.
is_found() {
  local log=$1
  swift build -c release --package-path "$tree" --product ThreadPrograms >"$log" 2>&1 || { cat "$log" >&2; exit 2; }
  ! PATIENCE=$patience timeout "$limit" "$tree/.build/release/ThreadPrograms" run "$first" "$count" >"$log" 2>&1
}

faults=("$@")
if [ ${#faults[@]} -eq 0 ]; then
  for patch in "$folder"/*.patch; do faults+=("$(basename "$patch" .patch)"); done
fi
copy_sources
log=$tree/../log
if is_found "$log"; then
  echo "without a fault: $(head -n 1 "$log")"
  exit 1
fi
echo "without a fault: $(tail -n 1 "$log")"
failed=0
for fault in "${faults[@]}"; do
  patch -d "$tree" -p1 -s <"$folder/$fault.patch"
  if is_found "$log"; then
    echo "$fault: $(head -n 1 "$log")"
  else
    echo "$fault: not found; $(tail -n 1 "$log")"
    failed=1
  fi
  patch -d "$tree" -p1 -s -R <"$folder/$fault.patch"
done
exit $failed
