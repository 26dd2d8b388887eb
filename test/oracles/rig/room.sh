# Runs one command in a copy of the tree that is gone afterwards.
# usage: room.sh TREE MOUNTPOINT WORK COMMAND...
# WORK is /work inside. Each path in WORK/programs becomes a program that records how it was started.
set -euo pipefail
tree=$1 mnt=$2 work=$3
shift 3
mount -t tmpfs -o mode=755 room "$mnt"
# Relative names, since a ':' or ',' in the repository's path would end overlayfs's option.
cd "$mnt"
mkdir lower upper over root
mount --bind "$tree" lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=over room root
cd root
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 room tmp
mkdir work
mount --bind "$work" work
# Inside, so that an absolute link leads to the room's own files.
chroot . /bin/bash -euc 'while read -r path; do mkdir -p "${path%/*}"; ln -sfn /oracle/record "$path"; done' \
  <work/programs
exec chroot . "$@"
