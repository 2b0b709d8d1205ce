use std::collections::BTreeSet;

use onlay_oci::{ConfigError, ImageConfiguration, RawObject};
use serde::Serialize;

/// Adds entries to a member of the runtime `config` that is a map, such as `Labels`.
///
/// Entries that are there keep their place and text. Go sorts its maps, so a new entry goes behind the greatest name
/// below it: a base that Go wrote stays sorted, and any other keeps its order.
pub(crate) fn extend_map<'a, T: Serialize + 'a>(
    configuration: &mut ImageConfiguration,
    member: &str,
    entries: impl IntoIterator<Item = (&'a str, T)>,
) -> Result<(), ConfigError> {
    let mut map: RawObject = configuration.runtime_member(member)?.unwrap_or_default();
    let mut sorted: BTreeSet<String> = map.names().map(str::to_owned).collect();
    for (name, value) in entries {
        sorted.insert(name.to_owned());
        let order: Vec<&str> = sorted.iter().map(String::as_str).collect();
        map.set(name, &value, &order)?;
    }
    configuration.set_runtime(member, &map)
}

/// Sets a text of the runtime `config`; an empty one is removed, as Go's `omitempty` does.
pub(crate) fn set_text(
    configuration: &mut ImageConfiguration,
    member: &str,
    text: &str,
) -> Result<(), ConfigError> {
    if text.is_empty() {
        configuration.remove_runtime(member);
        return Ok(());
    }
    configuration.set_runtime(member, &text)
}

/// Sets a list of the runtime `config`; an empty one is removed, as Go's `omitempty` does.
pub(crate) fn set_list(
    configuration: &mut ImageConfiguration,
    member: &str,
    items: &[String],
) -> Result<(), ConfigError> {
    if items.is_empty() {
        configuration.remove_runtime(member);
        return Ok(());
    }
    configuration.set_runtime(member, &items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, entries: &[(&str, &str)], after: &str) {
        let text = format!(r#"{{"config":{{"Labels":{before}}}}}"#);
        let mut configuration = ImageConfiguration::parse(text.as_bytes()).unwrap();
        extend_map(&mut configuration, "Labels", entries.iter().copied()).unwrap();
        let labels: RawObject = configuration.runtime_member("Labels").unwrap().unwrap();
        assert_eq!(String::from_utf8(labels.to_bytes()).unwrap(), after);
    }

    #[test]
    fn new_entries_are_sorted_in_and_old_ones_stay() {
        check("null", &[("b", "1"), ("a", "2")], r#"{"a":"2","b":"1"}"#);
        check(
            r#"{"a":"1","c":"\u003c"}"#,
            &[("b", "2"), ("a", "3")],
            r#"{"a":"3","b":"2","c":"\u003c"}"#,
        );
        check(
            r#"{"z":"1","a":"2"}"#,
            &[("m", "3")],
            r#"{"z":"1","a":"2","m":"3"}"#,
        );
        check(r#"{"a":"1"}"#, &[("b", "2"), ("b", "3")], r#"{"a":"1","b":"3"}"#);
    }
}
