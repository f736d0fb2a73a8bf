# Gives a user a range of subordinate numbers, unless it has one by now. Arguments: SSH_CONNECTION, the file, the user,
# the line.
set -eu
if grep -qs "^$3:" "$2"; then
    exit 0
fi
# A last line without an end would swallow the new one.
if [ -s "$2" ] && [ -n "$(tail -c 1 "$2")" ]; then
    echo >>"$2"
fi
printf '%s\n' "$4" >>"$2"
