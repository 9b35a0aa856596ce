#!/bin/sh
# mosquitto_pub and mosquitto_sub: checks.ts has what is asked. Arguments: host, port, version of MQTT (4 or 5), and
# the authority's certificate for TLS.
version=$([ "$3" = 5 ] && echo 5 || echo 311)
to="-h $1 -p $2 -V $version${4:+ --cafile $4}"
run="interop/$$-$(date +%s%N)"
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
told() { [ "$2" = "$3" ] && echo "$1 ok" || echo "$1 got $2 and not $3"; }
# Waits until the subscriber whose log this is has its SUBACK.
subscribed() { for _ in $(seq 100); do grep -q Subscribed "$1" && return; sleep 0.1; done; }

stdbuf -oL mosquitto_sub $to -d -q 2 -t "$run/both/#" -C 3 -W 30 -F 'got %t %p %q' >"$out/both" & subscriber=$!
subscribed "$out/both"
for qos in 0 1 2; do mosquitto_pub $to -q $qos -t "$run/both/$qos" -m x; done
wait $subscriber
told both_ways "$(grep '^got' "$out/both" | tr '\n' ' ')" "got $run/both/0 x 0 got $run/both/1 x 1 got $run/both/2 x 2 "

mosquitto_pub $to -q 1 -r -t "$run/state" -m kept
told retained "$(mosquitto_sub $to -q 1 -t "$run/state" -C 1 -W 30 -F '%p %r')" 'kept 1'
mosquitto_pub $to -q 1 -r -t "$run/state" -n

stdbuf -oL mosquitto_sub $to -d -q 1 -t "$run/gone" -C 1 -W 30 -F 'got %p' >"$out/will" & subscriber=$!
subscribed "$out/will"
mosquitto_sub $to -d -t "$run/nothing" --will-topic "$run/gone" --will-payload died --will-qos 1 >"$out/dying" & dying=$!
subscribed "$out/dying"
kill -9 $dying
wait $subscriber
told will "$(grep '^got' "$out/will")" 'got died'

for member in 1 2; do
  stdbuf -oL mosquitto_sub $to -d -q 1 -t "\$share/group/$run/jobs" -C 2 -W 30 -F 'got %p' >"$out/member$member" &
  subscribed "$out/member$member"
done
for job in 0 1 2 3; do mosquitto_pub $to -q 1 -t "$run/jobs" -m $job; done
wait
told shared "$(cat "$out/member1" "$out/member2" | grep '^got' | sort | tr '\n' ' ')" 'got 0 got 1 got 2 got 3 '

stay="-c -i $run"
[ "$3" = 5 ] && stay="$stay -x 300"
mosquitto_sub $to $stay -q 1 -t "$run/queue" -E
mosquitto_pub $to -q 1 -t "$run/queue" -m waited
told session "$(mosquitto_sub $to $stay -q 1 -t "$run/queue" -C 1 -W 30)" waited
