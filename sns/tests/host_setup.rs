//! `sns host setup`: a machine is set up from an address and a key of root to pods that are synced. The machine is this
//! one's files under a layer of its own (`testkit::Machine`), so users, sudo, the SSH server and nftables are real.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use testkit::{Machine, Network, Outcome, Terminal, make_ssh_key};

use crate::bench::{Bench, PROGRAM, RUN, write};

const MACHINE: usize = 0;
const OPERATOR: usize = 1;

/// Makes the super user; the key lies beside the project, where the command stands.
const SUPERUSER: [&str; 5] = [
    "host",
    "setup",
    "superuser",
    "worker1",
    "--root-keyfile=../root-key",
];

/// A project with a registered machine.
struct Stage {
    bench: Bench,
    network: Network,
    machine: Machine,
}

impl Stage {
    fn new() -> Self {
        let network = Network::new(2).unwrap();
        let bench = Bench::new().with_plugins();
        let public = make_ssh_key(&bench.cluster.folder().join("root-key"), "ed25519", "").unwrap();
        let machine = Machine::at(&network, MACHINE, &public).unwrap();
        let stage = Self {
            bench,
            network,
            machine,
        };
        let (address, router) = (
            format!("--address={}", Network::address(MACHINE)),
            format!("--router-address={}", Network::address(MACHINE)),
        );
        let expose = "--expose=80 8080";
        stage.ok(&[
            "host",
            "register",
            "worker1",
            &address,
            &router,
            expose,
            "--dir-home=cluster",
        ]);
        stage
    }

    /// One whose super user is there.
    fn with_super_user() -> Self {
        let stage = Self::new();
        stage.ok(&SUPERUSER);
        stage
    }

    /// Runs `sns` where the operator is.
    fn run(&self, arguments: &[&str]) -> Outcome {
        self.network
            .at(OPERATOR, || self.bench.run(arguments))
            .unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).success().unwrap()
    }

    /// Installs, and insists on how that ends.
    fn install(&self, more: &[&str], code: i32) -> Outcome {
        let outcome = self.run(&[&["host", "setup", "install", "worker1"], more].concat());
        assert_eq!(outcome.code, code, "{outcome}");
        outcome
    }

    /// Changes a setting of the host.
    fn set(&self, key: &str, value: &str) {
        self.set_in("host.env", key, value);
    }

    fn set_in(&self, file: &str, key: &str, value: &str) {
        let path = format!("worker1/{file}");
        let text = self.bench.read(&path);
        let other = |line: &&str| !line.starts_with(&format!("{key}="));
        let kept: Vec<&str> = text.lines().filter(other).collect();
        self.bench
            .write(&path, &format!("{}\n{key}={value}\n", kept.join("\n")));
    }

    /// Runs a command that must change nothing on the machine.
    fn changes_nothing<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.machine.changes().unwrap();
        let result = work();
        assert_eq!(self.machine.changes().unwrap(), before);
        result
    }

    fn has(&self, path: &str) -> bool {
        self.machine.path(path).exists()
    }

    fn on_machine(&self, line: &str) -> String {
        self.machine.shell(line).unwrap().success().unwrap()
    }

    /// Whether a port of the machine can be reached by the operator.
    fn reaches(&self, port: u16) -> bool {
        let address = SocketAddr::new(Network::address(MACHINE), port);
        let listener = self
            .network
            .at(MACHINE, || TcpListener::bind(address).unwrap());
        let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        let reached = self.network.at(OPERATOR, connect).unwrap();
        drop(listener);
        reached
    }

    /// Lets a program of the machine be another one.
    fn replace_program(&self, path: &str, script: &str) {
        let path: PathBuf = self.machine.path(path);
        write(&path, script);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn from_an_address_to_a_synced_pod() {
    let stage = Stage::new();
    let refused = stage.install(&[], 3);
    assert!(
        refused.stderr.contains("sns host setup superuser worker1"),
        "{refused}"
    );

    let dry = [&SUPERUSER[..], &["--dry-run"]].concat();
    let shown = stage.changes_nothing(|| stage.ok(&dry));
    assert!(shown.contains("make the user snssuper"), "{shown}");
    assert_eq!(
        stage
            .bench
            .git(&["ls-files", "-o", "worker1"])
            .matches("super")
            .count(),
        0
    );
    stage.ok(&SUPERUSER);
    assert!(
        stage
            .bench
            .read("worker1/host-superuser.env")
            .contains("USER=snssuper")
    );
    let again = stage.run(&SUPERUSER);
    assert_eq!(again.code, 5, "{again}");
    let again = stage.run(&[&SUPERUSER[..], &["--force"]].concat());
    assert!(again.stderr.contains("nothing to do"), "{again}");

    stage.on_machine("echo root:secret | chpasswd");
    let disable = ["host", "setup", "disableroot", "worker1"];
    stage.changes_nothing(|| stage.ok(&[&disable[..], &["--dry-run"]].concat()));
    stage.ok(&disable);
    let again = stage.run(&disable);
    assert!(
        again.code == 0 && again.stderr.contains("nothing to do"),
        "{again}"
    );
    let root = stage.run(&[&SUPERUSER[..], &["--force"]].concat());
    assert!(
        root.code == 8 && root.stderr.contains("does not let user root in"),
        "{root}"
    );
    assert!(
        stage
            .on_machine("grep ^root: /etc/shadow")
            .starts_with("root:!")
    );

    let shown = stage.changes_nothing(|| stage.install(&["--dry-run"], 0));
    for step in [
        "make the user sns",
        "send /usr/local/bin/simplenetesd",
        "send /usr/lib/simplenetes/plugins/native-runtime",
        "tcp dport 8080 accept",
    ] {
        assert!(shown.stdout.contains(step), "{step}: {shown}");
    }
    let unasked = stage.changes_nothing(|| stage.install(&[], 5));
    assert!(unasked.stderr.contains("--yes"), "{unasked}");
    stage.install(&["--yes"], 0);
    let again = stage.changes_nothing(|| stage.install(&[], 0));
    assert!(again.stderr.contains("nothing to do"), "{again}");
    let unit = stage.on_machine("/usr/local/bin/simplenetesd systemd-unit");
    assert_eq!(
        unit,
        stage.on_machine("cat /etc/systemd/system/simplenetesd.service")
    );
    let low = stage.on_machine("cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    assert_eq!(low, "80\n");

    stage.ok(&["host", "init", "worker1"]);
    stage
        .bench
        .attach("web", "worker1", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    stage.ok(&["pod", "compile", "web"]);
    stage.bench.commit();
    stage.ok(&["cluster", "sync"]);
    assert!(stage.has("/home/sns/cluster/pods/web/release/1.0.0/pod"));
}

#[test]
fn the_firewall_lets_in_who_should_come_and_nobody_else() {
    let stage = Stage::with_super_user();
    // The host itself has to be in a trusted network; the operator is in none.
    stage.set("INTERNAL", &format!("{}/32", Network::address(MACHINE)));
    let only = ["--yes", "--skip-podman", "--skip-systemd"];
    stage.set("EXPOSE", "8080");
    let refused = stage.changes_nothing(|| stage.install(&only, 5));
    assert!(
        refused.stderr.contains("would lock out SSH: port 22"),
        "{refused}"
    );
    assert!(stage.reaches(9090));
    stage.set("EXPOSE", "22 8080");
    stage.install(&only, 0);
    assert!(stage.reaches(8080) && !stage.reaches(9090));
    stage.set("EXPOSE", "22");
    stage.install(&only, 0);
    assert!(!stage.reaches(8080));
    stage.set("INTERNAL", "10.0.0.0/8");
    stage.install(&only, 0);
    assert!(stage.reaches(8080) && stage.reaches(9090));
    stage.set("INTERNAL", "192.168.0.0/16");
    let refused = stage.changes_nothing(|| stage.install(&only, 5));
    assert!(
        refused.stderr.contains("private address 10.77.0.1"),
        "{refused}"
    );
}

#[test]
fn what_arrives_otherwise_is_refused() {
    let stage = Stage::with_super_user();
    let lies = "#!/bin/sh\ncat >/tmp/sum\nif [ $(stat -c %s /tmp/sum) -gt 1000000 ]; then printf '%064d  -\\n' 0\n\
        else /usr/bin/sha256sum </tmp/sum; fi\n";
    stage.replace_program("/usr/local/sbin/sha256sum", lies);
    let outcome = stage.install(&["--yes", "--skip-firewall"], 6);
    assert!(
        outcome.stderr.contains("send /usr/local/bin/simplenetesd")
            && outcome.stderr.contains("what arrived is not what was sent"),
        "{outcome}"
    );
    assert!(!stage.has("/usr/local/bin/simplenetesd"));
    assert_eq!(stage.on_machine("find /usr/local/bin -name '.sns*'"), "");
}

#[test]
fn what_locks_out_the_super_user_is_taken_back() {
    let stage = Stage::with_super_user();
    // The server will see this line once it reads its configuration again.
    stage.on_machine("echo 'DenyUsers snssuper' >> /etc/ssh/sshd_config");
    let outcome = stage.changes_nothing(|| stage.run(&["host", "setup", "disableroot", "worker1"]));
    assert_eq!(outcome.code, 8, "{outcome}");
    assert!(outcome.stderr.contains("it was taken back"), "{outcome}");
}

/// A `systemctl` that notes what it is asked, and remembers what is enabled and active.
const SYSTEMCTL: &str = r#"#!/bin/sh
state=/var/lib/fake-systemd
mkdir -p $state
for unit; do :; done
case $1 in
    is-enabled) exec test -e $state/enabled.$unit ;;
    is-active) exec test -e $state/active.$unit ;;
    enable) : > $state/enabled.$unit ;;
    restart) : > $state/active.$unit ;;
esac
echo "$*" >> $state/calls
"#;

const LOGINCTL: &str =
    "#!/bin/sh\nmkdir -p /var/lib/systemd/linger && : > /var/lib/systemd/linger/$2\n";

#[test]
fn systemd_is_told_only_what_changed() {
    let stage = Stage::with_super_user();
    stage.replace_program("/usr/local/sbin/systemctl", SYSTEMCTL);
    stage.replace_program("/usr/local/sbin/loginctl", LOGINCTL);
    stage.on_machine("mkdir -p /run/systemd/system");
    let calls =
        || stage.on_machine("cat /var/lib/fake-systemd/calls; : > /var/lib/fake-systemd/calls");
    stage.install(&["--yes"], 0);
    assert_eq!(
        calls(),
        "daemon-reload\nenable simplenetesd.service\nrestart simplenetesd.service\ndaemon-reload\nenable simplenetes-firewall.service\n"
    );
    assert!(stage.has("/var/lib/systemd/linger/sns"));
    let again = stage.install(&["--yes"], 0);
    assert!(again.stderr.contains("nothing to do"), "{again}");
    stage.on_machine("echo '# mine' >> /etc/systemd/system/simplenetesd.service");
    stage.install(&["--yes"], 0);
    assert_eq!(calls(), "daemon-reload\nrestart simplenetesd.service\n");
    stage.on_machine("echo x >> /usr/local/bin/sns-proxy");
    stage.install(&["--yes"], 0);
    assert_eq!(calls(), "", "the daemon is the same");
}

#[test]
fn strict_keys_are_the_project_s_alone() {
    let stage = Stage::with_super_user();
    let only = [
        "--yes",
        "--skip-podman",
        "--skip-systemd",
        "--skip-firewall",
    ];
    stage.install(&only, 0);
    let keys = "/home/sns/.ssh/authorized_keys";
    let other = make_ssh_key(&stage.bench.cluster.folder().join("other"), "ed25519", "").unwrap();
    stage.on_machine(&format!("echo '{}' >> {keys}", other.trim()));
    let again = stage.install(&only, 0);
    assert!(again.stderr.contains("nothing to do"), "{again}");
    stage.install(
        &[
            &only[..],
            &["--strict-user-keys", "--strict-super-user-keys"],
        ]
        .concat(),
        0,
    );
    let left = stage.on_machine(&format!("cat {keys}"));
    assert_eq!(left.trim(), stage.bench.read("worker1/id_rsa.pub").trim());
    let owner = stage.on_machine(&format!("stat -c '%U %a' /home/sns/.ssh {keys}"));
    assert_eq!(owner, "sns 700\nsns 600\n");
    // What the user has laid there is not followed by root.
    stage.on_machine("rm -r /home/sns/.ssh && ln -s /root/.ssh /home/sns/.ssh");
    let trapped = stage.changes_nothing(|| stage.install(&only, 6));
    assert!(
        trapped.stderr.contains("write the keys that let sns in"),
        "{trapped}"
    );
}

#[test]
fn a_firewall_that_locks_out_is_taken_back() {
    let stage = Stage::with_super_user();
    let only = ["--yes", "--skip-podman", "--skip-systemd"];
    stage.set_in("host-superuser.env", "FLAGS", "-oConnectTimeout=1");
    // Something that no plan foresees lets nobody in as soon as the table is there.
    let spoilt = "#!/bin/sh\n/usr/sbin/nft \"$@\" || exit 1\ncase \"$*\" in \"-f \"*.new) \
        exec /usr/sbin/nft insert rule inet simplenetes input tcp dport 22 ct state new drop ;; esac\n";
    stage.replace_program("/usr/local/sbin/nft", spoilt);
    let outcome = stage.install(&only, 8);
    assert!(outcome.stderr.contains("it was taken back"), "{outcome}");
    assert_eq!(stage.on_machine("nft list tables"), "");
    assert_eq!(stage.on_machine("ls -A /etc/simplenetes"), "");
    stage.on_machine("rm /usr/local/sbin/nft");
    stage.install(&only, 0);
    // One that was there before is back.
    let before = stage.on_machine("nft list table inet simplenetes");
    stage.replace_program("/usr/local/sbin/nft", spoilt);
    stage.set("EXPOSE", "22 9090");
    stage.install(&only, 8);
    assert_eq!(stage.on_machine("nft list table inet simplenetes"), before);
    let file = stage.on_machine("cat /etc/simplenetes/firewall.nft; ls -A /etc/simplenetes");
    assert!(
        file.contains("dport 8080") && file.ends_with("}\nfirewall.nft\n"),
        "{file}"
    );
}

#[test]
fn a_server_without_drop_ins_is_edited() {
    let stage = Stage::with_super_user();
    let config = "/etc/ssh/sshd_config";
    stage.on_machine(&format!(
        "sed -i '/^Include/d' {config}; echo 'Match User root\nPermitRootLogin yes' >> {config}"
    ));
    stage.ok(&["host", "setup", "disableroot", "worker1"]);
    let text = stage.on_machine(&format!("cat {config}"));
    assert!(
        text.contains("\nPermitRootLogin no\n") && text.contains("# PermitRootLogin yes"),
        "{text}"
    );
    assert!(!stage.has("/etc/ssh/sshd_config.d/00-simplenetes.conf"));
    assert_eq!(stage.on_machine("ls -A /etc/ssh | grep '^[.]' || true"), "");
    let root = stage.run(&[&SUPERUSER[..], &["--force"]].concat());
    assert_eq!(root.code, 8, "{root}");
}

#[test]
fn root_stays_while_nobody_else_can_become_it() {
    let stage = Stage::with_super_user();
    let disable = ["host", "setup", "disableroot", "worker1"];
    stage.on_machine("rm /etc/sudoers.d/simplenetes-snssuper");
    let refused = stage.changes_nothing(|| stage.run(&disable));
    assert_eq!(refused.code, 5, "{refused}");
    assert!(
        refused
            .stderr
            .contains("the super user of host worker1 cannot become root"),
        "{refused}"
    );
    let env = "worker1/host-superuser.env";
    let text = stage.bench.read(env).replace("USER=snssuper", "USER=root");
    stage.bench.write(env, &text);
    let refused = stage.run(&disable);
    assert_eq!(refused.code, 5, "{refused}");
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let stage = Stage::with_super_user();
    let arguments = [
        "host",
        "setup",
        "install",
        "worker1",
        "--skip-podman",
        "--skip-systemd",
    ];
    let mut sns = stage.bench.cluster.sns(&arguments);
    sns.env("TERM", "dumb")
        .env("SIMPLENETES_PLUGINS", stage.bench.plugins());
    let answer = |text: &str| {
        let ask = || {
            let mut terminal = Terminal::start(&sns, 200, 50).unwrap();
            terminal
                .wait_for("Do this on host worker1? [y/N] ")
                .unwrap();
            terminal.type_in(text).unwrap();
            terminal.finish().unwrap().0.code()
        };
        stage.network.at(OPERATOR, ask).unwrap()
    };
    stage.changes_nothing(|| assert_eq!(answer("\n"), Some(1)));
    assert_eq!(answer("y\n"), Some(0));
    assert!(stage.has("/home/sns"));
}

#[test]
fn this_machine_is_not_set_up() {
    let bench = Bench::with_host();
    let outcome = bench.run(&["host", "setup", "install", "laptop"]);
    assert_eq!(outcome.code, 3, "{outcome}");
    assert!(
        outcome.stderr.contains("host laptop is this machine"),
        "{outcome}"
    );
}
