use std::collections::BTreeSet;
use std::fmt;

/// What a token is good for: actions on resources, such as `repository:team/app:pull,push`.
///
/// Source: distribution "Token Scope Documentation".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<Scope>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    /// Type and name, which may have colons in it.
    resource: String,
    actions: BTreeSet<String>,
}

impl Scopes {
    /// Reads scopes apart by spaces. Whatever they look like, the registry has its reasons.
    pub(crate) fn parse(text: &str) -> Self {
        let scopes = text.split_whitespace().map(|word| match word.rsplit_once(':') {
            Some((resource, actions)) => Scope {
                resource: resource.to_owned(),
                actions: actions.split(',').map(str::to_owned).collect(),
            },
            None => Scope {
                resource: word.to_owned(),
                actions: BTreeSet::new(),
            },
        });
        scopes.fold(Self::default(), Self::with)
    }

    /// Tells whether a token for these serves a request that needs those.
    pub(crate) fn covers(&self, needed: &Self) -> bool {
        needed.0.iter().all(|needed| {
            let own = self.0.iter().find(|own| own.resource == needed.resource);
            own.is_some_and(|own| own.actions.contains("*") || own.actions.is_superset(&needed.actions))
        })
    }

    /// Both together.
    pub(crate) fn union(&self, others: &Self) -> Self {
        others.0.iter().cloned().fold(self.clone(), Self::with)
    }

    /// These, with whatever else the others may do to the same resources.
    pub(crate) fn widened(&self, others: &Self) -> Self {
        let same = |other: &&Scope| self.0.iter().any(|own| own.resource == other.resource);
        others
            .0
            .iter()
            .filter(same)
            .cloned()
            .fold(self.clone(), Self::with)
    }

    /// Each on its own. What is pushed to comes first, since some servers read only the first scope (registry.md §1.1).
    pub(crate) fn texts(&self) -> Vec<String> {
        let (pushed, others): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .partition(|scope| scope.actions.contains("push") || scope.actions.contains("*"));
        let text = |scope: &Scope| {
            let actions: Vec<&str> = scope.actions.iter().map(String::as_str).collect();
            match actions.is_empty() {
                true => scope.resource.clone(),
                false => format!("{}:{}", scope.resource, actions.join(",")),
            }
        };
        pushed.into_iter().chain(others).map(text).collect()
    }

    fn with(mut self, scope: Scope) -> Self {
        let known = self.0.iter_mut().find(|own| own.resource == scope.resource);
        match known {
            Some(own) => own.actions.extend(scope.actions),
            None => self.0.push(scope),
        }
        self
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_merged_by_resource_and_what_is_pushed_to_comes_first() {
        let cases = [
            ("", ""),
            ("repository:a:pull", "repository:a:pull"),
            ("repository:a:push,pull", "repository:a:pull,push"),
            ("repository:a:pull repository:a:push", "repository:a:pull,push"),
            (
                "repository:b:pull  repository:h:5000/a:push",
                "repository:h:5000/a:push repository:b:pull",
            ),
            ("registry:catalog:* odd", "registry:catalog:* odd"),
        ];
        for (text, expected) in cases {
            assert_eq!(Scopes::parse(text).to_string(), expected, "`{text}`");
        }
    }

    #[test]
    fn more_covers_less() {
        let cases = [
            ("repository:a:pull,push", "repository:a:pull", true),
            ("repository:a:pull", "repository:a:pull,push", false),
            ("repository:a:*", "repository:a:pull,push", true),
            ("repository:a:pull repository:b:pull", "repository:b:pull", true),
            ("repository:a:pull", "repository:a:pull repository:b:pull", false),
            ("repository:a:pull", "", true),
            ("", "repository:a:pull", false),
        ];
        for (own, needed, covered) in cases {
            let covers = Scopes::parse(own).covers(&Scopes::parse(needed));
            assert_eq!(covers, covered, "`{own}` `{needed}`");
        }
    }

    #[test]
    fn widening_adds_nothing_of_other_resources() {
        let needed = Scopes::parse("repository:a:pull repository:c:pull");
        let held = Scopes::parse("repository:a:pull,push repository:b:pull");
        let widened = "repository:a:pull,push repository:c:pull";
        assert_eq!(needed.widened(&held).to_string(), widened);
        let all = format!("{widened} repository:b:pull");
        assert_eq!(needed.union(&held).to_string(), all);
    }
}
