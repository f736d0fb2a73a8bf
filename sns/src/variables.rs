//! Where the value of a `${NAME}` in a pod.yaml comes from: the pod's version, an automatic port, or a
//! line of `cluster-vars.env`. Pure: it asks for values and knows neither files nor the environment.

use std::collections::BTreeSet;

use names::PodName;
use podspec::Diagnostic;

use crate::ports;

/// Sort of a variable, which decides where its value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `${podVersion}`: the version that the pod.yaml itself names.
    PodVersion,
    /// `${HOSTPORTAUTOx}`, `${CLUSTERPORTAUTOx}`: sns chooses.
    AutomaticPort,
    /// The line of this name in `cluster-vars.env`.
    ClusterVars {
        /// The name there.
        name: String,
        /// True when nobody is told that it is missing.
        optional: bool,
    },
}

/// The source of a variable in a pod.yaml of `pod`. Names in capitals belong to the cluster; names that
/// begin with `_` are optional; every other name belongs to the pod and carries its name in front.
pub(crate) fn source(pod: &PodName, variable: &str) -> Source {
    let has_small_letter = variable.bytes().any(|b| b.is_ascii_lowercase());
    if variable == "podVersion" {
        Source::PodVersion
    } else if ports::is_automatic(variable) {
        Source::AutomaticPort
    } else if variable.starts_with('_') {
        Source::ClusterVars {
            name: variable.to_owned(),
            optional: true,
        }
    } else if has_small_letter {
        Source::ClusterVars {
            name: format!("{pod}_{variable}"),
            optional: false,
        }
    } else {
        Source::ClusterVars {
            name: variable.to_owned(),
            optional: variable == "DEVMODE",
        }
    }
}

/// The names in `cluster-vars.env` that a pod wants and that are not there yet.
pub(crate) fn undefined(
    pod: &PodName,
    used: &BTreeSet<String>,
    is_defined: impl Fn(&str) -> bool,
) -> Vec<String> {
    let wanted = used
        .iter()
        .filter_map(|variable| match source(pod, variable) {
            Source::ClusterVars {
                name,
                optional: false,
            } => Some(name),
            _ => None,
        });
    wanted.filter(|name| !is_defined(name)).collect()
}

/// Explains each finding that names a variable which has no value.
pub(crate) fn explain_missing(
    text: &str,
    found: &[Diagnostic],
    explain: impl Fn(&str, &mut Diagnostic),
) -> Vec<Diagnostic> {
    let used = podspec::variables(text);
    let mut found = found.to_vec();
    for problem in &mut found {
        let named = used
            .iter()
            .find(|variable| problem.message.contains(&format!("${{{variable}}}")));
        if let Some(variable) = named {
            explain(variable, problem);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_name() {
        let pod: PodName = "web".parse().unwrap();
        let vars = |name: &str, optional| Source::ClusterVars {
            name: name.to_owned(),
            optional,
        };
        let check = |variable, expected| assert_eq!(source(&pod, variable), expected, "{variable}");
        check("podVersion", Source::PodVersion);
        check("HOSTPORTAUTO1", Source::AutomaticPort);
        check("CLUSTERPORTAUTO2", Source::AutomaticPort);
        check("allowHttp", vars("web_allowHttp", false));
        check("INGRESS_STATS", vars("INGRESS_STATS", false));
        check("DEVMODE", vars("DEVMODE", true));
        check("_internal", vars("_internal", true));
        check("devmode", vars("web_devmode", false));
    }

    #[test]
    fn what_is_still_to_be_defined() {
        let pod: PodName = "web".parse().unwrap();
        let used = [
            "podVersion",
            "HOSTPORTAUTO1",
            "mode",
            "allow",
            "_x",
            "GLOBAL",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(
            undefined(&pod, &used, |name| name == "web_mode"),
            ["GLOBAL", "web_allow"]
        );
    }
}
