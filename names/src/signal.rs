//! The signals that a unit can be sent, by name.
//!
//! Numbers differ between architectures, so they are not known here: whoever sends a signal gets its
//! number from the operating system.

use std::fmt;
use std::str::FromStr;

/// Declares the signals with their words, so that none can be in one list only.
macro_rules! signals {
    ($($name:ident $word:literal),+ $(,)?) => {
        /// A signal that a unit can be sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SignalName {
            $(
                #[doc = concat!("`SIG", $word, "`")]
                $name,
            )+
        }

        impl SignalName {
            /// All signals, in the order of their usual numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name without `SIG`, in upper case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

signals! {
    Hup "HUP", Int "INT", Quit "QUIT", Ill "ILL", Trap "TRAP", Abrt "ABRT", Bus "BUS", Fpe "FPE",
    Kill "KILL", Usr1 "USR1", Segv "SEGV", Usr2 "USR2", Pipe "PIPE", Alrm "ALRM", Term "TERM",
    Chld "CHLD", Cont "CONT", Stop "STOP", Tstp "TSTP", Ttin "TTIN", Ttou "TTOU", Urg "URG",
    Xcpu "XCPU", Xfsz "XFSZ", Vtalrm "VTALRM", Prof "PROF", Winch "WINCH", Io "IO", Pwr "PWR",
    Sys "SYS",
}

/// Why a text is not a signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a signal: expected a name like HUP, USR1 or TERM")]
pub struct SignalError(String);

/// With or without `SIG`, in upper or lower case.
///
/// ```
/// use names::SignalName;
///
/// assert_eq!("sighup".parse(), Ok(SignalName::Hup));
/// assert_eq!("USR1".parse(), Ok(SignalName::Usr1));
/// assert!("HUPP".parse::<SignalName>().is_err());
/// ```
impl FromStr for SignalName {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let found = Self::ALL.iter().find(|signal| signal.as_str() == name);
        found.copied().ok_or_else(|| SignalError(text.to_owned()))
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

crate::serde_as_text!(SignalName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_in_every_form() {
        for &signal in SignalName::ALL {
            let name = signal.to_string();
            assert_eq!(name.parse(), Ok(signal));
            assert_eq!(format!("SIG{name}").parse(), Ok(signal));
            assert_eq!(format!("sig{}", name.to_lowercase()).parse(), Ok(signal));
        }
        for text in ["", "SIG", "SIGSIGHUP", "HUP ", "9"] {
            assert_eq!(
                text.parse::<SignalName>(),
                Err(SignalError(text.to_owned()))
            );
        }
    }
}
