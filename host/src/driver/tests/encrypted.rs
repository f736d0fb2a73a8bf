//! Encrypted configs: their users are told when the plain files have changed, and of nothing else.

use super::*;

const RELOADS: &str = "  signal: {sig: HUP}\n  mounts: [{volume: conf, dest: /conf}]";

/// A pod that runs, whose config is encrypted.
async fn stage() -> Stage {
    let mut spec = pod(RELOADS);
    spec.volumes[0].kind = podspec::VolumeKind::Config { encrypted: true };
    let stage = Stage::new(spec, |world| world.reveal(Ok("one")));
    stage.pass(1).await;
    assert_eq!(stage.prepare().unrevealed(), 0);
    stage.asked();
    stage
}

/// A sync brings another text.
async fn bring(stage: &Stage, text: &str) {
    stage.change(|desired| {
        let conf = "conf".parse().unwrap();
        desired.configs.insert(conf, text.to_owned());
    });
    stage.pass(1).await;
}

#[tokio::test(start_paused = true)]
async fn another_text_for_the_same_files_concerns_nobody() {
    let stage = stage().await;
    stage.prepare().reveal(Ok("one"));
    bring(&stage, "2").await;
    assert_eq!(
        (stage.asked(), stage.prepare().unrevealed()),
        (String::new(), 0)
    );
    stage.prepare().reveal(Ok("two"));
    bring(&stage, "3").await;
    assert_eq!(stage.asked(), "signal main");
    assert_eq!(
        stage
            .paper()
            .memory
            .unwrap()
            .configs
            .values()
            .collect::<Vec<_>>(),
        ["two"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_opened_is_told_and_tried_again_and_the_pod_runs_on() {
    let stage = stage().await;
    stage.prepare().reveal(Err("the key is away"));
    bring(&stage, "2").await;
    assert_eq!((stage.asked(), stage.running()), (String::new(), 1));
    assert_eq!(stage.status().message, "the key is away");
    stage.prepare().reveal(Ok("two"));
    stage.pass(60_000).await;
    assert_eq!(stage.asked(), "signal main");
    assert_eq!(stage.status().message, "");
}

#[tokio::test(start_paused = true)]
async fn the_next_driver_knows_what_the_units_know() {
    let stage = stage().await.shut_down().await;
    let paper = stage.paper();
    assert_eq!(
        paper.memory.unwrap().configs.values().collect::<Vec<_>>(),
        ["one"]
    );
}
