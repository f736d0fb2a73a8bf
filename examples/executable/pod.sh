#!/bin/sh
# A program that is a pod: it obeys the Pod API by itself. The daemon calls `run`, `stop` and `rm` in the
# directory of the release, and believes what stands in .pod.status as long as the process lives that it names.
#
# What it looks after is one web server. `run` leaves a keeper behind, another copy of this script, which is
# that process: it starts the server, says once a minute that it is up, and says so when it has ended.
cd "$(dirname "$0")" || exit 1

VERSION=$(basename "$PWD")
NAME=$(basename "$(dirname "$(dirname "$PWD")")")
# A line is: cluster port, host port, most connections, PROXY protocol.
PORT=$(cut -d : -f 2 pod.portmappings.conf | head -n 1)

serve() {
    mkdir -p www && echo "served by $NAME-$VERSION" >www/index.html
    exec busybox httpd -f -p "$ADDRESS:$PORT" -h www
}

# What somebody reads must be whole, so it is written beside and renamed. Unknown keys (`server`) are skipped.
tell() { # status, readiness
    cat >.pod.status.tmp <<STATUS
pod: $NAME-$VERSION
podVersion: $VERSION
hostPorts: $PORT
updated: $(date +%s)
status: $1
pid: $$
server: $server
readiness: $2
STATUS
    mv .pod.status.tmp .pod.status
}

# A process of the last `run`, if it lives; its number may belong to another program by now.
alive() { # key, words of its command line
    pid=$(sed -n "s/^$1: //p" .pod.status 2>/dev/null)
    [ -n "$pid" ] && { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q "$2" && echo "$pid"
}
keeper() { alive pid 'pod keep'; }
server() { alive server 'httpd -f'; }

keep() {
    serve &
    server=$!
    trap 'kill $server' TERM
    tell starting 0
    seconds=0
    while sleep 1 && kill -0 $server 2>/dev/null; do
        [ $((seconds % 60)) = 0 ] && tell running 1
        seconds=$((seconds + 1))
    done
    tell exited 0
}

run() {
    keeper >/dev/null && return
    mkdir -p log
    stop KILL # a keeper that was killed has left its server
    # A session of its own outlives whoever has called; its output must not be the caller's.
    setsid "$PWD/pod" keep "$ADDRESS" </dev/null >>log/keeper.log 2>&1 &
    tries=50
    until keeper >/dev/null; do
        tries=$((tries - 1))
        [ $tries = 0 ] && echo "the server did not come up; see $PWD/log/keeper.log" >&2 && return 1
        sleep 0.1
    done
}

stop() { # signal
    # The keeper notices by itself that its server has ended.
    while server >/dev/null || keeper >/dev/null; do
        pid=$(server) && kill "-$1" "$pid"
        sleep 0.1
    done
}

verb=$1
[ $# -gt 0 ] && shift
ADDRESS=127.0.0.1
for word; do
    case $word in
    --host-interface=*) ADDRESS=${word#*=} ;;
    esac
done

case $verb in
keep) ADDRESS=$1 && keep ;; # only `run` calls this
run | start) run ;;
stop) stop TERM ;;
kill) stop KILL ;;
rerun) stop TERM && run ;;
rm) stop TERM && rm -rf www && server='' && tell removed 0 ;;
ps) if [ -f .pod.status ]; then cat .pod.status; else echo "status: non-existing"; fi ;;
readiness) server >/dev/null ;;
signal) server=$(server) && kill -HUP "$server" ;;
logs) cat log/keeper.log ;;
version | -V | --version) echo "podVersion $VERSION" ;;
info) echo "pod: $NAME-$VERSION" && echo "hostPorts: $PORT" ;;
# Nothing is to be done for these.
download | create | create-volumes | create-ramdisks | reload-configs | purge) ;;
'' | help | -h | --help) echo "usage: ./pod run|stop|kill|rerun|rm|ps|readiness|signal|logs|info|version" ;;
*) echo "unknown verb: $verb" >&2 && exit 1 ;;
esac
