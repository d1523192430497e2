#!/usr/bin/env bash
# Makes what boot.sh boots, a file system of busybox and these files:
#
#   Tests/Machine/pack.sh FOLDER MAIN FILE…
#
# FOLDER/initrd then holds MAIN as /main, which the machine runs, and each FILE at the top, its shared libraries where
# the program looks for them. Debian's kernel for virtual machines is downloaded once, to .build/machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
.ci/need qemu-system-x86_64=qemu-system-x86 busybox=busybox-static cpio=cpio
folder=$1 main=$2
shift 2

kernels=.build/machine
if ! compgen -G "$kernels/boot/vmlinuz-*" >/dev/null; then
  mkdir -p $kernels
  package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
  (cd $kernels && apt-get download "$package" 2>/dev/null && dpkg-deb --fsys-tarfile "$package"_*.deb |
    tar -x --wildcards './boot/vmlinuz-*' && rm "$package"_*.deb) ||
    { echo "cannot download Debian's linux-image-cloud-amd64; are the package lists there?" >&2; exit 1; }
fi

root=$folder/root
rm -rf "$root"
mkdir -p "$root"/{bin,proc,sys,dev,tmp}
for file in "$@"; do
  cp -L "$file" "$root/"
  # A static program has none, and makes ldd fail.
  for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
done
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$main" "$root/main"
install -m 755 Tests/Machine/init "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) | gzip -1 >"$folder/initrd"
