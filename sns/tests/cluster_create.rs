//! `sns cluster create`, and finding a project.

use insta::assert_snapshot;
use testkit::Outcome;

use crate::bench::{Bench, write};

#[test]
fn a_new_project_is_a_clean_repository_with_one_commit() {
    let bench = Bench::empty();
    let arguments = ["cluster", "create", "project"];
    let outcome = bench.run_in(bench.cluster.folder(), &arguments);
    let id = bench.read("cluster-id.txt");
    let number = id
        .trim()
        .strip_prefix("project-")
        .unwrap()
        .parse::<u32>()
        .unwrap();
    assert!((1..=65535).contains(&number));
    assert_snapshot!(bench.shown(&arguments, &outcome).replace(id.trim(), "[CLUSTER]"), @r"
    $ sns cluster create project
    | ok: cluster [CLUSTER] created at [PROJECT]
    | hint: cd project; then add a host: sns host register
    [exit 0]
    ");
    assert_eq!(bench.git_status(), "");
    assert_snapshot!(Outcome::of(&mut bench.cluster.git(&["ls-files"])).unwrap().success().unwrap(), @r"
    .gitattributes
    .gitignore
    cluster-id.txt
    cluster-vars.env
    log.txt
    ");
    assert!(
        bench
            .read("log.txt")
            .contains(" tester CREATED-CLUSTER-PROJECT project-")
    );
}

#[test]
fn without_a_git_identity_the_account_signs_the_first_commit() {
    let bench = Bench::empty();
    std::fs::remove_file(bench.cluster.folder().join("home/.gitconfig")).unwrap();
    let arguments = ["cluster", "create", "project"];
    let outcome = bench.run_in(bench.cluster.folder(), &arguments);
    let id = bench.read("cluster-id.txt");
    assert_snapshot!(bench.shown(&arguments, &outcome).replace(id.trim(), "[CLUSTER]"), @r"
    $ sns cluster create project
    | warning: git does not know your name, so the first commit carries the name of your account
    | hint: git config --global user.name NAME; git config --global user.email ADDRESS
    | ok: cluster [CLUSTER] created at [PROJECT]
    | hint: cd project; then add a host: sns host register
    [exit 0]
    ");
}

#[test]
fn bad_names_and_taken_places() {
    let bench = Bench::new();
    let folder = bench.cluster.folder().to_owned();
    let show = |name: &str| {
        let arguments = ["cluster", "create", name];
        bench.shown(&arguments, &bench.run_in(&folder, &arguments))
    };
    assert_snapshot!(show("my cluster"), @r"
    $ sns cluster create my cluster
    | error: `my cluster` cannot be the name of a cluster
    | hint: use letters, digits, `-` and `_`, beginning with a letter or digit, as in laptop-cluster
    [exit 3]
    ");
    assert_snapshot!(show("project"), @r"
    $ sns cluster create project
    | error: [PROJECT] exists already
    | hint: choose another name, or move it away
    [exit 3]
    ");
    assert_snapshot!(show("project/inner"), @r"
    $ sns cluster create project/inner
    | error: [PROJECT]/inner would lie inside another Cluster Project
    | hint: leave [PROJECT] first
    [exit 3]
    ");
}

#[test]
fn outside_a_project_every_command_says_so() {
    let bench = Bench::empty();
    let folder = bench.cluster.folder().to_owned();
    let arguments = ["host", "ls"];
    assert_snapshot!(bench.shown(&arguments, &bench.run_in(&folder, &arguments)), @r"
    $ sns host ls
    | error: [FOLDER] is not inside a Cluster Project: no cluster-id.txt here or in a directory above
    | hint: name its directory with --project or CLUSTERPATH, or make one with `sns cluster create`
    [exit 3]
    ");
    let arguments = ["--project", "nowhere", "host", "ls"];
    assert_snapshot!(bench.shown(&arguments, &bench.run_in(&folder, &arguments)), @r"
    $ sns --project nowhere host ls
    | error: [FOLDER]/nowhere is not a Cluster Project: it has no cluster-id.txt
    | hint: name its directory with --project or CLUSTERPATH, or make one with `sns cluster create`
    [exit 3]
    ");
}

#[test]
fn a_project_is_found_from_below_and_by_name() {
    let bench = Bench::with_host();
    assert_eq!(
        bench
            .run_in(&bench.cluster.project().join("laptop"), &["host", "ls"])
            .stdout,
        "laptop active\n"
    );
    assert_eq!(
        bench
            .run_in(
                bench.cluster.folder(),
                &["--project", "project", "host", "ls"]
            )
            .stdout,
        "laptop active\n"
    );
    let mut command = bench.cluster.sns(&["host", "ls"]);
    command
        .current_dir("/")
        .env("CLUSTERPATH", bench.cluster.project());
    assert_eq!(Outcome::of(&mut command).unwrap().stdout, "laptop active\n");
}

#[test]
fn damaged_files_are_named_with_the_line() {
    let bench = Bench::with_host();
    let env = bench.read("laptop/host.env");
    bench.write(
        "laptop/host.env",
        &env.replace("127.0.0.1:32767", "somewhere"),
    );
    assert_snapshot!(bench.show(&["host", "ls"]), @r"
    $ sns host ls
    | error: could not understand [PROJECT]/laptop/host.env
    |   because: host.env, line 5: found `somewhere`, expected an IP address and a port, as in ROUTERADDRESS=192.168.1.2:32767
    [exit 4]
    ");
    bench.write("laptop/host.env", &env);
    bench.write("laptop/host.state", "asleep\n");
    assert_snapshot!(bench.show(&["host", "ls"]), @r"
    $ sns host ls
    | error: could not understand [PROJECT]/laptop/host.state
    |   because: host.state: found `asleep`, expected one of active, inactive, disabled
    [exit 4]
    ");
    write(
        &bench.cluster.project().join("cluster-id.txt"),
        "two words\n",
    );
    assert_snapshot!(bench.show(&["host", "ls"]), @r"
    $ sns host ls
    | error: could not understand [PROJECT]/cluster-id.txt
    |   because: cluster-id.txt: found `two words`, expected one word of printable ASCII, NAME-NUMBER, as in mycluster-12345
    [exit 4]
    ");
}

#[test]
fn the_first_commit_carries_the_names_that_git_is_told() {
    let bench = Bench::empty();
    let mut command = bench.cluster.sns(&["cluster", "create", "named"]);
    command
        .current_dir(bench.cluster.folder())
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Grace")
        .env("GIT_COMMITTER_EMAIL", "grace@example.com");
    let created = Outcome::of(&mut command).unwrap();
    assert!(
        created.code == 0 && !created.stderr.contains("warning"),
        "{created}"
    );
    let mut log = bench.cluster.git(&["log", "--format=%an %ae %cn %ce"]);
    log.current_dir(bench.cluster.folder().join("named"));
    let log = Outcome::of(&mut log).unwrap().success().unwrap();
    assert_eq!(log, "Ada ada@example.com Grace grace@example.com\n");
}
