# Does something that may lock everybody out, and takes it back unless somebody who came in afterwards says so within a
# minute. Arguments: SSH_CONNECTION, how it is done, taken back and kept, and the arguments of all three.
apply=$2 undo=$3 keep=$4
shift 4
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
if ! sh -c "$apply" sns "$@" >&2; then
    sh -c "$undo" sns "$@" >&2
    exit 1
fi
echo applied
if [ "$(timeout 60 head -n 1)" = stays ]; then
    exec sh -c "$keep" sns "$@" >&2
fi
sh -c "$undo" sns "$@" >&2
exit 75
