//! `sns host trust HOST`: which key the project knows a host by.

use clap::Args;
use hostfiles::{SshHostKey, SshHostKeys};
use names::HostName;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::project::{Cluster, Host};
use crate::remote::{Remotes, fingerprint};

/// Tell the project by which key the SSH server of a host is known
///
/// Asks the host for its key, through its jump hosts, and writes it into host-key.txt in the host's folder. From then
/// on `sns` talks to that key and to no other. Compare the fingerprint with the one on the host itself, or give the one
/// that you know with --fingerprint.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host trust worker1
  sns host trust worker1 --fingerprint=SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDahfmwbG7aMRy7x2c
  sns host trust worker1 --replace
On the host itself this shows the fingerprints:
  for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done")]
pub(crate) struct TrustArgs {
    /// The host
    host: HostName,

    /// Trust this key only; as OpenSSH prints it
    #[arg(long, value_name = "SHA256:…", value_parser = fingerprint_word)]
    fingerprint: Option<String>,

    /// Trust the new key although another one is known
    #[arg(long)]
    replace: bool,

    /// Only forget the keys that are known
    #[arg(long, conflicts_with_all = ["fingerprint", "replace"])]
    forget: bool,
}

/// Asks and writes.
pub(crate) fn run(context: &Context<'_>, args: &TrustArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    if host.is_local() {
        return Err(CommandError::mistake(format!(
            "host {} is this machine: nobody has to be trusted",
            host.name
        )));
    }
    if args.forget {
        return forget(context, &cluster, &host);
    }
    let key = scan(context, &host)?;
    pin(
        context,
        &cluster,
        &host,
        &key,
        args.fingerprint.as_deref(),
        args.replace,
    )
}

/// The key that a remote host shows.
pub(super) fn scan(context: &Context<'_>, host: &Host) -> Result<SshHostKey, CommandError> {
    let remotes = Remotes::new(context.environment)?;
    let scanned = remotes.scan(host);
    context.tell_warnings(&remotes);
    scanned?.ok_or_else(|| CommandError::mistake(format!("host {} is this machine", host.name)))
}

/// Writes a key that a host has shown, unless that contradicts what is known or expected.
pub(super) fn pin(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    host: &Host,
    key: &SshHostKey,
    expected: Option<&str>,
    replaces: bool,
) -> Result<(), CommandError> {
    let file = host.dir.ssh_host_keys();
    let shown = fingerprint(key);
    if let Some(expected) = expected.filter(|expected| *expected != shown) {
        return Err(CommandError::refused(format!(
            "host {} shows another key than you expect, and is not trusted",
            host.name
        ))
        .listing([
            format!("expected    {expected}"),
            format!("it shows    {shown}"),
        ]));
    }
    let known: SshHostKeys = hostfiles::read_if_present(&file)?.unwrap_or_default();
    if known.0.contains(key) {
        context.ui.done(&format!(
            "host {} is trusted already: {} {shown}",
            host.name,
            key.kind()
        ));
        return Ok(());
    }
    if !known.0.is_empty() && !replaces {
        let lines = known
            .0
            .iter()
            .map(|key| format!("the project knows {} {}", key.kind(), fingerprint(key)));
        return Err(CommandError::refused(format!(
            "host {} shows another key than the project knows",
            host.name
        ))
        .listing(lines.chain([format!("it shows          {} {shown}", key.kind())]))
        .hint(format!(
            "if you know why its key changed: `sns host trust {} --replace`",
            host.name
        )));
    }
    hostfiles::write(&file, &SshHostKeys(vec![key.clone()]))?;
    cluster.log(&format!("TRUST_HOST {} {shown}", host.name))?;
    context.ui.done(&format!(
        "host {} is known by its key {} {shown}",
        host.name,
        key.kind()
    ));
    if expected.is_none() {
        context.ui.hint(&format!(
            "compare that with what `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` says on the host itself",
            short(key.kind())
        ));
    }
    Ok(())
}

/// What OpenSSH calls the file of such a key.
fn short(kind: &str) -> &str {
    match kind {
        "ssh-rsa" => "rsa",
        "ssh-ed25519" => "ed25519",
        _ => "ecdsa",
    }
}

fn forget(context: &Context<'_>, cluster: &Cluster<'_>, host: &Host) -> Result<(), CommandError> {
    let file = host.dir.ssh_host_keys();
    match std::fs::remove_file(&file) {
        Ok(()) => {
            cluster.log(&format!("FORGET_HOST_KEY {}", host.name))?;
            context
                .ui
                .done(&format!("no key of host {} is known any more", host.name));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            context
                .ui
                .done(&format!("no key of host {} was known", host.name));
            Ok(())
        }
        Err(error) => Err(CommandError::new(
            Kind::Files,
            format!("could not remove {}", file.display()),
        )
        .caused_by(error)),
    }
}

/// Reads a fingerprint from the command line.
pub(super) fn fingerprint_word(text: &str) -> Result<String, String> {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    match text.strip_prefix("SHA256:") {
        Some(digits) if digits.len() == 43 && digits.chars().all(is_digit) => Ok(text.to_owned()),
        _ => Err("expected SHA256: and 43 characters, as `ssh-keygen -lf` prints it".to_owned()),
    }
}
