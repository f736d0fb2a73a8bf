//! A tree as plain JSON, for the part of a pod.yaml that only the kind's plugin understands.

use serde_json::{Map, Number, Value};

use super::{Content, Node};

impl Node {
    /// The same as JSON. A plain scalar becomes a number only when the number is written back in the
    /// very same way, so versions and times such as `1.10` or `007` stay texts.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Scalar { text, plain: true } => plain(text),
            Content::Scalar { text, plain: false } => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

fn plain(text: &str) -> Value {
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let whole = text.parse::<i64>().ok().map(Number::from);
    let number = whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    match number.filter(|number| number.to_string() == text) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_numbers_are_numbers() {
        for (text, expected) in [
            ("1", serde_json::json!(1)),
            ("-7", serde_json::json!(-7)),
            ("1.5", serde_json::json!(1.5)),
            ("true", serde_json::json!(true)),
            ("True", serde_json::json!("True")),
            ("1.10", serde_json::json!("1.10")),
            ("007", serde_json::json!("007")),
            ("+1", serde_json::json!("+1")),
            ("1e3", serde_json::json!("1e3")),
            ("nan", serde_json::json!("nan")),
            ("1.0.0", serde_json::json!("1.0.0")),
            (
                "99999999999999999999",
                serde_json::json!("99999999999999999999"),
            ),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
