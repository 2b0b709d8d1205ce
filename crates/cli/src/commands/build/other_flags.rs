//! Flags of `docker build` and buildx that need nothing done, and those that cannot be done: every one is known, so that
//! a script which names one gets a reason and a way on.

use std::fmt;

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
    /// What it asks for is so anyhow, whatever its value; the text is its help.
    Kept(&'static str),
    /// What these values ask for is so anyhow; others are refused.
    KeptIf {
        values: &'static [&'static str],
        help: &'static str,
        otherwise: Refusal,
    },
    /// What it asks for is not done.
    Refused(Refusal),
}

/// Why something is not done, and what to do instead.
#[derive(Clone, Copy)]
struct Refusal {
    reason: &'static str,
    instead: &'static str,
}

use Answer::{Kept, KeptIf, Refused};
use Value::{Switch, Text};

const HEADING: &str = "Flags of docker build that ask for what is so anyhow";

const RUN: Refusal = Refusal {
    reason: "commands that RUN executes have no such setting here",
    instead: "leave it out; `--run` says how RUN lines are carried out",
};
const LIMITS: Refusal = Refusal {
    reason: "commands that RUN executes have no limits of their own",
    instead: "limit onlay itself, with `systemd-run` or the resources of its container",
};
const CACHE: Refusal = Refusal {
    reason: "results of lines are not cached",
    instead: "keep --cache-dir between jobs, which holds the listings of layers",
};
const ATTESTATIONS: Refusal = Refusal {
    reason: "attestations are not made",
    instead: "leave it out or switch it off, and attach them afterwards, with `cosign attest`",
};
const DAEMON: Refusal = Refusal {
    reason: "there is no daemon or builder to choose",
    instead: "leave it out",
};

/// Source: buildx at 461836ba0fcb, commands/build.go, with its hidden flags; Docker's command line at 28f756087eea,
/// cli/command/image/build.go (the classic builder); and what earlier versions of either had.
const FLAGS: &[Flag] = &[
    flag(
        "no-cache",
        Switch,
        Kept("No result of an earlier build is used: every line is carried out in every run"),
    ),
    flag("no-cache-filter", Text, Kept("As --no-cache, for single stages")),
    flag(
        "pull",
        Switch,
        Kept("What a name stands for is asked of the registry in every run"),
    ),
    flag(
        "rm",
        Switch,
        KeptIf {
            values: &["true"],
            help: "No intermediate containers are left behind: there are none",
            otherwise: Refusal {
                reason: "there are no intermediate containers that could be kept",
                instead: "leave it out; `--explain` tells what each line did",
            },
        },
    ),
    flag("force-rm", Switch, Kept("As --rm, after failures too")),
    flag(
        "compress",
        Switch,
        Kept("The context is read where it is, not sent to a daemon"),
    ),
    flag(
        "disable-content-trust",
        Switch,
        KeptIf {
            values: &["true"],
            help: "Signatures of Docker Content Trust are not looked at",
            otherwise: Refusal {
                reason: "signatures of Docker Content Trust are not verified",
                instead: "name base images by digest in FROM",
            },
        },
    ),
    flag(
        "provenance",
        Text,
        KeptIf {
            values: &["false", "0"],
            help: "`false`: no attestation of provenance is made",
            otherwise: ATTESTATIONS,
        },
    ),
    flag(
        "sbom",
        Text,
        KeptIf {
            values: &["false", "0"],
            help: "`false`: no bill of materials is made",
            otherwise: ATTESTATIONS,
        },
    ),
    flag(
        "attest",
        Text,
        KeptIf {
            values: &["type=provenance,disabled=true", "type=sbom,disabled=true"],
            help: "`type=provenance,disabled=true` or `type=sbom,disabled=true`, as above",
            otherwise: ATTESTATIONS,
        },
    ),
    flag(
        "isolation",
        Text,
        KeptIf {
            values: &["default", ""],
            help: "`default`: there is one kind of sandbox",
            otherwise: RUN,
        },
    ),
    flag("allow", Text, Refused(RUN)),
    flag("add-host", Text, Refused(RUN)),
    flag("security-opt", Text, Refused(RUN)),
    flag("invoke", Text, Refused(RUN)),
    flag("on", Text, Refused(RUN)),
    flag("resource", Text, Refused(LIMITS)),
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
        "stream",
        Switch,
        Refused(Refusal {
            reason: "the context is read where it is",
            instead: "leave it out",
        }),
    ),
    flag(
        "squash",
        Switch,
        Refused(Refusal {
            reason: "each line makes a layer of its own",
            instead: "put what belongs together into one line",
        }),
    ),
    flag(
        "print",
        Text,
        Refused(Refusal {
            reason: "it has another name by now",
            instead: "use `--call`",
        }),
    ),
    flag(
        "policy",
        Text,
        Refused(Refusal {
            reason: "source policies are not read",
            instead: "name base images by digest in FROM, and give `--checksum` to ADD",
        }),
    ),
    short(
        'D',
        flag(
            "debug",
            Switch,
            Refused(Refusal {
                reason: "there is no log of the tool's own doings",
                instead: "use `--explain`, which tells what each line needed, cost and did",
            }),
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
            Kept(_) => None,
            // Switched off, it asks for nothing.
            Refused(_) if matches!(self.value, Switch) && values.iter().all(|value| value == "false") => None,
            Refused(refusal) => Some(format!("`--{}` is not supported: {refusal}", self.name)),
            KeptIf {
                values: kept,
                otherwise,
                ..
            } => {
                let other = values.iter().find(|value| !kept.contains(&value.as_str()))?;
                Some(format!("`--{}={other}` is not supported: {otherwise}", self.name))
            }
        }
    }

    fn help(&self) -> Option<&'static str> {
        match &self.answer {
            Kept(help) | KeptIf { help, .. } => Some(help),
            Refused(_) => None,
        }
    }

    fn argument(&self) -> Arg {
        let argument = Arg::new(self.name)
            .long(self.name)
            .help(self.help())
            .help_heading(HEADING)
            .hide(self.help().is_none())
            .action(ArgAction::Append);
        let argument = match self.value {
            Switch => argument
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .hide_possible_values(true)
                .value_name("true|false")
                .value_parser(PossibleValuesParser::new(["true", "false"])),
            Text => argument.num_args(1).value_name("VALUE"),
        };
        match self.short {
            Some(short) => argument.short(short),
            None => argument,
        }
    }
}

/// The reason, and what to do instead.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.reason, self.instead)
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
