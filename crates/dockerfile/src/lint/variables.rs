use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::expand::Scope;

/// Variables in the order of their last assignment, in which BuildKit looks through them for suggestions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    values: HashMap<String, (usize, String)>,
    assignments: usize,
}

/// What a line of a stage sees.
pub(crate) struct LineScope<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) globals: &'a Variables,
    pub(crate) build_arguments: &'a BTreeMap<String, String>,
}

impl Variables {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.assignments += 1;
        self.values.insert(name.into(), (self.assignments, value.into()));
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .values
            .iter()
            .map(|(name, (order, _))| (*order, name.as_str()))
            .collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }
}

impl Scope for Variables {
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Borrowed)
    }
}

impl Scope for LineScope<'_> {
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        self.variables.variable(name)
    }

    fn build_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        self.build_arguments
            .get(name)
            .map(|value| Cow::Borrowed(value.as_str()))
    }

    fn global_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        self.globals.variable(name)
    }
}
