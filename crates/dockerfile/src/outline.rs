use std::collections::BTreeSet;

use serde::Serialize;

use crate::diagnostic::Diagnostics;
use crate::dockerfile::Dockerfile;
use crate::json_result::{self, Location};
use crate::lint::{self, LintError, LintOptions, LintedStages, StageBase, Walk};
use crate::table;

/// What can be given to the build of one target, as `--call=outline` shows it.
///
/// It serialises as BuildKit's result does. Of cache mounts nothing is told, as in BuildKit.
#[derive(Serialize)]
pub struct Outline {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<OutlinedArg>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<OutlinedNeed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<OutlinedNeed>,
    sources: Vec<String>,
}

/// An ARG that the target or a stage under it uses.
#[derive(Serialize)]
struct OutlinedArg {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    location: Location,
}

/// A secret or an SSH agent.
#[derive(Serialize)]
struct OutlinedNeed {
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Location,
}

/// Why there is no outline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutlineError {
    /// There is no such target.
    #[error(transparent)]
    Lint(#[from] LintError),
    /// The Dockerfile cannot be built with these arguments.
    #[error(transparent)]
    Diagnostics(#[from] Diagnostics),
}

/// Collects the arguments, secrets and SSH agents that the target and the stages under it use.
///
/// # Errors
///
/// A target that does not exist, and what makes the build impossible with these arguments.
pub fn outline(dockerfile: &Dockerfile, options: &LintOptions<'_>) -> Result<Outline, OutlineError> {
    let options = LintOptions {
        stages: LintedStages::Needed,
        ..*options
    };
    let target = lint::find_target(dockerfile, options.target)?;
    let walk = lint::walk_silently(dockerfile, target, &options)?;
    let mut collected = Collected::default();
    collected.visit(target, &walk);
    let stage = &dockerfile.stages[target];
    let name = stage
        .from
        .value
        .name
        .as_ref()
        .map(|name| name.value.clone())
        .unwrap_or_default();
    let description = stage.description().unwrap_or_default().to_owned();
    let sources = vec![json_result::encoded(&dockerfile.source)];
    Ok(collected.finish(Outline {
        name,
        description,
        args: Vec::new(),
        secrets: Vec::new(),
        ssh: Vec::new(),
        sources,
    }))
}

impl Outline {
    /// The tables that `--call=outline` shows, each with an empty line behind it.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if !self.name.is_empty() || !self.description.is_empty() {
            let name = if self.name.is_empty() {
                "(default)"
            } else {
                &self.name
            };
            let mut rows = vec![vec!["TARGET:", name]];
            rows.extend((!self.description.is_empty()).then(|| vec!["DESCRIPTION:", &self.description]));
            text += &(table::render(&rows, 1) + "\n");
        }
        if !self.args.is_empty() {
            let mut rows = vec![vec!["BUILD ARG", "VALUE", "DESCRIPTION"]];
            rows.extend(
                self.args
                    .iter()
                    .map(|arg| vec![arg.name.as_str(), &arg.value, &arg.description]),
            );
            text += &(table::render(&rows, 3) + "\n");
        }
        for (title, needs) in [("SECRET", &self.secrets), ("SSH", &self.ssh)] {
            if !needs.is_empty() {
                let mut rows = vec![vec![title, "REQUIRED"]];
                rows.extend(
                    needs
                        .iter()
                        .map(|need| vec![need.name.as_str(), if need.required { "true" } else { "" }]),
                );
                text += &(table::render(&rows, 3) + "\n");
            }
        }
        text
    }
}

/// What the stages use, each name with the line that decides its place.
#[derive(Default)]
struct Collected {
    visited: BTreeSet<usize>,
    seen: [BTreeSet<String>; 3],
    args: Vec<(usize, OutlinedArg)>,
    secrets: Vec<(usize, OutlinedNeed)>,
    ssh: Vec<(usize, OutlinedNeed)>,
}

impl Collected {
    /// Takes in a stage and then those under it: what is found first wins.
    fn visit(&mut self, number: usize, walk: &Walk<'_>) {
        let Some(Some(state)) = walk.states.get(number).filter(|_| self.visited.insert(number)) else {
            return;
        };
        let usage = &state.usage;
        for name in usage.all_used() {
            let Some(argument) = usage.arguments.get(&name) else {
                continue;
            };
            if self.seen[0].insert(name.clone()) {
                self.args.push((
                    *argument.lines.start(),
                    OutlinedArg {
                        name,
                        description: argument.description.clone().unwrap_or_default(),
                        value: argument.value.clone().unwrap_or_default(),
                        location: Location::in_only_source(argument.lines.clone()),
                    },
                ));
            }
        }
        let kinds = [
            (1, &usage.secrets, &mut self.secrets),
            (2, &usage.agents, &mut self.ssh),
        ];
        for (kind, needs, collected) in kinds {
            for (name, need) in needs
                .iter()
                .filter(|(name, _)| self.seen[kind].insert((*name).clone()))
            {
                let location = Location::in_only_source(need.lines.clone());
                let need = (
                    *need.lines.start(),
                    OutlinedNeed {
                        name: name.clone(),
                        required: need.is_required,
                        location,
                    },
                );
                collected.push(need);
            }
        }
        let planned = &walk.planned[number];
        if let StageBase::Stage(base) = planned.base {
            self.visit(base, walk);
        }
        for source in &planned.sources {
            self.visit(*source, walk);
        }
    }

    fn finish(self, outline: Outline) -> Outline {
        Outline {
            args: sorted(self.args),
            secrets: sorted(self.secrets),
            ssh: sorted(self.ssh),
            ..outline
        }
    }
}

fn sorted<T>(mut items: Vec<(usize, T)>) -> Vec<T> {
    items.sort_by_key(|(line, _)| *line);
    items.into_iter().map(|(_, item)| item).collect()
}
