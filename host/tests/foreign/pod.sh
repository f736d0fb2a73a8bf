#!/bin/sh
# A pod that is a program: it obeys the Pod API by itself, as the compiled pods of the original do. Its one
# process only sleeps. What it is told is noted in `calls`; files beside it make it fail or hang.
cd "$(dirname "$0")" || exit 1
verb=$1
[ $# -gt 0 ] && shift
echo "$verb${*:+ $*}" >>calls

field() { sed -n "s/^$1: //p" .pod.status 2>/dev/null; }
# A process that has ended and waits to be collected is not up.
lives() { grep -q '^State:.[RSD]' "/proc/$1/status" 2>/dev/null; }
is_up() { [ "$(field status)" = running ] && lives "$(field pid)"; }
tell() {
    cat >.pod.status.tmp <<STATUS
pod: tool-1.0.0
podVersion: 1.0.0
hostPorts: 30000
created: $(date +%s)
started: $(date +%s)
updated: $(date +%s)
status: $1
pid: $2
readiness: $3
containers:
STATUS
    mv .pod.status.tmp .pod.status
}
bring_up() {
    is_up && return
    sleep 600 &
    echo $! >>pids
    tell running $! "$([ -e unready ] && echo 0 || echo 1)"
}
bring_down() {
    pid=$(field pid)
    is_up && kill -9 "$pid"
    # A signal takes effect a little later.
    while [ -n "$pid" ] && lives "$pid"; do sleep 0.02; done
    tell "$1" "" 0
}

if [ -e "hang-$verb" ]; then
    echo $$ >hanging
    sleep 600
fi
while [ -e "slow-$verb" ]; do sleep 0.05; done
if [ -e "fail-$verb" ]; then
    echo "$verb cannot" >&2
    exit 3
fi
case $verb in
run | start) bring_up ;;
stop | kill) bring_down exited ;;
rm) bring_down removed ;;
rerun) bring_down removed && bring_up ;;
ps) if [ -e .pod.status ]; then cat .pod.status; else echo "status: non-existing"; fi ;;
readiness) is_up && [ "$(field readiness)" = 1 ] ;;
logs) echo "nothing but sleep" ;;
signal | reload-configs | create | download | create-volumes | create-ramdisks | info | version) ;;
*) echo "unknown verb: $verb" >&2 && exit 2 ;;
esac
