//! Ingress rules.

use super::unit::{Pod, claim_bind};
use crate::reader::{Fields, Problems, Value};
use crate::{IngressAction, IngressRule, Protocol};

const KEYS: [&str; 11] = [
    "protocol",
    "bind",
    "domain",
    "path",
    "pathBeg",
    "pathEnd",
    "weight",
    "redirectToHttps",
    "redirectLocation",
    "redirectPrefix",
    "errorfile",
];
const PATHS: [&str; 3] = ["path", "pathBeg", "pathEnd"];
const ACTIONS: [&str; 4] = [
    "redirectToHttps",
    "redirectLocation",
    "redirectPrefix",
    "errorfile",
];

/// A port of the ingress, and the rule that wants it.
pub(super) struct Bind<'t> {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) at: Value<'t>,
}

/// The rules of an exposed port.
pub(super) fn rules(
    expose: &Fields<'_>,
    pod: &mut Pod<'_>,
    problems: &mut Problems,
) -> Vec<IngressRule> {
    let items = expose
        .get("ingress")
        .map(|list| list.list("rules", problems))
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| read_rule(item, pod, problems))
        .collect()
}

fn read_rule(item: &Value<'_>, pod: &mut Pod<'_>, problems: &mut Problems) -> Option<IngressRule> {
    let fields = item.fields(&KEYS, problems)?;
    let protocol = read_protocol(&fields, problems);
    let domains = read_domains(&fields, problems);
    let [path, path_beg, path_end] = PATHS.map(|key| read_paths(&fields, key, problems));
    let weight = fields
        .get("weight")
        .and_then(|value| value.number(i32::MIN..=i32::MAX, problems))
        .unwrap_or(100);
    let action = read_action(&fields, problems);
    let protocol = protocol?;
    let bind = read_bind(&fields, protocol, problems);
    if let Some(port) = bind {
        claim_bind(
            pod,
            &Bind {
                port,
                protocol,
                at: item.clone(),
            },
            problems,
        );
    }
    refuse_contradictions(&fields, protocol, action.as_ref(), problems);
    Some(IngressRule {
        protocol,
        bind: bind?,
        domains,
        path,
        path_beg,
        path_end,
        weight,
        action: action?,
    })
}

fn read_protocol(fields: &Fields<'_>, problems: &mut Problems) -> Option<Protocol> {
    let words = Protocol::ALL.map(|protocol| (protocol.as_str(), protocol));
    fields
        .require("protocol", "http, https or tcp", problems)?
        .word(&words, problems)
}

fn read_bind(fields: &Fields<'_>, protocol: Protocol, problems: &mut Problems) -> Option<u16> {
    match (fields.get("bind"), protocol.bind_default()) {
        (Some(value), _) => value.number(1..=u16::MAX, problems),
        (None, Some(port)) => Some(port),
        (None, None) => {
            fields.require(
                "bind",
                "the port that the ingress listens on, because tcp has no usual one",
                problems,
            );
            None
        }
    }
}

fn read_domains(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    const RULE: &str =
        "names of sites with blanks between them, as in www.example.com *.example.org";
    let words = fields
        .get("domain")
        .map(|value| value.words(RULE, problems))
        .unwrap_or_default();
    for (at, word) in words.iter().filter(|(_, word)| !is_domain(word)) {
        problems.push(at.refused(word, RULE));
    }
    words.into_iter().map(|(_, word)| word.to_owned()).collect()
}

fn is_domain(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn read_paths(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Vec<String> {
    let rule = if key == "pathEnd" {
        "ends of paths with blanks between them"
    } else {
        "paths that begin with `/`, with blanks between them"
    };
    let words = fields
        .get(key)
        .map(|value| value.words(rule, problems))
        .unwrap_or_default();
    let is_path = |word: &str| is_line_safe(word) && (key == "pathEnd" || word.starts_with('/'));
    for (at, word) in words.iter().filter(|(_, word)| !is_path(word)) {
        problems.push(at.refused(word, rule));
    }
    words.into_iter().map(|(_, word)| word.to_owned()).collect()
}

/// The action of a rule; a rule without one leads to the unit. None when it could not be read.
fn read_action(fields: &Fields<'_>, problems: &mut Problems) -> Option<IngressAction> {
    const LOCATION_RULE: &str = "an address without blanks, as in https://example.com/";
    let mut given: Vec<(&str, Value<'_>)> = Vec::new();
    for key in ACTIONS {
        let Some(value) = fields.get(key) else {
            continue;
        };
        if key != "redirectToHttps" || value.boolean(problems)? {
            given.push((key, value));
        }
    }
    let address = |value: &Value<'_>, problems: &mut Problems| {
        value
            .text_that(
                LOCATION_RULE,
                |text| !text.is_empty() && is_line_safe(text),
                problems,
            )
            .map(str::to_owned)
    };
    match given.as_slice() {
        [] => Some(IngressAction::Server),
        [("redirectToHttps", _)] => Some(IngressAction::RedirectToHttps),
        [("redirectLocation", value)] => {
            address(value, problems).map(IngressAction::RedirectLocation)
        }
        [("redirectPrefix", value)] => address(value, problems).map(IngressAction::RedirectPrefix),
        [(_, value)] => read_error_file(value, problems),
        [_, (second, _), ..] => {
            let names: Vec<&str> = given.iter().map(|(key, _)| *key).collect();
            let problem = fields.key_error(
                second,
                format!(
                    "a rule does one thing, this one does {}",
                    names.join(" and ")
                ),
            );
            problems.push(problem.expecting("one action per rule"));
            None
        }
    }
}

fn read_error_file(value: &Value<'_>, problems: &mut Problems) -> Option<IngressAction> {
    const RULE: &str = "CODE PATH with a code from 400 to 599, as in 503 /mnt/errors/503.http";
    let text = value.text(RULE, problems)?;
    let parts = text
        .trim()
        .split_once(char::is_whitespace)
        .and_then(|(code, path)| {
            let path = path.trim();
            let code: u16 = code
                .parse()
                .ok()
                .filter(|code| (400..=599).contains(code))?;
            (!path.contains(char::is_whitespace) && is_line_safe(path))
                .then(|| (code, path.to_owned()))
        });
    if parts.is_none() {
        problems.push(value.refused(text, RULE));
    }
    parts.map(|(code, path)| IngressAction::ErrorFile { code, path })
}

/// Each of these words becomes one word of a line in the configuration of the ingress.
fn is_line_safe(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn refuse_contradictions(
    fields: &Fields<'_>,
    protocol: Protocol,
    action: Option<&IngressAction>,
    problems: &mut Problems,
) {
    let given = |keys: &[&'static str]| keys.iter().copied().find(|key| fields.get(key).is_some());
    if let (Some(_), Some(other)) = (fields.get("path"), given(&["pathBeg", "pathEnd"])) {
        let problem = fields.key_error(other, format!("`{other}` cannot stand beside `path`"));
        problems.push(
            problem.expecting(
                "exact paths in `path`, or beginnings and ends in `pathBeg` and `pathEnd`",
            ),
        );
    }
    let is_server = action == Some(&IngressAction::Server);
    if protocol == Protocol::Tcp {
        if let Some(key) = given(&PATHS).or_else(|| given(&ACTIONS).filter(|_| !is_server)) {
            problems.push(fields.key_error(
                key,
                format!("a rule for tcp cannot have `{key}`: it reads no requests"),
            ));
        }
    } else if is_server && given(&PATHS).is_none() {
        let problem = fields.of.error(format!(
            "a rule for {protocol} that leads to the unit says nothing about paths"
        ));
        problems.push(
            problem
                .expecting("path, pathBeg or pathEnd")
                .hinting(Some("add `pathBeg: /` for every path".to_owned())),
        );
    }
    if protocol == Protocol::Https && action == Some(&IngressAction::RedirectToHttps) {
        let problem = fields.key_error(
            "redirectToHttps",
            "a rule for https cannot redirect to https",
        );
        problems.push(problem.expecting("protocol: http"));
    }
}
