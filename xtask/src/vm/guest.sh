#!/bin/busybox sh
# The guest's first process: mounts what programs expect, runs the command, reports its status, powers off.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/run /etc /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
# Not mounted over: what was packed may lie below it. All of this file system is memory anyway.
/bin/busybox chmod 1777 /tmp
/bin/busybox mount -t tmpfs run /run
/bin/busybox mkdir -p /run/netns
/bin/busybox --install -s
export PATH=/lab:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp
# The words of `cargo xtask vm`: the command's output is the second serial line, the kernel's console the first.
stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>&1
ip link set lo up
cd /lab || exit
. /lab/.command
status=$?
echo
echo "$MARKER $status"
# The line is slow and the machine about to go: wait until everything is out.
stty -F /dev/ttyS1 raw -echo
sync
poweroff -f
