//! Output that is kept in a file: whole or not at all, for nobody's eyes, and never outside of the release.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hostfiles::ReleaseDir;
use simplenetes_plugin::{Answer, Digest, Step, StepOptions};
use simplenetesd::open_files::OpenFiles;
use simplenetesd::steps::{Processes, Programs, StepError, StepRunner};
use tempfile::TempDir;

const KEY: &str = "root/key";

/// A folder with a release in it, and a file beside the release.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("release/root")).unwrap();
    fs::write(folder.path().join("mine"), "mine").unwrap();
    folder
}

fn runner(folder: &Path) -> StepRunner {
    StepRunner::new(
        "web:1.0.0".parse().unwrap(),
        ReleaseDir::new(folder.join("release")),
        Programs::new(
            None,
            "/nowhere/simplenetesd".as_ref(),
            env!("CARGO_BIN_EXE_simplenetesd").into(),
            "/usr/bin:/bin".as_ref(),
        ),
        false,
        OpenFiles::raise(),
    )
}

/// A look whose output is kept in this file.
async fn keep(folder: &Path, path: &str, script: &str) -> Result<Answer, StepError> {
    let step = Step::Look {
        id: "key".into(),
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        options: StepOptions {
            keep: Some(path.into()),
            ..StepOptions::default()
        },
    };
    let answer = runner(folder).run(step, &Processes::default()).await?;
    Ok(answer.unwrap())
}

#[tokio::test]
async fn the_file_has_the_output_and_the_answer_its_size_and_digest() {
    let folder = folder();
    let script = "printf 'secret\\0text'; echo to see >&2";
    let answer = keep(folder.path(), KEY, script).await.unwrap();
    let kept = answer.kept.clone().unwrap();
    assert_eq!(
        (answer.stdout.as_slice(), answer.stderr.as_slice()),
        (&b""[..], &b"to see\n"[..])
    );
    let content = b"secret\0text";
    assert_eq!(
        (kept.bytes, kept.digest),
        (11, Digest::of(content).to_string())
    );
    let file = folder.path().join("release").join(KEY);
    assert_eq!(fs::read(&file).unwrap(), content);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_file_and_tells_nothing_of_the_output() {
    let folder = folder();
    let file = folder.path().join("release").join(KEY);
    keep(folder.path(), KEY, "echo first").await.unwrap();
    let answer = keep(folder.path(), KEY, "echo second; exit 3")
        .await
        .unwrap();
    assert_eq!((answer.exit, answer.stdout.as_slice()), (3, &b""[..]));
    assert_eq!(answer.output().bytes, 0);
    let long = "head -c 5000000 /dev/zero";
    let error = keep(folder.path(), KEY, long).await.unwrap_err();
    assert!(error.to_string().contains(KEY), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "first\n");
    // A command says why it failed, with what it wrote for people only.
    let step = Step::Command {
        id: "key".into(),
        program: "sh".into(),
        args: vec!["-c".into(), "echo hidden; sleep 600".into()],
        options: StepOptions {
            keep: Some(KEY.into()),
            silence_ms: Some(200),
            ..StepOptions::default()
        },
    };
    let runner = runner(folder.path());
    let lines = runner.told().lines();
    let error = runner.run(step, &Processes::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "key: no output for 200 ms");
    assert_eq!(*lines.borrow(), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), "first\n");
    let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn nothing_outside_of_the_release_is_replaced() {
    let folder = folder();
    let release = folder.path().join("release");
    symlink(folder.path(), release.join("away")).unwrap();
    symlink(folder.path().join("mine"), release.join("root/link")).unwrap();
    // Where the next file is made before it is moved into its place.
    symlink(folder.path().join("mine"), release.join("root/.key.new")).unwrap();
    for path in ["../mine", "away/mine", "/etc/passwd", "root/../../mine"] {
        let error = keep(folder.path(), path, "echo evil").await.unwrap_err();
        assert!(matches!(error, StepError::Path { .. }), "{path}: {error}");
    }
    // A link is replaced, never followed.
    for path in ["root/link", KEY] {
        keep(folder.path(), path, "echo good").await.unwrap();
        let file = release.join(path);
        assert!(fs::symlink_metadata(&file).unwrap().is_file(), "{path}");
        assert_eq!(fs::read_to_string(file).unwrap(), "good\n");
    }
    let mine = fs::read_to_string(folder.path().join("mine")).unwrap();
    assert_eq!(mine, "mine");
}
