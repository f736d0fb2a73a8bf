# Puts standard input into a file, whole or not at all. Arguments: SSH_CONNECTION or nothing, the path (`~/` is the
# home), the mode, the digest that must arrive, and perhaps a command that has to say yes to the new file.
set -eu
path=$2 mode=$3 digest=$4
shift 4
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
case $path in "~/"*) path=$HOME/${path#"~/"} ;; esac
directory=${path%/*}
# What others may not read lies in a directory that they may not enter.
case $mode in *00) umask 077 ;; *) umask 022 ;; esac
mkdir -p "$directory"
umask 077
# Hidden, and with dots: neither sudo nor sshd nor systemd takes it for one of its files.
new=$directory/.sns.${path##*/}.new
trap 'rm -f "$new"' EXIT
rm -f "$new"
cat >"$new"
found=$(sha256sum <"$new")
if [ "${found%% *}" != "$digest" ]; then
    echo "what arrived is not what was sent: its digest is ${found%% *}, not $digest" >&2
    exit 65
fi
if [ $# -gt 0 ]; then
    "$@" "$new" >&2
fi
chmod "$mode" "$new"
sync "$new" 2>/dev/null || sync
mv -f "$new" "$path"
