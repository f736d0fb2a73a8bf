//! The words of a compiled pod for headers of the PROXY protocol.
//!
//! `sendProxy` was a truth value once, and still is where that says all: an older reader has to refuse only those
//! pods whose header it could not send.

use names::{AcceptProxy, SendProxy};

/// `acceptProxy`
pub(crate) const ACCEPT: [(&str, AcceptProxy); 3] = [
    ("optional", AcceptProxy::Optional),
    ("required", AcceptProxy::Required),
    ("never", AcceptProxy::Absent),
];

/// `sendProxy`
pub(crate) const SEND: [(&str, SendProxy); 4] = [
    ("true", SendProxy::V1),
    ("false", SendProxy::None),
    ("v1", SendProxy::V1),
    ("v2", SendProxy::V2),
];

fn of<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    let mut words = words.iter();
    words
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
}

pub(super) mod send {
    use std::fmt;

    use names::SendProxy;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(in crate::compiled) fn serialize<S: Serializer>(
        send: &SendProxy,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match send {
            SendProxy::None => serializer.serialize_bool(false),
            SendProxy::V1 => serializer.serialize_bool(true),
            SendProxy::V2 => serializer.serialize_str("v2"),
        }
    }

    pub(in crate::compiled) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SendProxy, D::Error> {
        deserializer.deserialize_any(Word)
    }

    struct Word;

    impl Visitor<'_> for Word {
        type Value = SendProxy;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false, v1 or v2")
        }

        fn visit_bool<E: Error>(self, wants: bool) -> Result<SendProxy, E> {
            let text = if wants { "true" } else { "false" };
            self.visit_str(text)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<SendProxy, E> {
            super::of(&super::SEND, text)
                .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }
}

pub(super) mod accept {
    use names::AcceptProxy;
    use serde::de::Error;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(in crate::compiled) fn serialize<S: Serializer>(
        accept: &AcceptProxy,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut words = super::ACCEPT.iter();
        let word = words.find(|(_, value)| value == accept);
        serializer.serialize_str(word.map_or("optional", |(word, _)| word))
    }

    pub(in crate::compiled) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<AcceptProxy, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        super::of(&super::ACCEPT, &text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is none of optional, required, never"))
        })
    }
}
