# Runs as PID 1 of a sandbox's namespaces: puts the tree together, then lives until its standard input closes.
# usage: init.sh TREE MOUNTPOINT [ro|rw FROM TO]...
set -euo pipefail
tree=$1 mnt=$2
shift 2
# The host's /proc is still mounted here, so this is our pid as the host sees it.
read -r pid _ </proc/self/stat

# The tree is only read: what a test writes goes to a tmpfs and is gone with the namespaces.
# Relative names, since a ':' or ',' in the repository's path would end overlayfs's option.
mount -t tmpfs -o mode=755 rig "$mnt"
cd "$mnt"
mkdir lower upper work root
mount --bind "$tree" lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work rig root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 rig dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
ln -s pts/ptmx dev/ptmx
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 rig dev/shm
mount -t tmpfs -o mode=1777 rig tmp
mount -t tmpfs -o mode=755 rig run
mkdir -p run/dbus run/lock run/user
mkdir -m 700 run/doors
# polkitd complains about each that is missing.
mkdir -p {run,usr/local/share,etc}/polkit-1/{actions,rules.d}
for uid in 1000 1001 1002; do
  mkdir -m 700 run/user/$uid
  chown $uid:$uid run/user/$uid
done

while [ $# -gt 0 ]; do
  to=.$3
  if [ -d "$2" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}"; : >>"$to"; fi
  mount --bind "$2" "$to"
  [ "$1" = rw ] || mount -o remount,bind,ro "$to"
  shift 3
done

hostname rig
# A network namespace starts with its loopback down; without ip(8) it stays so, which no test minds.
ip link set lo up 2>/dev/null || :
# After this nothing of the host can be reached but what was bound above.
pivot_root . mnt
umount -l /mnt
cd /
echo "ready $pid"
# When the test process ends, however it ends, the pipe closes; when PID 1 ends, the kernel ends the rest.
while read -r _; do :; done
