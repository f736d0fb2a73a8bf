# Runs a script as root, where the one who logged in may do that with sudo. Arguments: the script, then its own. The
# script gets what SSH knows of the connection, which sudo would not pass on, in front of them.
script=$1
shift
set -- "$script" sns "${SSH_CONNECTION:-}" "$@"
[ "$(id -u)" = 0 ] && exec sh -c "$@"
exec sudo -n -- sh -c "$@"
