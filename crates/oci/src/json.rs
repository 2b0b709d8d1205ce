use std::fmt;

use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON object that keeps the order and the exact text of every member that is not edited.
///
/// Members are kept compact: insignificant white space goes, while numbers (`1.50`), escapes and the order of keys in
/// nested objects stay as they were. An object with two members of one name is refused: readers disagree about which of
/// them counts, and an image must not mean two things.
#[derive(Clone, Debug, Default)]
pub struct RawObject {
    members: Vec<(String, Box<RawValue>)>,
}

impl RawObject {
    /// Parses one object from the whole of `bytes`.
    ///
    /// # Errors
    /// Not JSON, not an object, or a member that appears twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        serde_json::from_slice(bytes).map_err(|source| JsonError { member: None, source })
    }

    /// Makes the object that a value is written as.
    ///
    /// # Errors
    /// `value` cannot be written as JSON, or not as an object.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, JsonError> {
        let bytes = serde_json::to_vec(value).map_err(|source| JsonError { member: None, source })?;
        Self::parse(&bytes)
    }

    /// Reads a member; absent and `null` are both `None`.
    ///
    /// # Errors
    /// The member does not have the shape of `T`; the error names it.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JsonError> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        serde_json::from_str(raw).map_err(|source| JsonError {
            member: Some(name.to_owned()),
            source,
        })
    }

    /// Gives a member's compact JSON text.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.members
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.get())
    }

    /// Lists the names of the members, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// Tells whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Sets a member in place, or puts a new one where `order` has it.
    ///
    /// A new member goes right behind the nearest member that precedes it in `order`, else to the front; one that
    /// `order` does not name goes to the end.
    ///
    /// # Errors
    /// `value` cannot be written as JSON.
    pub fn set<T: Serialize>(&mut self, name: &str, value: &T, order: &[&str]) -> Result<(), JsonError> {
        let raw = serde_json::value::to_raw_value(value).map_err(|source| JsonError {
            member: Some(name.to_owned()),
            source,
        })?;
        if let Some((_, value)) = self.members.iter_mut().find(|(key, _)| key == name) {
            *value = raw;
            return Ok(());
        }
        let position = self.position_of_new(name, order);
        self.members.insert(position, (name.to_owned(), raw));
        Ok(())
    }

    /// Removes a member, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.members.retain(|(key, _)| key != name);
    }

    /// Writes the object compactly.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![b'{'];
        for (index, (name, value)) in self.members.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(value.get().as_bytes());
        }
        bytes.push(b'}');
        bytes
    }

    fn position_of_new(&self, name: &str, order: &[&str]) -> usize {
        let Some(rank) = order.iter().position(|known| *known == name) else {
            return self.members.len();
        };
        let before = order[..rank].iter().rev();
        before
            .filter_map(|known| self.members.iter().position(|(key, _)| key == known))
            .next()
            .map_or(0, |position| position + 1)
    }
}

impl PartialEq for RawObject {
    fn eq(&self, other: &Self) -> bool {
        let members = |object: &Self| -> Vec<(String, String)> {
            object
                .members
                .iter()
                .map(|(name, value)| (name.clone(), value.get().to_owned()))
                .collect()
        };
        members(self) == members(other)
    }
}

impl Serialize for RawObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = RawObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
        let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            if !seen.insert(name.clone()) {
                return Err(de::Error::custom(format!("member `{name}` appears twice")));
            }
            let compact = RawValue::from_string(compact(value.get())).map_err(de::Error::custom)?;
            members.push((name, compact));
        }
        Ok(RawObject { members })
    }
}

/// Drops white space outside strings; `json` is known to be well-formed.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if matches!(character, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = character == '"';
        }
        text.push(character);
    }
    text
}

/// A JSON document or one of its members that does not have the expected shape.
#[derive(Debug, thiserror::Error)]
pub struct JsonError {
    member: Option<String>,
    source: serde_json::Error,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some(member) => write!(f, "member `{member}` is malformed"),
            None => f.write_str("not the JSON object that was expected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(text: &str) -> RawObject {
        RawObject::parse(text.as_bytes()).unwrap()
    }

    fn text(object: &RawObject) -> String {
        String::from_utf8(object.to_bytes()).unwrap()
    }

    #[test]
    fn untouched_members_keep_their_text() {
        let mut edited =
            object(r#"{ "b": 1.50, "a": {"z": "\u003c <", "y": [ 1, 2 ]}, "big": 123456789012345678901 }"#);
        edited.set("new", &true, &[]).unwrap();
        let expected = r#"{"b":1.50,"a":{"z":"\u003c <","y":[1,2]},"big":123456789012345678901,"new":true}"#;
        assert_eq!(text(&edited), expected);
    }

    #[test]
    fn new_members_follow_the_order_given() {
        let order = ["architecture", "author", "config", "os"];
        let mut edited = object(r#"{"architecture":"amd64","os":"linux","x":1}"#);
        edited.set("author", &"a", &order).unwrap();
        edited.set("config", &1, &order).unwrap();
        assert_eq!(
            text(&edited),
            r#"{"architecture":"amd64","author":"a","config":1,"os":"linux","x":1}"#
        );
        edited.remove("architecture");
        edited.set("architecture", &"arm64", &order).unwrap();
        assert!(text(&edited).starts_with(r#"{"architecture":"arm64","author""#));
    }

    #[test]
    fn malformed_objects_are_refused() {
        for bytes in [&b"[]"[..], b"{", b"{} {}", br#"{"a":1,"a":2}"#, b"\xff", b"null"] {
            assert!(RawObject::parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(object(r#"{"a":"x"}"#).get::<u64>("a").is_err());
        assert_eq!(object(r#"{"a":null}"#).get::<u64>("a").unwrap(), None);
    }

    proptest! {
        #[test]
        fn an_edit_undone_gives_the_same_bytes(keys in proptest::collection::btree_set("[a-z\"\\\\é]{1,6}", 0..6), n in any::<i64>()) {
            let source = serde_json::to_string(
                &keys.iter().map(|key| (key.clone(), n)).collect::<std::collections::BTreeMap<_, _>>(),
            ).unwrap();
            let before = object(&source);
            let mut after = before.clone();
            after.set("NEW", &1, &[]).unwrap();
            after.remove("NEW");
            prop_assert_eq!(after.to_bytes(), before.to_bytes());
        }
    }
}
