#!/usr/bin/env bash
# Boots what pack.sh has made in FOLDER, in an emulated machine (QEMU without KVM: right, and slow):
#
#   Tests/Machine/boot.sh [options] FOLDER [NAME=VALUE…]
#
#   -n NODES      NUMA nodes, "id:CPUs:MiB" each: "0:0-3:512/1:4-7:256". Memory or CPUs may be missing ("2:8:",
#                 "2::256"). Where an id is left out, the firmware knows a node whose only CPU is missing, which is how
#                 Linux comes to leave it out, too. Default: one node of two CPUs, "0:0-1:512".
#   -d DISTANCES  of the nodes of NODES, row by row: "10,20/20,10". Default: what the firmware says on its own.
#   -o CPUS       taken offline before the program starts: "3,6-7"
#   -t THREADS    of a core; default 1
#   -l SECONDS    after which the machine is killed; default 300
#
# What /main writes comes back on standard output, and how it ended as the exit status: 124 when time ran out, 125 when
# the machine broke, with what its console said on standard error. /main finds the variables in its environment, and as
# MACHINE_NODES, MACHINE_DISTANCES, MACHINE_OFFLINE and MACHINE_THREADS what is above.
set -euo pipefail
cd "$(dirname "$0")/../.."
nodes=0:0-1:512 distances='' offline='' threads=1 limit=300
while getopts n:d:o:t:l: option; do
  case $option in
  n) nodes=$OPTARG ;; d) distances=$OPTARG ;; o) offline=$OPTARG ;; t) threads=$OPTARG ;; l) limit=$OPTARG ;;
  *) exit 125 ;;
  esac
done
shift $((OPTIND - 1))
folder=$1
shift

# Of AMD's CPUs, QEMU's emulation does not say which share a core.
qemu=(qemu-system-x86_64 -accel "tcg,thread=multi" -cpu max,vendor=GenuineIntel)
qemu+=(-nodefaults -no-user-config -display none -no-reboot)
memory=0 present=0 with_cpus=0
slots=0 # for CPUs; those of absent nodes stay empty
ids=() absent=() plugged=()
IFS=/ read -ra list <<<"$nodes"
for node in "${list[@]}"; do
  IFS=: read -r id numbers mib <<<"$node"
  # Linux numbers nodes as it meets them in the firmware's list of CPUs: an absent one has to stand in its place.
  while ((id > ${#ids[@]} + ${#absent[@]})); do
    missing=$((${#ids[@]} + ${#absent[@]}))
    qemu+=(-numa "node,nodeid=$missing,cpus=$slots")
    absent+=("$missing") slots=$((slots + 1))
  done
  ids+=("$id")
  arguments="node,nodeid=$id"
  if [[ -n $numbers ]]; then
    count=$((${numbers#*-} - ${numbers%-*} + 1)) with_cpus=$((with_cpus + 1))
    arguments+=,cpus=$slots-$((slots + count - 1))
    # Behind an empty slot, QEMU wants to be told of each CPU.
    if ((${#absent[@]})); then
      for ((slot = slots; slot < slots + count; slot++)); do
        plugged+=(-device "max-x86_64-cpu,socket-id=$slot,core-id=0,thread-id=0")
      done
    else
      present=$((present + count))
    fi
    slots=$((slots + count))
  fi
  if [[ -n $mib ]]; then
    arguments+=,memdev=memory$id
    qemu+=(-object "memory-backend-ram,id=memory$id,size=${mib}M")
    memory=$((memory + mib))
  fi
  qemu+=(-numa "$arguments")
done
# A socket for each node, where the nodes are alike.
sockets=$with_cpus
((${#absent[@]} == 0 && slots % (with_cpus * threads) == 0)) || sockets=$((slots / threads))
cores=$((slots / sockets / threads))
qemu+=(-m "$memory" -smp "$present,maxcpus=$slots,sockets=$sockets,cores=$cores,threads=$threads")
((${#plugged[@]} == 0)) || qemu+=("${plugged[@]}")
if [[ -n $distances ]]; then
  IFS=/ read -ra rows <<<"$distances"
  for from in "${!rows[@]}"; do
    IFS=, read -ra row <<<"${rows[from]}"
    for to in "${!row[@]}"; do qemu+=(-numa "dist,src=${ids[from]},dst=${ids[to]},val=${row[to]}"); done
  done
  for from in ${absent[@]+"${absent[@]}"}; do
    for to in "${ids[@]}" "${absent[@]}"; do
      ((from == to)) || qemu+=(-numa "dist,src=$from,dst=$to,val=20")
    done
  done
fi

# The kernel makes what it does not know the environment of process 1.
words="console=ttyS0 quiet panic=-1 tsc=reliable MACHINE_NODES=$nodes MACHINE_DISTANCES=$distances"
words+=" MACHINE_OFFLINE=$offline MACHINE_THREADS=$threads $*"
status=0
# Starts the machine and waits for its end. False when it hung before its process 1 began: now and then the emulator, or
# the kernel in it, stands still from the first.
run() {
  rm -f "$folder"/{console,ending,complaints}
  timeout -k 5 "$limit" "${qemu[@]}" -kernel .build/machine/boot/vmlinuz-* -initrd "$folder/initrd" -append "$words" \
    -serial "file:$folder/console" -serial stdio -serial "file:$folder/ending" </dev/null 2>"$folder/complaints" &
  local machine=$!
  for ((waited = 0; waited < 90; waited++)); do
    { ! kill -0 $machine || grep -q begun "$folder/ending"; } 2>/dev/null && break
    sleep 1
  done
  if ((waited == 90)); then
    kill $machine
    wait $machine || true
    return 1
  fi
  wait $machine || status=$?
}
for attempt in 1 2 3; do
  run && break
  echo "the machine did not begin in 90 s, attempt $attempt" >&2
  status=124
done
if ((status == 124 || status == 137)); then
  echo "the machine was killed after $limit s" >&2
  exit 124
fi
ending=$(sed -n 's/^status \([0-9]*\).*/\1/p' "$folder/ending" 2>/dev/null || true)
if [[ -z $ending ]]; then
  echo "the machine broke:" >&2
  tail -n 20 "$folder/complaints" "$folder/console" >&2 || true
  exit 125
fi
exit "$ending"
