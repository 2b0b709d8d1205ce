use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::variables::Variables;
use crate::diagnostic::Diagnostics;
use crate::dockerfile::Dockerfile;
use crate::evaluate::Evaluation;

/// What FROM sees: the predefined arguments and the ARGs in front of the first FROM.
pub(crate) struct Globals {
    pub(crate) variables: Variables,
    /// The ARGs, those without a value included.
    pub(crate) declared: BTreeMap<String, Argument>,
}

/// An ARG of the file.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub(crate) value: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) lines: RangeInclusive<usize>,
    /// The names that its default refers to.
    pub(crate) needs: BTreeSet<String>,
}

impl Globals {
    /// Gives the ARGs their values; the predefined arguments have theirs already.
    pub(crate) fn new(
        dockerfile: &Dockerfile,
        predefined: Variables,
        build_arguments: &BTreeMap<String, String>,
    ) -> Result<Self, Diagnostics> {
        let mut globals = Self {
            variables: predefined,
            declared: BTreeMap::new(),
        };
        for arg in &dockerfile.global_args {
            for definition in &arg.value.arguments {
                let name = &definition.name.value;
                let (mut value, mut needs) = (build_arguments.get(name).cloned(), BTreeSet::new());
                if let (None, Some(default)) = (&value, &definition.default) {
                    let mut evaluation = Evaluation::new(&globals.variables, arg.escape, &arg.source);
                    value = evaluation.word(default);
                    needs.extend(
                        evaluation
                            .lookups
                            .drain(..)
                            .filter(|lookup| lookup.is_set)
                            .map(|lookup| lookup.name),
                    );
                    evaluation.report.finish(())?;
                }
                if let (true, Some(earlier)) = (needs.remove(name), globals.declared.get(name)) {
                    needs.extend(earlier.needs.iter().cloned());
                }
                if let Some(value) = &value {
                    globals.variables.set(name, value);
                }
                let description = arg.description_of(name).map(str::to_owned);
                let argument = Argument {
                    value,
                    description,
                    lines: arg.lines(),
                    needs,
                };
                globals.declared.insert(name.clone(), argument);
            }
        }
        Ok(globals)
    }

    /// The names that FROM may use.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let declared = self.declared.keys().map(String::as_str);
        self.variables.names().into_iter().chain(declared)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.declared.contains_key(name) || self.variables.get(name).is_some()
    }
}
