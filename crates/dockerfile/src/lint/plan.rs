use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::globals::Globals;
use super::sink::Site;
use super::{BaseImage, LintOptions};
use crate::diagnostic::Diagnostics;
use crate::dockerfile::{Dockerfile, Stage, parse_instructions};
use crate::instruction::{From, Instruction, mount_from};
use crate::location::Located;
use crate::source::SourceFile;

/// A stage, what it stands on and what it takes from others.
pub(crate) struct PlannedStage<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) base: StageBase,
    /// The triggers of the base, then the instructions of the stage.
    pub(crate) commands: Vec<Command<'a>>,
    /// The stages it copies or mounts from.
    pub(crate) sources: BTreeSet<usize>,
}

/// What FROM names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StageBase {
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    /// An image, by the name that FROM comes to, and what is known of it.
    Image(String, Option<BaseImage>),
}

/// An instruction that a stage runs through.
pub(crate) struct Command<'a> {
    pub(crate) instruction: Cow<'a, Located<Instruction>>,
    /// The FROM that has brought it, for a trigger of the base.
    from: Option<&'a Located<From>>,
}

impl Command<'_> {
    /// Where it is said to be wrong: a trigger, at the FROM.
    pub(super) fn site(&self) -> Site<'_> {
        match self.from {
            Some(from) => Site::of(from).without_comments(),
            None => Site::of(&self.instruction),
        }
    }
}

/// Works out the bases and commands of all stages.
///
/// # Errors
///
/// A FROM that comes to nothing, a trigger that cannot be read.
pub(super) fn plan<'a>(
    dockerfile: &'a Dockerfile,
    globals: &Globals,
    options: &LintOptions<'_>,
) -> Result<Vec<PlannedStage<'a>>, Diagnostics> {
    let mut names = HashMap::new();
    let mut planned: Vec<PlannedStage<'a>> = Vec::new();
    for (number, stage) in dockerfile.stages.iter().enumerate() {
        let image = stage.from.expand(&globals.variables)?.image;
        let base = match names.get(image.as_str()) {
            Some(earlier) => StageBase::Stage(*earlier),
            None if image == "scratch" => StageBase::Scratch,
            None => StageBase::Image(image, (options.bases)(number)),
        };
        let mut commands = triggers(&stage.from, &base, &planned)?;
        commands.extend(stage.instructions.iter().map(|instruction| Command {
            instruction: Cow::Borrowed(instruction),
            from: None,
        }));
        planned.push(PlannedStage {
            stage,
            base,
            commands,
            sources: BTreeSet::new(),
        });
        names.extend(
            stage
                .from
                .value
                .name
                .as_ref()
                .map(|name| (name.value.as_str(), number)),
        );
    }
    for stage in &mut planned {
        stage.sources = stage
            .commands
            .iter()
            .flat_map(|command| sources(&command.instruction.value, &names))
            .collect();
        stage.sources.retain(|source| *source < dockerfile.stages.len());
    }
    Ok(planned)
}

/// The stages that one stage cannot do without, itself included.
pub(super) fn needed_by(number: usize, planned: &[PlannedStage<'_>]) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut open = vec![number];
    while let Some(number) = open.pop() {
        let Some(stage) = planned.get(number).filter(|_| needed.insert(number)) else {
            continue;
        };
        open.extend(&stage.sources);
        if let StageBase::Stage(base) = stage.base {
            open.push(base);
        }
    }
    needed
}

/// The ONBUILDs of the base.
fn triggers<'a>(
    from: &'a Located<From>,
    base: &StageBase,
    planned: &[PlannedStage<'a>],
) -> Result<Vec<Command<'a>>, Diagnostics> {
    let texts: Vec<&str> = match base {
        StageBase::Image(_, Some(image)) => image.triggers.iter().map(String::as_str).collect(),
        StageBase::Stage(number) => planned[*number].commands.iter().filter_map(trigger).collect(),
        StageBase::Image(_, None) | StageBase::Scratch => Vec::new(),
    };
    let mut commands = Vec::new();
    for text in texts {
        let instructions = parse_instructions(SourceFile::new("trigger of the base", text))?;
        commands.extend(instructions.into_iter().map(|instruction| Command {
            instruction: Cow::Owned(instruction),
            from: Some(from),
        }));
    }
    Ok(commands)
}

fn trigger<'a>(command: &'a Command<'_>) -> Option<&'a str> {
    match &command.instruction.value {
        Instruction::OnBuild(on_build) => Some(&on_build.trigger),
        _ => None,
    }
}

/// The stages that an instruction copies or mounts from. COPY takes numbers too, mounts do not.
fn sources(instruction: &Instruction, names: &HashMap<&str, usize>) -> Vec<usize> {
    let named = |name: &str| names.get(name.to_lowercase().as_str()).copied();
    match instruction {
        Instruction::Copy(copy) => {
            let from = copy.from.iter();
            from.filter_map(|from| from.value.parse().ok().or_else(|| named(&from.value)))
                .collect()
        }
        Instruction::Run(run) => run
            .mounts
            .iter()
            .filter_map(|mount| named(&mount_from(mount)?))
            .collect(),
        _ => Vec::new(),
    }
}
