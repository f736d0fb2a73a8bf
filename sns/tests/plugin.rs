//! `sns plugin …`.

use insta::assert_snapshot;

use crate::bench::Bench;

#[test]
fn first_party_plugins_come_with_init() {
    let bench = Bench::with_native_host();
    let plugins: serde_json::Value =
        serde_json::from_str(&bench.ok(&["plugin", "ls", "--json"])).unwrap();
    assert_eq!(
        (&plugins[0]["plugin"], &plugins[0]["state"]),
        (&"native-runtime".into(), &"ok".into())
    );
    assert_eq!(plugins[0]["kinds"], serde_json::json!(["native"]));
    assert!(!plugins[0]["grants"].is_null(), "the wishes are the grants");
    assert_eq!(
        bench
            .run(&["plugin", "install", "native-runtime@laptop"])
            .code,
        0
    );
}

#[test]
fn what_cannot_be_installed() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["plugin", "install", "native-runtime@laptop"]), @r"
    $ sns plugin install native-runtime@laptop
    | error: there is no first-party plugin `native-runtime`
    | hint: name the component of another plugin with --file=FILE.wasm
    | hint: looked in [FOLDER]/no-plugins; built components lie there after `cargo xtask plugins`
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["plugin", "install", "x@lapto"]), @r"
    $ sns plugin install x@lapto
    | error: there is no host `lapto` in the project
    | hint: did you mean `laptop`?
    | hint: `sns host ls -a` lists them, `sns host register` adds one
    [exit 3]
    ");
    bench.write("no.wasm", "this is no component\n");
    assert_snapshot!(bench.show(&["plugin", "install", "no@laptop", "--file=no.wasm"]), @r"
    $ sns plugin install no@laptop --file=no.wasm
    | error: [PROJECT]/no.wasm is not a plugin that can be used
    |   because: the file is not a WebAssembly component, or it is damaged
    |   because: magic header not detected: bad magic number - expected=[ 0x0, 0x61, 0x73, 0x6d, ] actual=[ 0x74, 0x68, 0x69, 0x73, ] (at offset 0x0)
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["plugin", "install", "Bad Name"]), @r"
    $ sns plugin install Bad Name
    | error: invalid value 'Bad Name' for '<PLUGIN[@HOST]>': a plugin's name consists of lower-case letters, digits and `-`
    |
    | For more information, try '--help'.
    [exit 2]
    ");
}

#[test]
fn a_lost_component_is_shown() {
    let bench = Bench::with_native_host();
    std::fs::remove_dir_all(bench.cluster.project().join("_plugins")).unwrap();
    let listed = bench.ok(&["plugin", "ls"]);
    assert!(
        listed.contains("there is no _plugins/native-runtime-"),
        "{listed}"
    );
}

#[test]
fn an_upgrade_that_asks_for_more_stops() {
    let bench = Bench::with_native_host();
    // As if an older build had been granted nothing at all.
    let yaml = bench.read("laptop/plugins.yaml");
    let (head, rest) = yaml.split_once("digest: ").unwrap();
    let digest = rest.split_whitespace().next().unwrap().to_owned();
    let head = format!("{head}digest: {}\n  source: test\n", "0".repeat(64));
    bench.write("laptop/plugins.yaml", &head);
    let refused = bench.run(&["plugin", "install", "native-runtime@laptop"]);
    assert_eq!(refused.code, 5, "{refused}");
    assert!(
        refused.stderr.contains("asks for more on host laptop"),
        "{refused}"
    );
    assert_eq!(bench.read("laptop/plugins.yaml"), head);
    bench.ok(&["plugin", "install", "native-runtime@laptop", "--accept"]);
    assert!(bench.read("laptop/plugins.yaml").contains(&digest));
}
