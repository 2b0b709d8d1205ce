use serde::{Deserialize, Serialize};

/// The `Env` member: `KEY=value` entries in the order in which they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Environment(Vec<String>);

impl Environment {
    /// Replaces the first entry of this name where it stands, or appends a new one.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        match self.0.iter_mut().find(|entry| split(entry).0 == name) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|entry| split(entry).0 == name)
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        let pair = |entry: &String| {
            let (name, value) = split(entry);
            (name.to_owned(), value.to_owned())
        };
        self.0.iter().map(pair).collect()
    }
}

/// An entry without `=`, which only hand-made configurations have, is a name without a value.
fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_replaced_in_place_or_appended() {
        let check = |before: &[&str], name: &str, value: &str, after: &[&str]| {
            let owned =
                |entries: &[&str]| Environment(entries.iter().map(|&entry| entry.to_owned()).collect());
            let mut environment = owned(before);
            environment.set(name, value);
            assert_eq!(environment, owned(after));
            assert!(environment.contains(name));
        };
        check(&[], "A", "1", &["A=1"]);
        check(&["A=1", "B=2"], "A", "x=y", &["A=x=y", "B=2"]);
        check(&["A=1"], "a", "2", &["A=1", "a=2"]);
        check(&["A=1", "A=2"], "A", "3", &["A=3", "A=2"]);
        check(&["BARE", "B=2"], "C", "", &["BARE", "B=2", "C="]);
        check(&["BARE"], "BARE", "1", &["BARE=1"]);
        check(&["AB=1"], "A", "2", &["AB=1", "A=2"]);
    }
}
