//! Dockerfile text as stages and instructions.
//!
//! ```
//! use onlay_dockerfile::{Dockerfile, ExpandedInstruction, SourceFile};
//!
//! let source = SourceFile::new("Dockerfile", "FROM debian:12\nENV GREETING=\"hello $NAME\"\n");
//! let dockerfile = Dockerfile::parse(source)?;
//! let stage = &dockerfile.stages[0];
//! assert_eq!(stage.from.value.image.value, "debian:12");
//!
//! let scope = |name: &str| (name == "NAME").then(|| "world".to_owned());
//! let expanded = stage.instructions[0].expand(&scope)?;
//! assert_eq!(expanded, ExpandedInstruction::Env(vec![("GREETING".into(), "hello world".into())]));
//! # Ok::<(), onlay_dockerfile::Diagnostics>(())
//! ```
//!
//! The language is BuildKit's, its oddities included where they change what is built. Two things are different: every
//! error of a file is reported, each with its place ([`Diagnostic`]), and what is wrong whatever the values of
//! variables is found by parsing, also in stages that nobody builds.
//!
//! Not kept are accidents that nobody can want: BuildKit garbles flags that are not ASCII and cuts lines at 64 KiB.
//!
//! [`lint()`] finds what can be built and had better be written in another way.
//!
//! The crate reads text and returns values. It deliberately does not read files, resolve images, decide what is built, or
//! look at the environment.

mod diagnostic;
mod directive;
mod dockerfile;
mod evaluate;
mod expand;
mod flags;
mod heredoc;
mod instruction;
mod json;
mod json_result;
mod line;
mod lint;
mod location;
mod normalise;
mod outline;
mod source;
mod statement;
mod suggest;
mod table;
mod targets;
mod words;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use directive::{CheckError, CheckOptions, Directives, Escape, Rules};
pub use dockerfile::{Dockerfile, Stage, parse_instructions};
pub use expand::{ExpandError, Quote, Scope, expand_heredoc, expand_word, expand_words};
pub use heredoc::Heredoc;
pub use instruction::{
    Add, Arg, ArgDefinition, Assignment, Cmd, CommandForm, Copy, Entrypoint, Env, ExpandedAdd, ExpandedArg,
    ExpandedCopy, ExpandedExpose, ExpandedFrom, ExpandedInstruction, ExpandedRun, ExpandedTransfer, Expose,
    From, Healthcheck, InlineFile, Instruction, KEYWORDS, Label, Maintainer, Mount, MountType, Network,
    OnBuild, Probe, Run, Script, Security, Sharing, Shell, SourceKind, StopSignal, Transfer, User, Volume,
    Workdir,
};
pub use lint::{
    BaseImage, IgnoreList, LintError, LintOptions, LintReport, LintViolation, LintedStages, Rule, Warning,
    lint,
};
pub use location::Located;
pub use normalise::normalise;
pub use outline::{Outline, OutlineError, outline};
pub use source::{SourceFile, Span, Spanned};
pub use suggest::did_you_mean;
pub use targets::{Targets, targets};
