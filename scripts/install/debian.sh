#!/bin/sh
# scripts/install/debian.sh PACKAGE [ROOT]: installs, starts, upgrades, removes and purges the Debian package in a
# Debian of its own, and looks after each step whether things are as the manual says. As root. ROOT is kept and used
# again if it is given; without it, debootstrap makes one.
set -eu

package=$(realpath "$1")
root=${2:-$(mktemp -d)/root}
fail() { echo "FAILED: $*" >&2; exit 1; }
began=0
step() {
  now=$(date +%s)
  [ "$began" = 0 ] || echo "    $((now - began)) s"
  began=$now
  echo "$*"
}
inside() { chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
mode() { inside stat -c '%U:%G %a' "$1"; }

if [ ! -e "$root/usr/bin/dpkg" ]; then
  step 'a Debian of its own'
  debootstrap --variant=minbase --include=systemd,ca-certificates bookworm "$root" >/dev/null
fi
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; umount "$root/proc" 2>/dev/null || true' EXIT

start() {
  log=$(mktemp)
  chroot --userspec=sluice:sluice "$root" /usr/bin/sluice start --config /etc/sluice/sluice.yaml >"$log" 2>&1 &
  broker=$!
  for _ in $(seq 240); do
    if grep -q '^process' "$log"; then return; fi
    kill -0 "$broker" 2>/dev/null || { cat "$log"; fail 'the broker did not start'; }
    sleep 0.25
  done
  fail 'the broker takes too long to start'
}
stop() {
  kill -TERM "$broker"
  wait "$broker" || fail "the broker ended with $?"
  broker=
}
message() { # what is retained is there after restarts and upgrades
  inside sluice sub -p 18831 -t kept/one -C 1
}

step 'install'
cp "$package" "$root/tmp/sluice.deb"
inside dpkg -i /tmp/sluice.deb >/dev/null 2>&1 || inside apt-get install -y -q /tmp/sluice.deb
[ "$(mode /etc/sluice)" = 'root:sluice 750' ] || fail "/etc/sluice: $(mode /etc/sluice)"
[ "$(mode /etc/sluice/sluice.yaml)" = 'root:sluice 640' ] || fail "sluice.yaml: $(mode /etc/sluice/sluice.yaml)"
[ "$(mode /var/lib/sluice)" = 'sluice:sluice 700' ] || fail "/var/lib/sluice: $(mode /var/lib/sluice)"
inside sluice config check /etc/sluice/sluice.yaml
[ -L "$root/etc/systemd/system/multi-user.target.wants/sluice.service" ] || fail 'the service is not enabled'
inside systemd-analyze verify /usr/lib/systemd/system/sluice.service || fail 'the unit has mistakes'

step 'start and talk'
sed -i 's/port: 1883/port: 18831/; s/port: 8083/port: 18832/' "$root/etc/sluice/sluice.yaml"
start
inside sluice pub -p 18831 -t kept/one -m before -r -q 1
[ "$(message)" = before ] || fail 'the message did not come back'
inside sluice health --config /etc/sluice/sluice.yaml
stop

step 'upgrade'
scratch=$(mktemp -d)
dpkg-deb -R "$package" "$scratch/package"
sed -i 's/^Version: .*/&+1/' "$scratch/package/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$scratch/package" "$root/tmp/newer.deb" >/dev/null
rm -r "$scratch"
inside dpkg -i /tmp/newer.deb >/dev/null 2>&1
rm "$root/tmp/newer.deb"
grep -q 18831 "$root/etc/sluice/sluice.yaml" || fail 'the upgrade changed the configuration'
[ "$(mode /etc/sluice/sluice.yaml)" = 'root:sluice 640' ] || fail "sluice.yaml: $(mode /etc/sluice/sluice.yaml)"
start
[ "$(message)" = before ] || fail 'the upgrade lost a message'
stop

step 'remove'
inside dpkg -r sluice >/dev/null 2>&1
[ ! -e "$root/usr/lib/sluice" ] || fail 'programs stay'
[ -e "$root/etc/sluice/sluice.yaml" ] || fail 'remove takes the configuration away'
[ -e "$root/var/lib/sluice/CURRENT" ] || [ -n "$(ls "$root/var/lib/sluice")" ] || fail 'remove takes the data away'

step 'purge'
inside dpkg -P sluice >/dev/null 2>&1
for each in /etc/sluice /var/lib/sluice /etc/systemd/system/multi-user.target.wants/sluice.service; do
  [ ! -e "$root$each" ] && [ ! -L "$root$each" ] || fail "purge leaves $each"
done
if inside getent passwd sluice >/dev/null; then fail 'purge leaves the user'; fi
step 'done'
