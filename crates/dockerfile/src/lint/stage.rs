//! Rules about the instructions of a stage, run through in the order of the file with the variables they see.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::form::keyword;
use super::globals::{Argument, Globals};
use super::plan::{Command, PlannedStage, StageBase};
use super::sink::{Sink, Site};
use super::variables::{LineScope, Variables};
use super::{LintOptions, Rule, names, paths};
use crate::diagnostic::Diagnostics;
use crate::evaluate::Lookup;
use crate::expand::expand_words;
use crate::instruction::{
    Arg, CommandForm, ExpandedArg, ExpandedInstruction, ExpandedTransfer, Expose, Instruction, Mount,
    MountType, SourceKind,
};
use crate::location::Located;
use crate::suggest::did_you_mean;

/// What a stage hands on to those that start from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StageState {
    variables: Variables,
    /// The names of its ARGs, those without a value included.
    declared: BTreeSet<String>,
    has_shell: bool,
    /// Whether there was a WORKDIR: only the first can be wrong.
    has_workdir: bool,
    /// Whether the variables of the base are not known, so that an unset one may be set after all.
    has_unknown_base: bool,
    pub(crate) usage: Usage,
}

/// What a stage asks of those who build it; not handed on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    pub(crate) arguments: BTreeMap<String, Argument>,
    pub(crate) used: BTreeSet<String>,
    pub(crate) secrets: BTreeMap<String, Need>,
    pub(crate) agents: BTreeMap<String, Need>,
}

/// A secret or an SSH agent, where it is first asked for.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    pub(crate) is_required: bool,
    pub(crate) lines: RangeInclusive<usize>,
}

/// Runs through the instructions of one stage.
pub(super) struct StageRun<'a> {
    options: &'a LintOptions<'a>,
    globals: &'a Globals,
    sink: &'a mut Sink,
    state: StageState,
    /// The last CMD, ENTRYPOINT and HEALTHCHECK.
    only_once: BTreeMap<&'static str, Site<'a>>,
}

/// Arguments that never become variables.
const NOT_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];
/// What an image without a PATH gets.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Usage {
    /// The names in use, and those that their defaults refer to.
    pub(crate) fn all_used(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&String> = self.used.iter().collect();
        while let Some(name) = open.pop() {
            if all.insert(name.clone()) {
                open.extend(
                    self.arguments
                        .get(name)
                        .iter()
                        .flat_map(|argument| &argument.needs),
                );
            }
        }
        all
    }
}

impl StageState {
    /// The state in which a stage starts.
    fn on(base: &StageBase, earlier: &[Option<StageState>], is_windows: bool) -> Self {
        let mut state = match base {
            StageBase::Stage(number) => earlier.get(*number).cloned().flatten().unwrap_or_default(),
            StageBase::Scratch => Self::default(),
            StageBase::Image(_, None) => Self {
                has_unknown_base: true,
                ..Self::default()
            },
            StageBase::Image(_, Some(image)) => {
                let mut state = Self {
                    has_shell: !image.shell.is_empty(),
                    ..Self::default()
                };
                image
                    .environment
                    .iter()
                    .for_each(|(name, value)| state.variables.set(name, value));
                state
            }
        };
        if state.variables.get("PATH").is_none() && !is_windows {
            state.variables.set("PATH", DEFAULT_PATH);
        }
        state.usage = Usage::default();
        state
    }
}

impl<'a> StageRun<'a> {
    pub(super) fn new(
        planned: &PlannedStage<'_>,
        earlier: &[Option<StageState>],
        globals: &'a Globals,
        options: &'a LintOptions<'a>,
        sink: &'a mut Sink,
    ) -> Self {
        let is_windows = globals.variables.get("TARGETOS") == Some("windows");
        let mut state = StageState::on(&planned.base, earlier, is_windows);
        state.usage.arguments = globals.declared.clone();
        state.usage.used = super::from::used_arguments(&planned.stage.from, globals);
        Self {
            options,
            globals,
            sink,
            state,
            only_once: BTreeMap::new(),
        }
    }

    /// Runs through all instructions and gives the state after them.
    pub(super) fn run(mut self, commands: &'a [Command<'a>]) -> Result<StageState, Diagnostics> {
        for command in commands {
            self.apply(&command.instruction, command.site())?;
        }
        Ok(self.state)
    }

    fn apply(&mut self, instruction: &'a Located<Instruction>, site: Site<'a>) -> Result<(), Diagnostics> {
        let scope = LineScope {
            variables: &self.state.variables,
            globals: &self.globals.variables,
            build_arguments: self.options.build_arguments,
        };
        let (expanded, lookups) = instruction.expand_watched(&scope);
        let is_certain = !self.state.has_unknown_base || lookups.iter().all(|lookup| lookup.is_set);
        if !self.state.has_unknown_base {
            self.check_defined(instruction, &lookups, site);
        }
        match expanded {
            Ok(expanded) => self.take(instruction, expanded, site, is_certain),
            // With the base known it may be right after all.
            Err(_) if self.state.has_unknown_base => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks for variables that nothing has defined, each once for every word.
    fn check_defined(&mut self, instruction: &Located<Instruction>, lookups: &[Lookup], site: Site<'_>) {
        let mut seen = BTreeSet::new();
        for lookup in lookups.iter().filter(|lookup| !lookup.is_set) {
            let name = lookup.name.as_str();
            let is_defined = self.state.declared.contains(name) || NOT_VARIABLES.contains(&name);
            if is_defined || is_declared_before(instruction, lookup) || !seen.insert((lookup.word, name)) {
                continue;
            }
            let suggestion = did_you_mean(name, self.state.variables.names());
            let suggestion = suggestion
                .map(|name| format!(" (did you mean ${name}?)"))
                .unwrap_or_default();
            let message = format!("Usage of undefined variable '${name}'{suggestion}");
            self.sink.warn(Rule::UndefinedVar, site, message);
        }
    }

    fn take(
        &mut self,
        instruction: &'a Located<Instruction>,
        expanded: ExpandedInstruction,
        site: Site<'a>,
        is_certain: bool,
    ) {
        let keyword = keyword(instruction);
        match (&instruction.value, expanded) {
            (Instruction::Env(env), ExpandedInstruction::Env(variables)) => {
                self.check_form(env.is_legacy_form, keyword, site);
                self.take_env(variables, site);
            }
            (Instruction::Label(label), _) => self.check_form(label.is_legacy_form, keyword, site),
            (Instruction::Arg(arg), ExpandedInstruction::Arg(arguments)) => {
                self.take_arg(arg, arguments, instruction, site);
            }
            (Instruction::Cmd(cmd), _) => {
                self.check_once("CMD", keyword, site);
                self.check_command(&cmd.command, keyword, site);
            }
            (Instruction::Entrypoint(entrypoint), _) => {
                self.check_once("ENTRYPOINT", keyword, site);
                self.check_command(&entrypoint.command, keyword, site);
            }
            (Instruction::Healthcheck(_), _) => self.check_once("HEALTHCHECK", keyword, site),
            (Instruction::Shell(_), _) => self.state.has_shell = true,
            (Instruction::Workdir(_), ExpandedInstruction::Workdir(path)) => {
                self.take_workdir(&path, is_certain, site);
            }
            (Instruction::Expose(expose), _) => self.check_expose(expose, instruction, site),
            (_, ExpandedInstruction::Copy(copy)) if copy.from.is_none() && is_certain => {
                self.check_ignored("Copy", &copy.transfer, site);
            }
            (_, ExpandedInstruction::Add(add)) if is_certain => {
                self.check_ignored("Add", &add.transfer, site)
            }
            (_, ExpandedInstruction::Run(run)) => self.take_mounts(&run.mounts, site),
            _ => {}
        }
    }

    fn check_form(&mut self, is_legacy_form: bool, keyword: &str, site: Site<'_>) {
        if is_legacy_form {
            let message = format!(
                "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
            );
            self.sink.warn(Rule::LegacyKeyValueFormat, site, message);
        }
    }

    fn take_env(&mut self, variables: Vec<(String, String)>, site: Site<'_>) {
        for (name, value) in variables {
            self.check_secret("ENV", &name, site);
            self.state.variables.set(name, value);
        }
    }

    fn take_arg(
        &mut self,
        arg: &Arg,
        arguments: Vec<ExpandedArg>,
        instruction: &Located<Instruction>,
        site: Site<'_>,
    ) {
        for (definition, ExpandedArg { name, value }) in arg.arguments.iter().zip(arguments) {
            self.check_secret("ARG", &name, site);
            let is_given = self.options.build_arguments.contains_key(&name);
            let is_inherited = definition.default.is_none() && !is_given && value.is_some();
            if let Some(value) = value.as_ref().filter(|_| !NOT_VARIABLES.contains(&name.as_str())) {
                self.state.variables.set(&name, value);
            }
            let usage = &mut self.state.usage;
            if !is_inherited {
                let description = instruction.description_of(&name).map(str::to_owned);
                let lines = site.source.lines_of(site.span);
                let argument = Argument {
                    value,
                    description,
                    lines,
                    needs: BTreeSet::new(),
                };
                usage.arguments.insert(name.clone(), argument);
            }
            usage.used.insert(name.clone());
            self.state.declared.insert(name);
        }
    }

    fn check_secret(&mut self, keyword: &str, name: &str, site: Site<'_>) {
        if names::is_secret(name) {
            let message =
                format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})");
            self.sink.warn(Rule::SecretsUsedInArgOrEnv, site, message);
        }
    }

    /// The earlier one is to blame: it is the one that means nothing.
    fn check_once(&mut self, kind: &'static str, keyword: &str, site: Site<'a>) {
        let Some(earlier) = self.only_once.insert(kind, site) else {
            return;
        };
        let message = format!(
            "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
        );
        let site = Site {
            source: earlier.source,
            span: earlier.span,
            ..site
        };
        self.sink
            .warn(Rule::MultipleInstructionsDisallowed, site, message);
    }

    fn check_command(&mut self, command: &CommandForm, keyword: &str, site: Site<'_>) {
        if matches!(command, CommandForm::Shell(_)) && !self.state.has_shell {
            let message = format!(
                "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
            );
            self.sink.warn(Rule::JsonArgsRecommended, site, message);
        }
    }

    fn take_workdir(&mut self, path: &str, is_certain: bool, site: Site<'_>) {
        let is_windows = self.globals.variables.get("TARGETOS") == Some("windows");
        if is_certain && !self.state.has_workdir && !paths::is_absolute(path, is_windows) {
            let message =
                format!("Relative workdir {path:?} can have unexpected results if the base image changes");
            self.sink.warn(Rule::WorkdirRelativePath, site, message);
        }
        self.state.has_workdir = true;
    }

    fn check_expose(&mut self, expose: &Expose, instruction: &Located<Instruction>, site: Site<'_>) {
        for port in &expose.ports {
            let words = expand_words(&port.value, &self.state.variables, instruction.escape);
            for word in words.unwrap_or_default() {
                self.check_port(&word, site);
            }
        }
    }

    fn check_port(&mut self, text: &str, site: Site<'_>) {
        let mut parts = text.rsplitn(3, ':');
        let protocol = parts
            .next()
            .and_then(|port| port.split_once('/'))
            .map_or("", |(_, protocol)| protocol);
        if protocol != protocol.to_lowercase() {
            let message = format!("Defined protocol '{text}' in EXPOSE instruction should be lowercase");
            self.sink.warn(Rule::ExposeProtoCasing, site, message);
        }
        if parts.any(|host| !host.is_empty()) {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
            );
            self.sink.warn(Rule::ExposeInvalidFormat, site, message);
        }
    }

    fn check_ignored(&mut self, verb: &str, transfer: &ExpandedTransfer, site: Site<'_>) {
        let Some(ignore) = &self.options.ignore else {
            return;
        };
        for source in transfer
            .sources
            .iter()
            .filter(|source| SourceKind::of(source) == SourceKind::Path)
        {
            let path = paths::clean(source);
            if ignore.excludes(&path) {
                let message = format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
                self.sink.warn(Rule::CopyIgnoredFile, site, message);
            }
        }
    }

    fn take_mounts(&mut self, mounts: &[Mount], site: Site<'_>) {
        let usage = &mut self.state.usage;
        for mount in mounts {
            let need = || Need {
                is_required: mount.required,
                lines: site.source.lines_of(site.span),
            };
            match mount.mount_type {
                MountType::Secret => {
                    let target = mount
                        .target
                        .as_deref()
                        .and_then(|target| target.rsplit('/').next());
                    let id = mount
                        .source
                        .as_deref()
                        .or(mount.id.as_deref())
                        .or(target)
                        .unwrap_or_default();
                    usage.secrets.entry(id.to_owned()).or_insert_with(need);
                }
                MountType::Ssh => {
                    let id = mount.id.as_deref().unwrap_or("default");
                    usage.agents.entry(id.to_owned()).or_insert_with(need);
                }
                MountType::Bind | MountType::Cache | MountType::Tmpfs => {}
            }
        }
    }
}

/// Whether an ARG declares the name in front of the word that asks for it.
fn is_declared_before(instruction: &Located<Instruction>, lookup: &Lookup) -> bool {
    let Instruction::Arg(arg) = &instruction.value else {
        return false;
    };
    let mut earlier = arg
        .arguments
        .iter()
        .filter(|argument| argument.name.span.start < lookup.word.start);
    // The last of them is the argument whose default the word is.
    earlier.next_back();
    earlier.any(|argument| argument.name.value == lookup.name)
}
