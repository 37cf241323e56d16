//! Evidence as rules pass it: an object like any other, so that facts offer it and rules list it.
//!
//! Refuses to know what is good evidence.

use super::value::{Object, Value};
use crate::verdict::Evidence;

impl Object for Evidence {
    fn get(&self, field: usize) -> Value {
        match field {
            0 => Value::text(self.label.as_str()),
            1 => Value::text(self.source.as_str()),
            2 => Value::text(self.pointer.as_str()),
            3 => self.document.as_ref().map_or(Value::Null, |digest| Value::text(digest.to_string())),
            _ => Value::Json(std::sync::Arc::new(self.value.clone())),
        }
    }
}

/// So many pieces of evidence a finding keeps: policies can be written to have thousands.
const MOST: usize = 200;

/// What a finding keeps of a list of evidence, with how many there are besides.
pub(super) fn shown(list: &[Value]) -> Vec<Evidence> {
    let mut shown: Vec<Evidence> = list.iter().take(MOST).filter_map(parse).collect();
    let more = list.len().saturating_sub(MOST);
    if more > 0 {
        shown.push(Evidence {
            label: format!("{more} more like these are not shown"),
            document: None,
            source: "the same policies".to_owned(),
            pointer: String::new(),
            value: serde_json::Value::Null,
        });
    }
    shown
}

/// Back from the object to what a finding keeps.
pub(super) fn parse(value: &Value) -> Option<Evidence> {
    if let Some(evidence) = value.downcast::<Evidence>() {
        return Some(evidence.clone());
    }
    let Value::Object(object) = value else { return None };
    let text = |field| object.get(field).as_str().map(str::to_owned).unwrap_or_default();
    Some(Evidence {
        label: text(0),
        source: text(1),
        pointer: text(2),
        document: object.get(3).as_str().and_then(|digest| digest.parse().ok()),
        value: object.get(4).to_json(),
    })
}
