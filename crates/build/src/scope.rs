use std::borrow::Cow;
use std::collections::BTreeMap;

use onlay_dockerfile::{ExpandedArg, Scope};

/// The variables of one stage, with BuildKit's order of precedence: of ENV and ARG the later assignment wins, and of
/// ARG's values the one given from outside.
///
/// Source: dockerfile.md §1.6 (BuildKit, executed).
#[derive(Clone, Debug, Default)]
pub(crate) struct StageScope {
    /// What expansion and RUN see: the image's environment, overwritten by ENV and ARG in the order of the lines.
    values: BTreeMap<String, String>,
    /// ARGs of this stage and those it stands on, in the order of their declaration.
    arguments: Vec<(String, Option<String>)>,
    build_arguments: BTreeMap<String, String>,
    global_arguments: BTreeMap<String, String>,
}

/// Arguments that need no ARG, and are neither kept in the history nor part of what a build is.
///
/// Source: Dockerfile reference, "Predefined ARGs".
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Runtimes take HOME from the image's passwd; every distribution has this for root, and only root's lines are
/// interpreted.
pub(crate) const HOME_OF_ROOT: &str = "/root";

impl StageScope {
    /// Starts a stage on an image.
    pub(crate) fn new(
        environment: &[(String, String)],
        build_arguments: &BTreeMap<String, String>,
        global_arguments: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            values: environment.iter().cloned().collect(),
            arguments: Vec::new(),
            build_arguments: build_arguments.clone(),
            global_arguments: global_arguments.clone(),
        }
    }

    /// An ENV: expansion sees it from the next line on.
    pub(crate) fn set_environment(&mut self, variables: &[(String, String)]) {
        self.values.extend(variables.iter().cloned());
    }

    /// An ARG, with the values that expansion found for it.
    pub(crate) fn declare(&mut self, arguments: &[ExpandedArg]) {
        for ExpandedArg { name, value } in arguments {
            if let Some(value) = value {
                self.values.insert(name.clone(), value.clone());
            }
            match self.arguments.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => self.arguments.push((name.clone(), value.clone())),
            }
        }
    }

    /// The ARGs as RUN's history lists them: with what a variable of that name has by now, be it from a later ENV, and
    /// empty where none has a value.
    pub(crate) fn arguments(&self) -> Vec<(String, String)> {
        let current = |name: &String| self.values.get(name).cloned().unwrap_or_default();
        let names = self.arguments.iter().map(|(name, _)| name);
        names.map(|name| (name.clone(), current(name))).collect()
    }

    fn arguments_with_values(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let with_value = |(name, value): &(String, Option<String>)| Some((name.clone(), value.clone()?));
        self.arguments.iter().filter_map(with_value)
    }

    /// The environment of a RUN: the image's, in its order, with ARGs over it or behind it, and proxies given from
    /// outside in both spellings.
    pub(crate) fn run_environment(&self, image: &[(String, String)], home: &str) -> Vec<(String, String)> {
        let current = |name: &String, value: &String| self.values.get(name).unwrap_or(value).clone();
        let mut environment: Vec<(String, String)> = image
            .iter()
            .map(|(name, value)| (name.clone(), current(name, value)))
            .collect();
        if !environment.iter().any(|(name, _)| name == "HOME") {
            environment.push(("HOME".to_owned(), home.to_owned()));
        }
        let proxies = self
            .build_arguments
            .iter()
            .filter(|(name, _)| is_proxy(name))
            .flat_map(|(name, value)| {
                [name.to_ascii_lowercase(), name.to_ascii_uppercase()].map(|name| (name, value.clone()))
            });
        for (name, value) in self.arguments_with_values().chain(proxies) {
            if !environment.iter().any(|(known, _)| *known == name) {
                environment.push((name, value));
            }
        }
        environment
    }
}

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

impl Scope for StageScope {
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        self.values.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }

    fn build_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        self.build_arguments
            .get(name)
            .map(|value| Cow::Borrowed(value.as_str()))
    }

    fn global_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        self.global_arguments
            .get(name)
            .map(|value| Cow::Borrowed(value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_later_of_env_and_arg_wins() {
        let mut scope = StageScope::new(
            &pairs(&[("A", "image"), ("B", "image")]),
            &BTreeMap::new(),
            &BTreeMap::new(),
        );
        scope.declare(&[ExpandedArg {
            name: "A".to_owned(),
            value: Some("arg".to_owned()),
        }]);
        scope.set_environment(&pairs(&[("B", "env")]));
        scope.declare(&[ExpandedArg {
            name: "C".to_owned(),
            value: None,
        }]);
        assert_eq!(scope.variable("A").as_deref(), Some("arg"));
        assert_eq!(scope.variable("B").as_deref(), Some("env"));
        assert_eq!(scope.variable("C"), None);
        let environment = scope.run_environment(&pairs(&[("A", "image"), ("B", "env")]), HOME_OF_ROOT);
        assert_eq!(
            environment,
            pairs(&[("A", "arg"), ("B", "env"), ("HOME", "/root")])
        );
        assert_eq!(scope.arguments(), pairs(&[("A", "arg"), ("C", "")]));
        scope.set_environment(&pairs(&[("A", "later")]));
        assert_eq!(scope.arguments(), pairs(&[("A", "later"), ("C", "")]));
    }

    #[test]
    fn proxies_reach_run_but_not_the_history() {
        let given = pairs(&[("HTTP_PROXY", "p")]).into_iter().collect();
        let scope = StageScope::new(&[], &given, &BTreeMap::new());
        let expected = pairs(&[("HOME", "/root"), ("http_proxy", "p"), ("HTTP_PROXY", "p")]);
        assert_eq!(scope.run_environment(&[], HOME_OF_ROOT), expected);
        assert!(scope.arguments().is_empty());
    }
}
