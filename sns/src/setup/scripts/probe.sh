# Says what is so on this machine, and changes nothing: lines of a word, a tab and a value.
# Arguments: SSH_CONNECTION, the user that runs pods, the super user, and files whose digests are wanted.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
say() { printf '%s\t%s\n' "$1" "$2"; }
lines() { while IFS= read -r line || [ -n "$line" ]; do say "$1" "$line"; done; }
has() { command -v "$1" >/dev/null 2>&1; }

say ssh "$1"
user=$2
super=$3
shift 3
say machine "$(uname -m)"
(. /etc/os-release && say system "$PRETTY_NAME") 2>/dev/null
[ -d /run/systemd/system ] && say is systemd
for tool in apt-get dnf zypper apk podman newuidmap slirp4netns pasta fuse-overlayfs sudo visudo useradd nft; do
    has "$tool" && say tool "$tool"
done
[ -e /usr/lib/systemd/user/dbus.socket ] && say tool dbus-user-session

# The directory of a user belongs to the user, who may have made a trap of it: root does not read there.
for name in "$user" "$super"; do
    if id -u "$name" >/dev/null 2>&1; then
        say user "$name"
        su -s /bin/sh -c 'cat "$HOME/.ssh/authorized_keys"' "$name" </dev/null 2>/dev/null | lines "keys:$name"
    fi
done
[ -f /etc/subuid ] && lines subuid </etc/subuid
[ -f /etc/subgid ] && lines subgid </etc/subgid
[ -e "/var/lib/systemd/linger/$user" ] && say is lingering
cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null | lines low-port

for file; do
    if [ -f "$file" ]; then
        digest=$(sha256sum <"$file")
        say file "${digest%% *} $(stat -c %a "$file") $file"
    fi
done
if [ -d /run/systemd/system ]; then
    for unit in simplenetesd.service simplenetes-firewall.service; do
        systemctl is-enabled -q "$unit" 2>/dev/null && say enabled "$unit"
        systemctl is-active -q "$unit" 2>/dev/null && say active "$unit"
    done
fi

if [ "$(firewall-cmd --state 2>/dev/null)" = running ]; then
    say firewall firewalld
    firewall-cmd -q --query-service=simplenetes 2>/dev/null && say is firewalld-service
elif has ufw && ufw status 2>/dev/null | grep -q '^Status: active'; then
    say firewall ufw
    ufw show added 2>/dev/null | lines ufw
fi
has nft && nft list table inet simplenetes >/dev/null 2>&1 && say is nft-table

[ -f /etc/ssh/sshd_config ] && lines sshd-config </etc/ssh/sshd_config
sshd -T -C user=root,host=localhost,addr=127.0.0.1 2>/dev/null | sed -n 's/^permitrootlogin //p' | lines root-login
sed -n 's/^root:[!*].*/root-locked/p' /etc/shadow 2>/dev/null | lines is
say is complete
