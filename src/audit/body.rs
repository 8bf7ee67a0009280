//! A webhook body, read for the audit apart from the door's own reader: only what a proof rests on,
//! and as forgiving as the door is about everything else, however odd.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What a proof looks at, in the shape of the body; `None` where it is no event.
pub fn read(body: &[u8]) -> Option<Value> {
    let Body { id, kind, data } = serde_json::from_slice(body).ok()?;
    let data = data.unwrap_or_default();
    Some(json!({
        "id": id.0,
        "type": kind.0,
        "data": {
            "id": data.id.0,
            "session_id": data.session_id.0,
            "user_reference": data.user_reference.0,
            "amount": data.amount.0,
            "currency": data.currency.0,
            "tx_refid": data.tx_refid.0,
        },
    }))
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: Text,
    #[serde(default, rename = "type")]
    kind: Text,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    id: Text,
    session_id: Text,
    user_reference: Text,
    amount: Text,
    currency: Text,
    tx_refid: Text,
}

/// A text, or a whole number as its digits; everything else is nothing.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(match serde_json::from_str(written.get()) {
            Ok(Value::String(text)) => Some(text),
            Ok(Value::Number(number)) => number.as_u64().map(|whole| whole.to_string()),
            Ok(_) | Err(_) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_body_is_read_as_the_door_reads_it() {
        let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
        for metadata in [deep.as_str(), r#"{"x":1e999}"#, r#""\ud800""#] {
            let body = format!(
                r#"{{"id":777,"type":"gate_session.completed","data":{{"id":12345,"amount":{metadata},"metadata":{metadata}}}}}"#
            );
            let read = read(body.as_bytes()).unwrap_or_else(|| panic!("{metadata}"));
            assert_eq!(read["id"], "777");
            assert_eq!(read["data"]["id"], "12345");
        }
    }
}
