#!/bin/sh
# PID 1 of the guest. Its root is the host's file system, read-only over virtiofs;
# it turns that into a throw-away copy, wires the network, runs one command, and
# reports. The host ends the guest once it has read the report.
#
# LAB_JOB, on the kernel's command line, names the folder that the lab made for
# this run: `settings` (read here), `command` (run in the end), nic.sh and this script.
set -u

LAB=/run/lab
ROOT=/run/root
STDOUT_PORT=/dev/vport0p1
STDERR_PORT=/dev/vport0p2
CONTROL_PORT=/dev/vport0p3

report() {
	echo "$*" >&3
}

# Setting up failed: say what, and stay until the host has read it.
give_up() {
	report "failed $*"
	sleep 3600
}

# Runs a command of the set-up; what it says on failure goes to the host.
must() {
	said=$("$@" 2>&1) || give_up "$* — $(echo "$said" | tr '\n' ' ')"
}

# The guest sees what the host sees, at the same paths, /tmp included. The working
# tree is the host's own, read and write. Everything else can be written too, but an
# overlay keeps the changes in memory.
make_root() {
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	while ! [ -e "$CONTROL_PORT" ]; do :; done
	exec 3>"$CONTROL_PORT"

	. "$LAB_JOB/settings"
	export PATH
	mount -t tmpfs -o mode=755 run /run
	mkdir -p "$ROOT" /run/changes /run/work
	grep -qw overlay /proc/filesystems || must modprobe -d "$LAB_KERNEL_FOLDER" overlay
	must mount -t overlay -o lowerdir=/,upperdir=/run/changes,workdir=/run/work root "$ROOT"
	must mount -t virtiofs tree "$ROOT$LAB_TREE"

	must mount -t tmpfs -o mode=755 run "$ROOT/run"
	mkdir -p "$ROOT$LAB/bin" "$ROOT/run/old"
	cp "$LAB_JOB/settings" "$LAB_JOB/command" "$ROOT$LAB/"
	cp "$LAB_JOB/nic.sh" "$ROOT$LAB/bin/lab-nic"
	# The modules of this kernel, where modprobe looks for them.
	if [ -d "$LAB_KERNEL_FOLDER/lib/modules" ]; then
		mkdir -p "$ROOT/lib/modules"
		must mount --bind "$LAB_KERNEL_FOLDER/lib/modules" "$ROOT/lib/modules"
	fi
	for folder in proc sys dev; do
		must mount --move "/$folder" "$ROOT/$folder"
	done

	cd "$ROOT" || give_up "no $ROOT"
	must pivot_root . run/old
	umount -l /run/old
}

finish_system() {
	echo lab >/proc/sys/kernel/hostname
	# The kernel gives its first process less than a login gets.
	ulimit -n 65536
	mkdir -p /dev/pts /dev/shm
	must mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
	must mount -t tmpfs -o mode=1777 shm /dev/shm
	ln -sf /proc/self/fd /dev/fd
	ln -sf fd/0 /dev/stdin
	ln -sf fd/1 /dev/stdout
	ln -sf fd/2 /dev/stderr

	# DMA_API_DEBUG tells of one fault and then no more: it may be one that the host passes over.
	mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
	every=/sys/kernel/debug/dma-api/all_errors
	[ ! -e "$every" ] || echo 1 >"$every"
}

# Each end of the software NIC pair has a network namespace of its own, because two ends
# in one namespace would let the kernel short-cut the traffic over loopback.
wire_network() {
	ip link set lo up
	[ -n "$LAB_DRIVER" ] || return 0
	for namespace in rx tx; do
		must ip netns add "$namespace"
		must ip -n "$namespace" link set lo up
	done
	must lab-nic
	printf '#!/bin/sh\nexec ip netns exec tx "$@"\n' >"$LAB/bin/peer"
	chmod +x "$LAB/bin/peer"
}

# A stream ends with a marker that only this run knows, so that the host can tell
# a complete stream from one cut off by a dying guest.
relay() {
	(
		cat
		printf %s "$LAB_MARKER"
	) <"$1" >"$2" &
}

# Whatever the command left running would hold its output open for ever. The relays,
# known by what they write to, have to live on.
kill_leftovers() {
	for folder in /proc/[0-9]*; do
		[ "$folder" = /proc/1 ] && continue
		[ "$folder/fd/1" -ef "$STDOUT_PORT" ] && continue
		[ "$folder/fd/1" -ef "$STDERR_PORT" ] && continue
		kill -KILL "${folder#/proc/}" 2>/dev/null
	done
}

run_command() {
	# Pipes, not the ports themselves: a program may open /dev/stdout anew, and a
	# port can be opened only once.
	mkfifo "$LAB/stdout" "$LAB/stderr"
	relay "$LAB/stdout" "$STDOUT_PORT"
	relays=$!
	relay "$LAB/stderr" "$STDERR_PORT"
	relays="$relays $!"

	inside=
	[ -n "$LAB_DRIVER" ] && inside="ip netns exec rx"
	report ready
	# ip netns exec mounts a /sys of the namespace's own, which lacks what lay on the old one.
	# shellcheck disable=SC2016
	$inside sh -c 'mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec sh "$1"' \
		sh "$LAB/command" </dev/null >"$LAB/stdout" 2>"$LAB/stderr" 3>&-
	status=$?
	kill_leftovers
	# shellcheck disable=SC2086
	wait $relays
	umount "$LAB_TREE" 2>/dev/null
	# The kernel's log ends with the marker as well; level 1, so that it is printed.
	echo "<1>lab: $LAB_MARKER" >/dev/kmsg
	report "exit $status"
}

make_root
finish_system
wire_network
run_command
sleep 3600
