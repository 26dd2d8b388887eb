#!/bin/sh
# Runs in the new tree's chroot, with /proc mounted: builds what is compiled, sets the machine up, makes its
# initramfs. /opt/rig holds the sources; /boot/vmlinuz and /boot/initrd are what the machine boots with.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
kernel=$(ls /usr/lib/modules | tail -n 1)
modules=/usr/lib/modules/$kernel

# The kernel's own drivers of these makers would take the cards that play them.
for driver in amd nouveau radeon i915 xe; do
  rm -rf "$modules/kernel/drivers/gpu/drm/$driver"
done
rm -rf "$modules/kernel/drivers/video/fbdev/nvidia" "$modules/kernel/drivers/video/fbdev/aty"
make -s -j2 -C "$modules/build" M=/opt/rig/nvsim modules
mkdir -p "$modules/updates"
cp /opt/rig/nvsim/*.ko "$modules/updates/"
depmod "$kernel"

gcc -O1 -Wall -Werror -o /usr/bin/rig-hold /opt/rig/holders/rig-hold.c
gcc -O1 -Wall -Werror -o /usr/bin/nvidia-persistenced /opt/rig/holders/nvidia-daemon.c
cp /usr/bin/nvidia-persistenced /usr/bin/nvidia-powerd
as --32 -o /tmp/boot.o /opt/rig/guest/boot.S
ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o /usr/share/rig-boot.bin /tmp/boot.o
[ "$(stat -c %s /usr/share/rig-boot.bin)" = 512 ]
rm /tmp/boot.o
chmod 755 /usr/libexec/rig/*

useradd --system --no-create-home --shell /usr/sbin/nologin nvidia-persistenced
useradd -m -u 1000 -s /bin/bash alice
useradd -m -u 1001 -s /bin/bash mallory
passwd -d root >/dev/null

echo rig > /etc/hostname
printf '127.0.0.1 localhost rig\n' > /etc/hosts
echo 6c6f6e6767707568616e646f66667267 > /etc/machine-id
: > /etc/fstab
echo i2c-dev > /etc/modules-load.d/rig.conf
systemctl --quiet enable rig-agent.service rig-nvidia.service nvidia-persistenced.service \
  nvidia-powerd.service
systemctl --quiet enable libvirtd.service switcheroo-control.service
systemctl --quiet mask getty@tty1.service systemd-networkd.service systemd-timesyncd.service apt-daily.timer \
  apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
  libvirt-guests.service systemd-firstboot.service ldconfig.service systemd-hwdb-update.service \
  systemd-journal-catalog-update.service systemd-update-done.service serial-getty@ttyS0.service

# The smallest initramfs that finds the disk; the cards get their identities in it, before any driver sees
# them.
work=$(mktemp -d)
mkdir -p "$work/bin" "$work/m" "$work/dev" "$work/proc" "$work/sys" "$work/new"
cp /usr/bin/busybox "$work/bin/busybox"
: > "$work/m/order"
for module in virtio_blk ext4; do
  modprobe -S "$kernel" --show-depends "$module" | while read -r action path _; do
    [ "$action" = insmod ] || continue
    name=$(basename "$path" .xz)
    grep -qx "$name" "$work/m/order" && continue
    busybox unxz -c "$path" > "$work/m/$name" || cp "$path" "$work/m/$name"
    echo "$name" >> "$work/m/order"
  done
done
cp "$modules/updates/rig-identity.ko" "$work/m/"
cat > "$work/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for word in $($b cat /proc/cmdline); do
  case $word in rig.identity=*) $b insmod /m/rig-identity.ko "as=${word#*=}" ;; esac
done
for module in $($b cat /m/order); do
  $b insmod "/m/$module"
done
until [ -b /dev/vda ]; do $b usleep 20000; done
$b mount -t ext4 -o noatime /dev/vda /new
$b umount /proc
$b umount /sys
$b mount --move /dev /new/dev
exec $b switch_root /new /sbin/init
INIT
chmod 755 "$work/init"
(cd "$work" && find . | busybox cpio -o -H newc > /boot/initrd 2>/dev/null)
cp "/boot/vmlinuz-$kernel" /boot/vmlinuz
rm -rf "$work" /boot/initrd.img-* /var/lib/apt/lists/* /var/cache/apt/*.bin
