#!/bin/sh
# Becomes systemd as the first process of a machine of its own, with the unit as it is packaged.
# Runs in new mount, pid, ipc, uts and cgroup namespaces. Arguments: a scratch directory, the recorder, packaging/.
set -eu
scratch=$1 recorder=$2 packaging=$3
root=$scratch/root
mount --make-rprivate /
mkdir -p "$scratch/layer" "$root"
mount -t tmpfs tmpfs "$scratch/layer"
mkdir "$scratch/layer/upper" "$scratch/layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/layer/upper,workdir=$scratch/layer/work" "$root"

# Of the host's units none but what every system has: nothing here may reach out of the namespaces.
rm -rf "$root/etc/systemd/system" "$root/run" "$root/var/lib/afterimage" "$root/etc/afterimage"
for wants in "$root"/lib/systemd/system/*.target.wants; do rm -rf "$wants"; done
mkdir -p "$root/etc/systemd/system/afterimaged.service.d" "$root/etc/afterimage" "$root/run" "$root/tmp" "$root/old"
cp "$recorder" "$root/usr/bin/afterimaged"
cp "$packaging/config.toml" "$root/etc/afterimage/config.toml"
cp "$packaging/systemd/afterimaged.service" "$root/etc/systemd/system/"
# The watchdog's half minute is long for a test; much less, and a busy machine is taken for one that hangs.
printf '[Service]\nWatchdogSec=15\n' > "$root/etc/systemd/system/afterimaged.service.d/test.conf"
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=afterimaged.service\nAllowIsolate=yes\n' \
    > "$root/etc/systemd/system/nested.target"

mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
: > "$root/dev/kmsg"
mount --bind /dev/null "$root/dev/kmsg"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tracefs tracefs "$root/sys/kernel/tracing"
mount -t bpf -o mode=700 bpf "$root/sys/fs/bpf"

cd "$root"
pivot_root . old
umount -l /old
exec env -i container=afterimage-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=nested.target --log-target=console --show-status=no
