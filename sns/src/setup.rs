//! Setting up hosts: what is so (`facts`, by the probe), what should be so, and the plan between them, which a person
//! reads before it is carried out.
//!
//! ```text
//! probe → Facts ┐
//! host.env, keys ┴→ plan: packages, users, kernel, programs, firewall → steps → act, as root
//! ```
//!
//! Planners are pure; `act` is the only place that talks to a host, `keys` the only one that makes files here. Knows
//! nothing of pods but the ports that they want.

mod account;
mod act;
mod facts;
mod firewall;
mod install;
mod kernel;
mod keys;
mod network;
mod packages;
mod programs;
mod root_login;
mod step;
mod subordinate;
mod superuser;
pub(crate) mod wanted;

pub(crate) use account::{Account, user_name};
pub(crate) use act::{Question, Root};
pub(crate) use install::{Impossible, Wanted, files as files_of_install, plan as plan_install};
pub(crate) use keys::KeyPair;
pub(crate) use root_login::plan as plan_root_login;
pub(crate) use step::Plan;
pub(crate) use superuser::{plan as plan_superuser, sudoers_file};
pub(crate) use wanted::wanted;
