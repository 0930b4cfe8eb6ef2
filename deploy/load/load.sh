#!/bin/sh
# SIPp as telephones: registers USERS users with a UAS here, then calls them through the server at SERVER, RATE calls a second for
# DURATION_SEC seconds, while one in ten of that many users a second registers again. Works with any registrar and proxy of
# example.org. Ends with 0 if every call and every registration was successful.
set -eu

: "${SERVER:?SERVER is not set: HOST:PORT of the server, e.g. SERVER=127.0.0.1:5060}"
: "${RATE:=100}" "${DURATION_SEC:=60}" "${USERS:=1000}"
# Ours; ports are UAS_PORT and the three above it.
: "${ADDRESS:=$(hostname -i | cut -d ' ' -f 1)}" "${UAS_PORT:=6000}"

scenarios=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
refresh_rate=$(((RATE + 9) / 10))
uas='' refresh=''

# What goes wrong is in the error files.
end() {
  code=$?
  trap - EXIT INT TERM
  for pid in $refresh $uas; do kill "$pid" 2>/dev/null || true; done
  if [ "$code" -ne 0 ]; then head -c 4000 "$folder"/*.errors >&2 2>/dev/null || true; fi
  rm -rf "$folder"
  exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

users() {
  echo "$1"
  awk -v count="$USERS" 'BEGIN { for (i = 1; i <= count; i++) print "user" i ";" }'
}
users SEQUENTIAL >"$folder/each.csv"
users RANDOM >"$folder/any.csv"

# NAME PORT, then what else SIPp is to know. The larger buffer keeps bursts of answers; SIPp's own is 64 KiB.
run_sipp() {
  name=$1 port=$2
  shift 2
  exec sipp -sf "$scenarios/$name.xml" -i "$ADDRESS" -p "$port" -nostdin -buff_size 4194304 \
    -trace_err -error_file "$folder/$port.errors" "$@" >"$folder/$port.screen" 2>&1
}

echo "load: $USERS users register at $SERVER from $ADDRESS"
(run_sipp register "$((UAS_PORT + 1))" -key contact_port "$UAS_PORT" -inf "$folder/each.csv" -r 500 -m "$USERS" "$SERVER")

(run_sipp uas "$UAS_PORT") &
uas=$!
(run_sipp register "$((UAS_PORT + 2))" -key contact_port "$UAS_PORT" -inf "$folder/any.csv" \
  -r "$refresh_rate" -m "$((refresh_rate * DURATION_SEC))" "$SERVER") &
refresh=$!
echo "load: $RATE calls/s for $DURATION_SEC s"
(run_sipp uac "$((UAS_PORT + 3))" -inf "$folder/any.csv" -r "$RATE" -m "$((RATE * DURATION_SEC))" "$SERVER")
wait "$refresh"
refresh=''
echo "load: all $((RATE * DURATION_SEC)) calls and $((USERS + refresh_rate * DURATION_SEC)) registrations were successful"
