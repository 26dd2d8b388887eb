# Runs inside a bus sandbox's process, network and IPC namespaces, in a mount namespace of its own: puts the desktop's
# tree together, then lives until its standard input closes.
# usage: init.sh TREE MOUNTPOINT UID [ro|rw FROM TO]...
set -euo pipefail
tree=$1 mnt=$2 uid=$3
shift 3

# The tree is only read: what a session writes goes to a tmpfs and is gone with the namespaces.
mount -t tmpfs -o mode=755 desktop "$mnt"
cd "$mnt"
mkdir lower upper work root
mount --bind "$tree" lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work desktop root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 desktop dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 desktop dev/shm
mount -t tmpfs -o mode=1777 desktop tmp
mount -t tmpfs -o mode=755 desktop run
mkdir -p run/lock run/user
install -d -m 1777 tmp/.X11-unix tmp/.ICE-unix
install -d -m 700 -o "$uid" -g "$uid" "run/user/$uid"

while [ $# -gt 0 ]; do
  to=.$3
  if [ -d "$2" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}"; : >>"$to"; fi
  mount --bind "$2" "$to"
  [ "$1" = rw ] || mount -o remount,bind,ro "$to"
  shift 3
done

# After this nothing of the host can be reached but what was bound above.
pivot_root . mnt
umount -l /mnt
cd /
# The process that the sandbox's own commands find these mounts by, as the sandbox numbers it.
read -r pid _ </proc/self/stat
echo "ready $pid"
while read -r _; do :; done
