//! What every kind of pod has in common, read from the tree of a pod.yaml.
//!
//! One file per noun of the format. Every reader answers with what it could make out and leaves the
//! rest on the list of problems. What is particular to a kind is kept as it stands.

mod expose;
mod ingress;
mod limits;
mod mount;
mod pod;
mod probe;
mod unit;
mod volume;

pub(crate) use pod::pod;
pub(crate) use unit::Settings;
