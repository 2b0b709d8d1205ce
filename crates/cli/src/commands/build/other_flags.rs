//! Flags of `docker build` and buildx that need nothing done, and those that cannot be done: every one is known, so that
//! a script which names one gets a reason and a way on.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::failure::Usage;

/// A flag that is known.
struct Flag {
    name: &'static str,
    short: Option<char>,
    value: Value,
    answer: Answer,
}

/// Whether a flag has a value.
#[derive(Clone, Copy)]
enum Value {
    /// `--flag`, `--flag=true` or `--flag=false`.
    Switch,
    /// `--flag VALUE`, as often as one likes.
    Text,
}

/// What becomes of a flag.
enum Answer {
    /// It is how things are anyhow, whatever its value.
    Kept,
    /// These values are how things are anyhow; others are refused with the text.
    KeptIf(&'static [&'static str], &'static str),
    /// What it asks for is not done; the text says why, and what to do instead.
    Refused(&'static str),
}

use Answer::{Kept, KeptIf, Refused};
use Value::{Switch, Text};

const RUN: &str = "it concerns commands that RUN executes, and this version executes none";
const LIMITS: &str = "it limits commands that RUN executes, and this version executes none; limit onlay itself, such as with \
                      `systemd-run` or the resources of its container";
const CACHE: &str = "results of lines are not cached, and need not be: listings of layers are kept in --cache-dir; keep that \
                     directory between jobs";
const ATTESTATIONS: &str = "attestations are not made; leave it out, or say `=false`";
const DAEMON: &str = "there is no daemon or builder to choose; leave it out";

/// Source: `docker buildx build --help` (buildx 0.29) and `docker build --help` of the classic builder (Docker 28).
const FLAGS: &[Flag] = &[
    // Nothing of an earlier build is taken for this one's result, tags are looked up in every run, and nothing is left
    // behind that would have to be removed.
    flag("no-cache", Switch, Kept),
    flag("no-cache-filter", Text, Kept),
    flag("pull", Switch, Kept),
    flag("rm", Switch, Kept),
    flag("force-rm", Switch, Kept),
    // Nothing is sent to a daemon.
    flag("compress", Switch, Kept),
    flag("disable-content-trust", Switch, Kept),
    flag("provenance", Text, KeptIf(&["false", "0"], ATTESTATIONS)),
    flag("sbom", Text, KeptIf(&["false", "0"], ATTESTATIONS)),
    flag("attest", Text, Refused(ATTESTATIONS)),
    flag("isolation", Text, KeptIf(&["default", ""], RUN)),
    flag("network", Text, KeptIf(&["default"], RUN)),
    flag("secret", Text, Refused(RUN)),
    flag("ssh", Text, Refused(RUN)),
    flag("allow", Text, Refused(RUN)),
    flag("add-host", Text, Refused(RUN)),
    flag("security-opt", Text, Refused(RUN)),
    flag("ulimit", Text, Refused(LIMITS)),
    flag("shm-size", Text, Refused(LIMITS)),
    flag("cgroup-parent", Text, Refused(LIMITS)),
    short('m', flag("memory", Text, Refused(LIMITS))),
    flag("memory-swap", Text, Refused(LIMITS)),
    short('c', flag("cpu-shares", Text, Refused(LIMITS))),
    flag("cpu-period", Text, Refused(LIMITS)),
    flag("cpu-quota", Text, Refused(LIMITS)),
    flag("cpuset-cpus", Text, Refused(LIMITS)),
    flag("cpuset-mems", Text, Refused(LIMITS)),
    flag("cache-from", Text, Refused(CACHE)),
    flag("cache-to", Text, Refused(CACHE)),
    flag("builder", Text, Refused(DAEMON)),
    flag("detach", Switch, Refused(DAEMON)),
    flag("root", Text, Refused(DAEMON)),
    flag("server-config", Text, Refused(DAEMON)),
    flag(
        "squash",
        Switch,
        Refused("each line makes a layer of its own; put what belongs together into one line"),
    ),
    flag(
        "stream",
        Switch,
        Refused("the context is read where it is; leave it out"),
    ),
    flag("invoke", Text, Refused(RUN)),
    flag("on", Text, Refused(RUN)),
    flag("print", Text, Refused("it is called `--call` by now")),
    flag(
        "policy",
        Text,
        Refused("source policies are not read; pin images by digest in FROM"),
    ),
    short(
        'D',
        flag(
            "debug",
            Switch,
            Refused("`--explain` tells what each line needed, cost and did"),
        ),
    ),
];

const fn flag(name: &'static str, value: Value, answer: Answer) -> Flag {
    Flag {
        name,
        short: None,
        value,
        answer,
    }
}

const fn short(short: char, flag: Flag) -> Flag {
    Flag {
        short: Some(short),
        ..flag
    }
}

/// The flags of the table that were given.
#[derive(Debug, Default)]
pub(crate) struct OtherFlags {
    given: Vec<(&'static str, Vec<String>)>,
}

impl OtherFlags {
    /// Refuses what cannot be done; all of it, not only the first.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let refusals: Vec<String> = FLAGS
            .iter()
            .filter_map(|flag| {
                let (_, values) = self.given.iter().find(|(name, _)| *name == flag.name)?;
                flag.refusal(values)
            })
            .collect();
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(Usage(refusals.join("\nerror: ")))
        }
    }
}

impl Flag {
    fn refusal(&self, values: &[String]) -> Option<String> {
        match &self.answer {
            Kept => None,
            // Switched off, it asks for nothing.
            Refused(_) if matches!(self.value, Switch) && values.iter().all(|value| value == "false") => None,
            Refused(reason) => Some(format!("`--{}` is not supported: {reason}", self.name)),
            KeptIf(kept, reason) => {
                let other = values.iter().find(|value| !kept.contains(&value.as_str()))?;
                Some(format!("`--{}={other}` is not supported: {reason}", self.name))
            }
        }
    }

    fn argument(&self) -> Arg {
        let argument = Arg::new(self.name)
            .long(self.name)
            .hide(true)
            .action(ArgAction::Append);
        let argument = match self.value {
            Switch => argument
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(PossibleValuesParser::new(["true", "false"])),
            Text => argument.num_args(1),
        };
        match self.short {
            Some(short) => argument.short(short),
            None => argument,
        }
    }
}

impl FromArgMatches for OtherFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given = FLAGS
            .iter()
            .filter_map(|flag| {
                let values = matches.get_many::<String>(flag.name)?;
                Some((flag.name, values.cloned().collect()))
            })
            .collect();
        Ok(())
    }
}

impl Args for OtherFlags {
    fn augment_args(command: Command) -> Command {
        FLAGS
            .iter()
            .fold(command, |command, flag| command.arg(flag.argument()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
