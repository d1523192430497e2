#!/usr/bin/env bash
# Runs the engine's scenarios about memory cgroups where nobody else's are touched: in a small emulated machine with
# Debian's kernel, once with cgroup v1 and once with v2. Takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
.ci/need qemu-system-x86_64=qemu-system-x86 busybox=busybox-static cpio=cpio gcc=gcc seccomp.h=libseccomp-dev
out=.build/cgroup-machine
root=$out/root
mkdir -p $out
if ! compgen -G "$out/kernel/boot/vmlinuz-*" >/dev/null; then
  package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
  (cd $out && apt-get download "$package" 2>/dev/null && dpkg -x "$package"_*.deb kernel)
fi
rm -rf $root
mkdir -p $root/{bin,proc,sys,dev,tmp}
flags="-std=c11 -D_GNU_SOURCE -O1 -ICShim/CWorkerPool/include"
gcc $flags -DWP_SANDBOX -rdynamic -o $root/check Tests/ProcessEngineCheck/*.c CShim/CWorkerPool/src/*/*.c -lnuma -lseccomp -lpthread
gcc $flags -static -o $root/helper Tests/CgroupMachine/helper.c
for library in $(ldd $root/check | grep -o '/[^ ]*'); do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
cp "$(command -v busybox)" $root/bin/busybox
install -m 755 Tests/CgroupMachine/init $root/init
(cd $root && find . | cpio --quiet -o -H newc) | gzip -1 >$out/initrd
for version in v1 v2; do
  timeout 900 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nographic -no-reboot \
    -kernel $out/kernel/boot/vmlinuz-* -initrd $out/initrd -append "console=ttyS0 quiet loglevel=1 panic=-1 cgroups=$version" \
    </dev/null | tr -d '\r' | tee $out/$version.log | grep -aE '^v[12] |^ran |^machine|^Tests/|^these|^/sys' || true
  grep -aq '^machine: as expected' $out/$version.log || { echo "see $out/$version.log" >&2; exit 1; }
done
