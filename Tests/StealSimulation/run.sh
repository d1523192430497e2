#!/bin/sh
# Prints the tables of the simulation, and fails when the article StealingSimulation shows others.
#
#   Tests/StealSimulation/run.sh [--update] PROGRAM FOLDER…
#
# The tables are what stands in the article from its first heading of the third level to the next of the second level.
# --update writes them there.
set -eu
update=
[ "$1" != --update ] || { update=yes; shift; }
here=$(cd "$(dirname "$0")" && pwd)
article=$here/../../Sources/WorkerPool/WorkerPool.docc/StealingSimulation.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$@" > "$work/tables"
cat "$work/tables"
awk -v tables="$work/tables" '
  /^### / && !done { while ((getline line < tables) > 0) print line; print ""; inside = done = 1 }
  /^## / { inside = 0 }
  !inside
  END { exit !done }' "$article" > "$work/article" || {
  echo "simulate: no place for the tables in $article" >&2
  exit 1
}
if [ -n "$update" ]; then
  cat "$work/article" > "$article"
  echo "simulate: wrote the tables; what the article says of them is yours to check" >&2
elif ! diff -u "$article" "$work/article" >&2; then
  echo "simulate: the article shows other numbers (make simulate UPDATE=1)" >&2
  exit 1
fi
