//! Is this step granted? Asked while the plugin records it, so a refusal lands on the author's line.

use std::path::{Component, Path};

use super::{Grants, ProgramGrant};
use crate::content::shown;
use crate::declared::{Declared, Placeholder};
use crate::{Step, StepOptions};

/// The grant for whatever programs the pod itself declares.
const OWN_PROGRAM: &str = "{pod:program}";

/// Checks the steps of one call.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    pub(crate) grants: &'a Grants,
    pub(crate) declared: &'a Declared,
}

impl Checker<'_> {
    /// `Err` is a sentence that says what is not granted and what is.
    pub(crate) fn check(&self, step: &Step) -> Result<(), String> {
        match step {
            Step::Command {
                program,
                args,
                options,
                ..
            }
            | Step::Look {
                program,
                args,
                options,
                ..
            } => {
                self.program(program, args, options)?;
                let path = options.keep.as_deref();
                path.map_or(Ok(()), |path| self.directory(path, true))
            }
            Step::Attach {
                program,
                args,
                options,
            } => {
                keeps_nothing(options)?;
                composes_nothing(options)?;
                self.program(program, args, options)
            }
            Step::Process {
                unit,
                program,
                args,
                options,
            } => {
                self.unit(unit)?;
                keeps_nothing(options)?;
                self.program(program, args, options)
            }
            Step::Detached {
                unit,
                program,
                args,
                options,
            } => {
                self.unit(unit)?;
                keeps_nothing(options)?;
                let path = options.pid_file.as_deref().ok_or_else(|| {
                    "a detached unit needs `pid-file`: nobody would know its process".to_owned()
                })?;
                for path in std::iter::once(path).chain(options.monitor_file.as_deref()) {
                    self.directory(path, true)?;
                }
                self.program(program, args, options)
            }
            Step::Signal { unit, signal } => {
                self.unit(unit)?;
                self.signal(signal)
            }
            Step::Write { path, .. } => self.directory(path, true),
            Step::Compose { path, content, .. } => {
                self.directory(path, true)?;
                self.secrets([content])
            }
            Step::MakeDirectory { path } | Step::Remove { path } => self.directory(path, false),
            Step::Link { path, target } => {
                self.directory(path, false)?;
                self.place("links to", target)
            }
        }
    }

    fn unit(&self, unit: &str) -> Result<(), String> {
        let known = self.declared.units.iter().any(|name| name == unit);
        known
            .then_some(())
            .ok_or_else(|| format!("the pod has no unit `{unit}`"))
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        if !self.grants.signals {
            return Err("signals to units are not granted".to_owned());
        }
        let plain = !signal.is_empty()
            && signal
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"+-".contains(&b));
        plain.then_some(()).ok_or_else(|| {
            format!("`{signal}` is not the name of a signal: expected one like TERM or USR1")
        })
    }

    fn program(&self, program: &str, args: &[String], options: &StepOptions) -> Result<(), String> {
        let named: Vec<&ProgramGrant> = self
            .grants
            .programs
            .iter()
            .filter(|grant| self.names(grant, program))
            .collect();
        if named.is_empty() {
            return Err(format!("the program `{program}` is not granted"));
        }
        let words = Self::arguments(program, args, options)?;
        let grant = named
            .into_iter()
            .find(|grant| {
                let own = Some(program).filter(|_| grant.program == OWN_PROGRAM);
                let mut usages = grant.arguments.iter();
                usages.any(|usage| usage.allows(own, &words, self.declared))
            })
            .ok_or_else(|| {
                let words: Vec<String> = words.iter().map(|word| shown(word)).collect();
                format!("`{program}` is granted, but not with the arguments {words:?}")
            })?;
        self.secrets(options.contents())?;
        self.options(grant, program, options)
    }

    fn names(&self, grant: &ProgramGrant, program: &str) -> bool {
        match grant.program.as_str() {
            OWN_PROGRAM => self.declared.runs(program),
            name => name == program,
        }
    }

    fn options(
        &self,
        grant: &ProgramGrant,
        program: &str,
        options: &StepOptions,
    ) -> Result<(), String> {
        for (name, value) in Self::variables(program, options)? {
            if !self.variable(grant, &name, &value) {
                return Err(format!(
                    "the variable `{name}` with this value is not granted for `{program}`"
                ));
            }
        }
        for name in &options.inherit {
            if !grant.inherit.contains(name) {
                return Err(format!(
                    "passing the variable `{name}` on to `{program}` is not granted"
                ));
            }
        }
        if let Some(user) = &options.user {
            let declared = self
                .declared
                .values(&Placeholder::User)
                .any(|declared| declared == *user);
            if !(grant.user && declared) {
                return Err(format!(
                    "running `{program}` as user `{user}` is not granted"
                ));
            }
        }
        let feeds = !options.stdin.is_empty() || options.input.is_some();
        if feeds && !grant.stdin {
            return Err(format!(
                "writing to the standard input of `{program}` is not granted"
            ));
        }
        options
            .working_directory
            .as_deref()
            .map_or(Ok(()), |path| self.place("starts in", path))
    }

    fn variable(&self, grant: &ProgramGrant, name: &str, value: &str) -> bool {
        grant.environment.iter().any(|allowed| {
            if allowed == "{pod:env}" {
                let declared = &self.declared.env;
                return declared
                    .iter()
                    .any(|pair| pair.0 == name && pair.1 == value);
            }
            match allowed.strip_suffix("_*") {
                Some(prefix) => name
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_')),
                None => allowed == name,
            }
        })
    }

    fn directory(&self, path: &str, is_file: bool) -> Result<(), String> {
        // An empty path in a grant would stand for the whole release, and for what the daemon keeps there.
        let granted = self.grants.directories.iter().any(|grant| {
            is_inside(&grant.path)
                && Path::new(path).starts_with(&grant.path)
                && (grant.files || !is_file)
        });
        if is_inside(path) && granted {
            return Ok(());
        }
        Err(format!("writing to `{path}` is not granted"))
    }

    /// A place that is read: inside of the release directory, or one that the pod itself declares.
    fn place(&self, verb: &str, path: &str) -> Result<(), String> {
        let declared = Path::new(path).is_absolute()
            && self.declared.host_paths.iter().any(|known| known == path);
        if is_inside(path) || declared {
            return Ok(());
        }
        Err(format!(
            "a step {verb} `{path}`, which lies outside of the release and is not declared by the pod"
        ))
    }
}

/// The output of a unit goes to its log, that of a person's command to the person.
fn keeps_nothing(options: &StepOptions) -> Result<(), String> {
    match &options.keep {
        None => Ok(()),
        Some(path) => Err(format!(
            "only the output of a command or a look can be kept, here it should be in `{path}`"
        )),
    }
}

/// A person's command gets no secrets: it runs in the person's own place, with the person's own eyes on it.
fn composes_nothing(options: &StepOptions) -> Result<(), String> {
    match options.contents().next() {
        None => Ok(()),
        Some(_) => Err("nothing is put together for a person's command".to_owned()),
    }
}

/// True for a relative path whose text never leaves the directory that it is relative to.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Part};

    const GRANTS: &str = "
programs:
  - program: '{pod:program}'
    arguments: ['{pod:args}']
    environment: ['{pod:env}', 'SNS_*']
    inherit: [PATH]
    user: true
  - program: podman
    arguments: ['ps --all', 'run [--volume {pod:mount}]... {pod:image}']
  - program: login
    arguments: ['--user [--quiet | --password={secret:db}]...']
    environment: [PASSWORD]
    stdin: true
directories: [{path: root}, {path: made, files: true}, {reason: everything}]
secrets: [{name: db}, {name: tls.key}]
signals: true
";

    fn declared() -> Declared {
        let own = |text: &str| text.to_owned();
        Declared {
            commands: vec![vec![own("httpd"), own("-f")]],
            env: vec![(own("A"), own("b"))],
            images: vec![own("nginx:1")],
            mounts: vec![own("/srv:/mnt")],
            host_paths: vec![own("/srv")],
            users: vec![own("www")],
            units: vec![own("main")],
            ..Declared::default()
        }
    }

    fn check_with(grants: &str, step: &Step, refusal: Option<&str>) {
        let grants: Grants = serde_yaml::from_str(grants).unwrap();
        let declared = declared();
        match (
            Checker {
                grants: &grants,
                declared: &declared,
            }
            .check(step),
            refusal,
        ) {
            (Ok(()), None) => {}
            (Err(message), Some(part)) => assert!(message.contains(part), "{message}"),
            (outcome, expected) => panic!("{step:?}: {outcome:?}, expected refusal {expected:?}"),
        }
    }

    fn check(step: &Step, refusal: Option<&str>) {
        check_with(GRANTS, step, refusal);
        check_with("{}", step, Some(""));
    }

    fn process(program: &str, args: &str, options: StepOptions) -> Step {
        let args = args.split_whitespace().map(str::to_owned).collect();
        Step::Process {
            unit: "main".to_owned(),
            program: program.to_owned(),
            args,
            options,
        }
    }

    fn env(name: &str, value: &str) -> StepOptions {
        StepOptions {
            env: vec![(name.to_owned(), value.to_owned())],
            ..StepOptions::default()
        }
    }

    #[test]
    fn only_what_the_pod_declares_is_run() {
        let plain = StepOptions::default;
        check(&process("httpd", "-f", plain()), None);
        check(
            &process("httpd", "-f -x", plain()),
            Some("not with the arguments"),
        );
        check(
            &process("sh", "-c evil", plain()),
            Some("`sh` is not granted"),
        );
        check(
            &process("podman", "run --volume /srv:/mnt nginx:1", plain()),
            None,
        );
        check(
            &process("podman", "run --volume /:/mnt nginx:1", plain()),
            Some("not with the arguments"),
        );
        check(
            &process("podman", "run --privileged nginx:1", plain()),
            Some("not with the arguments"),
        );
        let elsewhere = Step::Process {
            unit: "other".to_owned(),
            program: "httpd".to_owned(),
            args: vec!["-f".to_owned()],
            options: plain(),
        };
        check(&elsewhere, Some("no unit `other`"));
    }

    #[test]
    fn a_detached_unit_is_checked_as_a_process_and_names_a_granted_file() {
        let detached = |unit: &str, program: &str, pid_file: Option<&str>| Step::Detached {
            unit: unit.to_owned(),
            program: program.to_owned(),
            args: vec!["-f".to_owned()],
            options: StepOptions {
                pid_file: pid_file.map(str::to_owned),
                ..StepOptions::default()
            },
        };
        check(&detached("main", "httpd", Some("made/main.pid")), None);
        for (step, refusal) in [
            (detached("main", "httpd", None), "needs `pid-file`"),
            (detached("main", "httpd", Some("run/pid")), "`run/pid`"),
            // There the plugin may make directories only.
            (detached("main", "httpd", Some("root/pid")), "`root/pid`"),
            (detached("main", "httpd", Some("/run/pid")), "`/run/pid`"),
            (
                detached("main", "httpd", Some("made/../pod")),
                "`made/../pod`",
            ),
            (
                detached("main", "sh", Some("made/pid")),
                "`sh` is not granted",
            ),
            (
                detached("other", "httpd", Some("made/pid")),
                "no unit `other`",
            ),
        ] {
            check(&step, Some(refusal));
        }
    }

    #[test]
    fn the_environment_is_an_allow_list() {
        check(&process("httpd", "-f", env("A", "b")), None);
        check(&process("httpd", "-f", env("A", "other")), Some("`A`"));
        check(&process("httpd", "-f", env("SNS_PROXY", "any")), None);
        check(&process("httpd", "-f", env("SNS_", "any")), Some("`SNS_`"));
        check(
            &process("httpd", "-f", env("LD_PRELOAD", "x")),
            Some("`LD_PRELOAD`"),
        );
        check(
            &process("httpd", "-f", env("PATH", "root/main")),
            Some("`PATH`"),
        );
        let inherit = |name: &str| StepOptions {
            inherit: vec![name.to_owned()],
            ..StepOptions::default()
        };
        check(&process("httpd", "-f", inherit("PATH")), None);
        check(&process("httpd", "-f", inherit("A")), Some("`A`"));
    }

    #[test]
    fn users_and_working_directories_must_be_declared() {
        let user = |name: &str| StepOptions {
            user: Some(name.to_owned()),
            ..StepOptions::default()
        };
        check(&process("httpd", "-f", user("www")), None);
        check(&process("httpd", "-f", user("root")), Some("`root`"));
        check(&process("podman", "ps --all", user("www")), Some("`www`"));
        let directory = |path: &str| StepOptions {
            working_directory: Some(path.to_owned()),
            ..StepOptions::default()
        };
        check(&process("httpd", "-f", directory("root/main")), None);
        check(&process("httpd", "-f", directory("/srv")), None);
        check(
            &process("httpd", "-f", directory("/srv/../etc")),
            Some("outside"),
        );
        check(
            &process("httpd", "-f", directory("root/../..")),
            Some("outside"),
        );
    }

    #[test]
    fn paths_stay_in_granted_directories() {
        let remove = |path: &str| Step::Remove {
            path: path.to_owned(),
        };
        check(&remove("root"), None);
        check(&remove("root/main"), None);
        for path in ["rooter", "pod", "/root", "root/../pod", "", ".", "./root"] {
            check(&remove(path), Some("not granted"));
        }
        let link = |target: &str| Step::Link {
            path: "root/main/mnt".to_owned(),
            target: target.to_owned(),
        };
        check(&link("config/conf"), None);
        check(&link("/srv"), None);
        check(&link("/etc"), Some("outside"));
        check(&link("../../other"), Some("outside"));
    }

    #[test]
    fn what_is_fed_to_a_program_is_granted_apart() {
        let options = StepOptions {
            stdin: b"evil".to_vec(),
            ..StepOptions::default()
        };
        check(&process("httpd", "-f", options), Some("standard input"));
    }

    #[test]
    fn files_are_written_only_where_files_are_granted() {
        let write = |path: &str| Step::Write {
            path: path.to_owned(),
            content: Vec::new(),
            mode: 0o755,
        };
        check(&write("made/notes"), None);
        check(&write("root/main/httpd"), Some("not granted"));
    }

    #[test]
    fn output_is_kept_where_files_are_granted_and_of_commands_only() {
        let options = |path: &str| StepOptions {
            keep: Some(path.to_owned()),
            ..StepOptions::default()
        };
        let command = |path: &str| Step::Command {
            id: "key".to_owned(),
            program: "httpd".to_owned(),
            args: vec!["-f".to_owned()],
            options: options(path),
        };
        check(&command("made/key"), None);
        for path in ["root/key", "pod", "made/../pod", "/made/key", ""] {
            check(&command(path), Some("not granted"));
        }
        let of_unit = process("httpd", "-f", options("made/key"));
        check(&of_unit, Some("only the output of a command"));
    }

    /// `{NAME}` stands for a secret.
    fn content(text: &str) -> Content {
        let part = |piece: &str| match piece.strip_prefix('{') {
            Some(name) => Part::Secret(name.parse().unwrap()),
            None => Part::Bytes(piece.into()),
        };
        let pieces = text.replace('{', "|{").replace('}', "|");
        let pieces = pieces.split('|').filter(|piece| !piece.is_empty());
        Content(pieces.map(part).collect())
    }

    #[test]
    fn a_secret_is_an_argument_only_where_both_name_and_place_are_granted() {
        let argument = |text: &str| StepOptions {
            arguments: vec![content(text)],
            ..StepOptions::default()
        };
        let in_args = "--user --password=\0secret:db\0";
        let imitated = process("login", in_args, StepOptions::default());
        check(&imitated, Some("holds a NUL"));
        let check = |text: &str, refusal| {
            check(&process("login", "--user", argument(text)), refusal);
        };
        check("--quiet", None);
        check("--password={db}", None);
        check("{db}", Some("not with the arguments"));
        check("--quiet={db}", Some("--quiet={secret:db}"));
        check("--password={tls.key}", Some("--password={secret:tls.key}"));
        check("--password={db}x", Some("not with the arguments"));
        check("--password=\0secret:db\0", Some("holds a NUL"));
        // The place alone is not enough.
        let place = "programs: [{program: login, arguments: ['{secret:db}']}]";
        let step = process("login", "", argument("{db}"));
        check_with(place, &step, Some("the secret `db` is not granted"));
    }

    #[test]
    fn secrets_in_variables_input_and_files_are_granted_by_name() {
        let variable = |name: &str, text: &str| StepOptions {
            variables: vec![(name.to_owned(), content(text))],
            ..StepOptions::default()
        };
        let input = |text: &str| StepOptions {
            input: Some(content(text)),
            ..StepOptions::default()
        };
        let compose = |path: &str, text: &str| Step::Compose {
            path: path.to_owned(),
            content: content(text),
            mode: 0o600,
        };
        let login = |options| process("login", "--user", options);
        for allowed in [
            login(variable("PASSWORD", "a {db} b")),
            login(input("{tls.key}\n{db}")),
            compose("made/config", "password = {db}"),
        ] {
            check(&allowed, None);
        }
        let other = "the secret `other` is not granted";
        for (step, refusal) in [
            (login(variable("PASSWORD", "{other}")), other),
            (login(variable("LD_PRELOAD", "{db}")), "`LD_PRELOAD`"),
            (login(variable("A", "b")), "`A`"),
            (login(variable("PASSWORD", "\0")), "holds a NUL"),
            (login(input("{other}")), other),
            (process("httpd", "-f", input("{db}")), "standard input"),
            (process("httpd", "-f", variable("A", "{db}")), "`A`"),
            (compose("made/config", "{db} {other}"), other),
            (compose("root/config", "{db}"), "`root/config`"),
            (compose("made/../pod", "{db}"), "`made/../pod`"),
        ] {
            check(&step, Some(refusal));
        }
        let attach = Step::Attach {
            program: "login".to_owned(),
            args: vec!["--user".to_owned()],
            options: variable("PASSWORD", "{db}"),
        };
        check(&attach, Some("a person's command"));
    }

    #[test]
    fn signals_have_names() {
        let signal = |name: &str| Step::Signal {
            unit: "main".to_owned(),
            signal: name.to_owned(),
        };
        check(&signal("USR1"), None);
        check(&signal("RTMIN+1"), None);
        check(&signal("9; rm"), Some("not the name of a signal"));
    }
}
