#!/usr/bin/env bash
# Whether re-executed workers find what is constructed before `main`, and start at all, however a program is linked and started.
#
#   Tests/StartProgram/run.sh       all of it
#   Tests/StartProgram/run.sh NAME  one way of linking
#
# What this machine cannot link, or does not grant, is said and left out.
set -euo pipefail
only=${1:-}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/.build/start-program
engine=$root/CShim/CWorkerPool
mkdir -p "$out/engine"
failed=0

for file in "$engine"/src/*/*.c "$engine"/src/*/*/*.c; do
  echo "clang -std=c11 -D_GNU_SOURCE -I'$engine/include' -O1 -fPIC -c '$file' -o '$out/engine/$(basename "$file" .c).o'"
done | xargs -P "$(nproc)" -d '\n' -I{} bash -c '{}'
for file in "$here"/*.cpp; do
  clang++ -std=c++20 -D_GNU_SOURCE -I"$engine/include" -O1 -fPIC -Wall -Wextra -Werror -c "$file" -o "$out/$(basename "$file" .cpp).o"
done
cd "$out"
engine_objects=(engine/*.o)
libraries=(-lnuma -lpthread -ldl)
# The engine between two objects: constructors of the program stand before and behind its own.
around=(object_before.o "${engine_objects[@]}" object_behind.o)

# start NAME COMMAND...: in the ways in which the system lets it be started.
start() {
  local name=$1 program=$2 said
  shift
  check() {
    local way=$1
    shift
    said=$(timeout 60 "$@" 2>&1) || true
    if [[ $said == ok ]]; then echo "ok: $name, $way"; else echo "$name, $way: $said"; failed=1; fi
  }
  check "by its name" "$@"
  loader=$(readelf -l "$program" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
  [[ -z $loader ]] || check "by the loader" "$loader" "$@"
  if unshare --pid --fork --mount-proc true 2>/dev/null; then
    check "as process 1" unshare --pid --fork --mount-proc "$@"
  else
    echo "not granted: $name, as process 1"
  fi
}

# build NAME COMMAND...: false when this machine cannot, or when another is asked for.
build() {
  local name=$1
  shift
  [[ -z $only || $only == "$name" ]] || return 1
  "$@" >"$name.log" 2>&1 && return 0
  echo "cannot be linked here: $name ($(head -n 1 "$name.log"))"
  return 1
}

for linker in bfd lld gold; do
  name=program-$linker
  build "$name" clang++ -fuse-ld=$linker -pie -o "$name" main.o program.o object_of_library.o "${around[@]}" "${libraries[@]}" &&
    start "$name" "./$name"
done
for kind in no-pie static static-pie; do
  name=program-$kind
  build "$name" clang++ -fuse-ld=bfd -$kind -o "$name" main.o program.o object_of_library.o "${around[@]}" "${libraries[@]}" &&
    start "$name" "./$name"
done
# The engine as a library; another library that uses it; and a program that uses both.
name=program-shared
build "$name" clang++ -shared -o libengine.so "${engine_objects[@]}" "${libraries[@]}" &&
  build "$name" clang++ -shared -Wl,-soname,libobject.so.1 -o libobject.so.1 object_of_library.o -Wl,--no-as-needed -L. -lengine &&
  build "$name" clang++ -o "$name" main.o program.o object_before.o object_behind.o ./libobject.so.1 -L. -lengine \
    -Wl,-rpath,"$out" "${libraries[@]}" &&
  start "$name" "./$name"
# A library that a program loads late, with the engine in it, and with the engine as a library that it needs.
name=late
build "$name" clang++ -o late late.o -ldl &&
  build "$name" clang++ -shared -o bundle.so program.o object_of_library.o "${around[@]}" "${libraries[@]}" &&
  start "$name" ./late ./bundle.so
name=late-shared
build "$name" clang++ -o late late.o -ldl &&
  build "$name" clang++ -shared -o libengine.so "${engine_objects[@]}" "${libraries[@]}" &&
  build "$name" clang++ -shared -o bundle-shared.so program.o object_of_library.o object_before.o object_behind.o -L. -lengine \
    -Wl,-rpath,"$out" "${libraries[@]}" &&
  start "$name" ./late ./bundle-shared.so
exit $failed
