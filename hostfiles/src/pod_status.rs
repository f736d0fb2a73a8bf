//! `.pod.status`: what has become of a release, written by its driver, read by `ps`, `readiness` and sync.
//!
//! `key: value` lines in the original's order, then one list item per unit below `containers:`, whatever
//! kind the units are of. `message`, `action`, `actionResult` and the `pid` of a unit are ours. Unknown keys are skipped, because
//! programs of several versions read the file; a value never spans lines.

mod json;

use std::collections::BTreeMap;
use std::fmt;

use names::HostPort;

use crate::{Format, FormatError, PodVerb};

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PodPhase {
    /// Made, not started.
    Created,
    /// Units are being started, or a start failed and is tried again.
    Starting,
    /// All units have been started.
    Running,
    /// Stopped; what it made is kept.
    Exited,
    /// Removed.
    Removed,
}

impl PodPhase {
    /// All phases.
    pub const ALL: [Self; 5] = [
        Self::Created,
        Self::Starting,
        Self::Running,
        Self::Exited,
        Self::Removed,
    ];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for PodPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What has become of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodStatus {
    /// Pod and version, as in `web-1.0.0`.
    pub pod: String,
    /// The version; empty when a foreign pod does not say it.
    pub pod_version: String,
    /// All host ports of the pod.
    pub host_ports: Vec<HostPort>,
    /// When the pod was made, in Unix seconds.
    pub created: Option<u64>,
    /// When its units were last started, in Unix seconds.
    pub started: Option<u64>,
    /// When this was written, in Unix seconds.
    pub updated: u64,
    /// Where the release stands.
    pub status: PodPhase,
    /// The process that drives it.
    pub pid: Option<u32>,
    /// Whether it may get traffic.
    pub readiness: bool,
    /// What a person should know, in one line; empty when there is nothing.
    pub message: String,
    /// The last request by hand, and what has become of it.
    pub action: Option<ActionStatus>,
    /// Its units, in their order.
    pub units: Vec<UnitStatus>,
}

/// What has become of a request by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionStatus {
    /// The id of the request; `-` when it had none.
    pub id: String,
    /// What was asked for.
    pub verb: PodVerb,
    /// None while it is under way; an error is a line for people.
    pub outcome: Option<Result<(), String>>,
}

impl ActionStatus {
    /// The words in the file for a request that succeeded, and before the reason of one that failed.
    const DONE: &'static str = "done";
    const FAILED: &'static str = "failed";

    /// A verb that is not known here was asked of another version, and says nothing.
    fn parse(action: &str, result: &str) -> Option<Self> {
        let (id, verb) = action.split_once(' ')?;
        let outcome = match result.strip_prefix(Self::FAILED) {
            Some(why) => Some(Err(why.trim().to_owned())),
            None => (result == Self::DONE).then_some(Ok(())),
        };
        Some(Self {
            id: id.to_owned(),
            verb: PodVerb::parse(verb.trim())?,
            outcome,
        })
    }

    fn print(&self, lines: &mut Printer) {
        lines.line("action", &format!("{} {}", self.id, self.verb));
        match &self.outcome {
            None => {}
            Some(Ok(())) => lines.line("actionResult", Self::DONE),
            Some(Err(why)) => lines.line("actionResult", &format!("{} {why}", Self::FAILED)),
        }
    }
}

/// What has become of one unit: a container, a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitStatus {
    /// Its name in the pod.
    pub name: String,
    /// Its name for the runtime, as in `main-web-1.0.0`.
    pub container: String,
    /// Its image; for a process its program.
    pub image: String,
    /// Whether the image is there; none when there are no images in this kind of pod.
    pub image_exists: Option<bool>,
    /// Its restart policy.
    pub restart: String,
    /// `source:dest:options`, separated by spaces.
    pub mounts: String,
    /// `[IP:]hostPort:targetPort`, separated by spaces.
    pub ports: String,
    /// Its network.
    pub network: String,
    /// How often it was started.
    pub start_count: u32,
    /// running, exited, created or non-existent.
    pub status: String,
    /// Its process.
    pub pid: Option<u32>,
    /// How it ended, when it does not run and that is known.
    pub exit_code: Option<i32>,
}

impl Format for PodStatus {
    const NAME: &'static str = ".pod.status";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut sections = Sections::of(text)?.0.into_iter();
        let head = sections.next().unwrap_or_default();
        let ports = head.text("hostPorts");
        Ok(Self {
            pod: head.required("pod")?,
            pod_version: head.text("podVersion"),
            host_ports: ports
                .split_whitespace()
                .map(|port| {
                    port.parse().map_err(|_| {
                        FormatError::whole::<Self>(port, "host ports, separated by spaces")
                    })
                })
                .collect::<Result<_, _>>()?,
            created: head.number("created")?,
            started: head.number("started")?,
            updated: head.number("updated")?.unwrap_or(0),
            status: phase(&head.required("status")?)?,
            pid: head.number("pid")?,
            readiness: head.text("readiness") == "1",
            message: head.text("message"),
            action: ActionStatus::parse(&head.text("action"), &head.text("actionResult")),
            units: sections
                .map(|section| section.unit())
                .collect::<Result<_, _>>()?,
        })
    }

    fn to_text(&self) -> String {
        let mut lines = Printer::default();
        lines.line("pod", &self.pod);
        lines.line("podVersion", &self.pod_version);
        let ports: Vec<String> = self.host_ports.iter().map(ToString::to_string).collect();
        lines.line("hostPorts", &ports.join(" "));
        lines.line("created", &or_empty(self.created));
        lines.line("started", &or_empty(self.started));
        lines.line("updated", &self.updated.to_string());
        lines.line("status", self.status.as_str());
        lines.line("pid", &or_empty(self.pid));
        lines.line("readiness", if self.readiness { "1" } else { "0" });
        if !self.message.is_empty() {
            lines.line("message", &self.message);
        }
        if let Some(action) = &self.action {
            action.print(&mut lines);
        }
        lines.line("containers", "");
        for unit in &self.units {
            unit.print(&mut lines);
        }
        lines.text
    }
}

impl UnitStatus {
    fn print(&self, lines: &mut Printer) {
        lines.indent = "    - ";
        lines.line("name", &self.name);
        lines.indent = "      ";
        lines.line("container", &self.container);
        lines.line("image", &self.image);
        lines.line("imageExists", &or_empty(self.image_exists));
        lines.line("restart", &self.restart);
        lines.line("mounts", &self.mounts);
        lines.line("ports", &self.ports);
        lines.line("network", &self.network);
        lines.line("startCount", &self.start_count.to_string());
        lines.line("status", &self.status);
        if let Some(pid) = self.pid {
            lines.line("pid", &pid.to_string());
        }
        if let Some(code) = self.exit_code {
            lines.line("exitCode", &code.to_string());
        }
    }
}

fn or_empty<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn phase(word: &str) -> Result<PodPhase, FormatError> {
    PodPhase::ALL
        .into_iter()
        .find(|phase| phase.as_str() == word)
        .ok_or_else(|| {
            FormatError::whole::<PodStatus>(
                word,
                "`status:` created, starting, running, exited or removed",
            )
        })
}

#[derive(Default)]
struct Printer {
    text: String,
    indent: &'static str,
}

impl Printer {
    /// A value is one line and begins and ends with what can be seen.
    fn line(&mut self, key: &str, value: &str) {
        let value = value.replace(char::is_control, " ");
        let line = format!("{}{key}: {}", self.indent, value.trim());
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// The keys of the head or of one unit, each with its line.
#[derive(Default)]
struct Section<'a>(BTreeMap<&'a str, (usize, &'a str)>);

/// The head, then one section per unit.
struct Sections<'a>(Vec<Section<'a>>);

impl<'a> Sections<'a> {
    fn of(text: &'a str) -> Result<Self, FormatError> {
        let mut sections = vec![Section::default()];
        for (number, line) in (1..).zip(text.lines()) {
            let mut line = line.trim();
            if line.is_empty() {
                continue;
            }
            if let Some(first) = line.strip_prefix("- ") {
                sections.push(Section::default());
                line = first.trim_start();
            }
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| FormatError::at::<PodStatus>(number, line, "`key: value`"))?;
            if let Some(section) = sections.last_mut() {
                section.0.entry(key).or_insert((number, value.trim()));
            }
        }
        Ok(Self(sections))
    }
}

impl Section<'_> {
    fn text(&self, key: &str) -> String {
        self.0
            .get(key)
            .map(|(_, value)| (*value).to_owned())
            .unwrap_or_default()
    }

    fn required(&self, key: &str) -> Result<String, FormatError> {
        Some(self.text(key))
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                FormatError::whole::<PodStatus>(
                    &format!("no `{key}`"),
                    format!("a line `{key}: …`"),
                )
            })
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, FormatError> {
        match self.0.get(key) {
            Some((line, value)) if !value.is_empty() => match value.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(FormatError::at::<PodStatus>(
                    *line,
                    value,
                    format!("a number behind `{key}:`"),
                )),
            },
            _ => Ok(None),
        }
    }

    fn unit(&self) -> Result<UnitStatus, FormatError> {
        Ok(UnitStatus {
            name: self.required("name")?,
            container: self.text("container"),
            image: self.text("image"),
            image_exists: self.text("imageExists").parse().ok(),
            restart: self.text("restart"),
            mounts: self.text("mounts"),
            ports: self.text("ports"),
            network: self.text("network"),
            start_count: self.number("startCount")?.unwrap_or(0),
            status: self.text("status"),
            pid: self.number("pid")?,
            exit_code: self.number("exitCode")?,
        })
    }
}
