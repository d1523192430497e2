#!/usr/bin/env bash
# Builds the engine with its calls at the seam, and what makes them fail: build.sh PROGRAM (from the repository's root).
set -euo pipefail
here=Tests/EngineFaults
objects=$1.objects
rm -rf "$objects"
mkdir -p "$objects"
flags=(-std=c11 -D_GNU_SOURCE -O1 -g -ICShim/CWorkerPool/include)
libraries=(-lnuma -lpthread)
# With libseccomp there is a sandbox to be set up.
if printf '#include <seccomp.h>\n' | clang -E -x c - >/dev/null 2>&1; then
  flags+=(-DWP_SANDBOX)
  libraries+=(-lseccomp)
fi
compile() {
  local file=$1 object
  object=$objects/${file//\//+}.o
  shift
  clang "$@" -c -o "$object" "$file"
}
export -f compile
export objects
# What thread pools alone are made of has no seam.
{
  find CShim/CWorkerPool/src/{thread,queue,park} -name '*.c' | sed 's/$/ -Wall/'
  find CShim/CWorkerPool/src/{base,platform,topology,process} -name '*.c' | sed "s|\$| -include $here/seam.h -Wall -Wno-unused-value|"
  find $here -name '*.c' | sed 's/$/ -Wall/'
} | xargs -P "$(nproc)" -L 1 bash -c 'compile "$@" '"${flags[*]}" _
clang -o "$1" "$objects"/*.o "${libraries[@]}"
