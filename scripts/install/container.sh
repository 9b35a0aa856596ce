#!/bin/sh
# scripts/install/container.sh ROOT: runs the broker of the image whose files are in the folder ROOT as a container
# engine would, and looks whether things are as the manual says: process 1 of its own namespaces, the image's user, a root
# that cannot be written, and /data and a configuration mounted. As root, on Linux. For ROOT:
#   buildah bud -t sluice . && buildah mount "$(buildah from sluice)"
# QEMU_CPU and the like reach the broker; so an image of another architecture runs too where binfmt_misc knows it.
set -eu

root=$(realpath "$1")
fail() { echo "FAILED: $*" >&2; exit 1; }
scratch=$(mktemp -d)
outer=
trap '[ -z "$outer" ] || kill -KILL "$outer" 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkdir -m 700 "$scratch/data"
chown 1883:1883 "$scratch/data"
cat >"$scratch/sluice.yaml" <<'YAML'
listeners:
  - { kind: tcp, host: 127.0.0.1, port: 1883 }
  - { kind: tls, host: 127.0.0.1, port: 8883, tls: { certFile: server.crt, keyFile: server.key } }
store: { directory: ./elsewhere }
YAML

# Everything in a namespace of processes and mounts of its own, which ends with its first process.
contained() {
  export root scratch
  exec unshare --mount --net --pid --fork --kill-child sh -euc '
    ip link set lo up
    mount --bind -o ro "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    mount --bind "$scratch/data" "$root/data"
    [ ! -d "$scratch/etc" ] || mount --bind -o ro "$scratch/etc" "$root/etc/sluice"
    exec chroot --userspec=1883:1883 "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin NODE_ENV=production "$@"' - "$@"
}
again() { # in the namespaces of the broker, as `docker exec`
  nsenter --target "$pid" --mount --net --pid --root --wd --setgid 1883 --setuid 1883 \
    env -i PATH=/usr/local/bin:/usr/bin:/bin "$@"
}

start() {
  log=$scratch/log
  contained sluice start --config /etc/sluice/sluice.yaml --data-dir /data >"$log" 2>&1 &
  outer=$!
  for _ in $(seq 480); do
    if grep -q '^process' "$log"; then break; fi
    kill -0 "$outer" 2>/dev/null || { cat "$log"; fail 'the broker did not start'; }
    sleep 0.25
  done
  grep -q '^process' "$log" || { cat "$log"; fail 'the broker takes too long to start'; }
  grep -q '^process 1$' "$log" || { cat "$log"; fail 'the broker is not process 1'; }
  pid=$(pgrep -P "$outer" | head -1)
}
stop() {
  kill -TERM "$pid"
  wait "$outer" || { cat "$log"; fail "the broker ended with $?"; }
  outer=
}

echo "a root that cannot be written, the image's own configuration"
start
again sluice health --data-dir /data
again sluice pub -t kept/one -m before -r -q 1
[ "$(again sluice sub -t kept/one -C 1)" = before ] || fail 'the message did not come back'
again sluice status >/dev/null || fail 'a command does not find the broker by itself'
[ "$(stat -c '%u:%g %a' "$scratch/data")" = '1883:1883 700' ] || fail "/data: $(stat -c '%u:%g %a' "$scratch/data")"
if again touch /usr/local/lib/sluice/x 2>/dev/null; then fail 'the root can be written'; fi
stop

echo 'a configuration that is mounted, with TLS; the data stays in /data'
mkdir "$scratch/etc" "$scratch/data/certificates"
chown 1883:1883 "$scratch/data/certificates"
(contained sluice cert --dir /data/certificates >/dev/null)
mv "$scratch/data/certificates/"* "$scratch/etc"
mv "$scratch/sluice.yaml" "$scratch/etc"
start
[ "$(again sluice sub -t kept/one -C 1)" = before ] || fail 'the data is elsewhere'
[ "$(again sluice sub -h 127.0.0.1 -p 8883 --cafile /etc/sluice/ca.crt -t kept/one -C 1)" = before ] || fail 'TLS'
stop
echo done
