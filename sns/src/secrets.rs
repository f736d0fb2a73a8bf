//! The encrypted configs of the project: who should be able to read them, who is, and the way from the one to the
//! other. What encryption is, is `seal`'s; nothing here prints a secret.

mod audience;
mod check;
mod configs;
mod encrypt;
mod identity;
mod operators;
mod path;

pub(crate) use audience::{audience, recipient};
pub(crate) use check::{Finding, State, check, check_for_host};
pub(crate) use configs::{EncryptedFile, declared, files};
pub(crate) use encrypt::{Change, encrypt, open, put};
pub(crate) use identity::OperatorKey;
pub(crate) use operators::Operators;
pub(crate) use path::SecretPath;
