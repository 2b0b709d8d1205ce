use onlay_oci::Digest;

use super::{SourceKind, not_a_string};
use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::expand::NoVariables;
use crate::flags::{self, Flags};
use crate::heredoc::{Heredoc, HeredocWord};
use crate::source::Spanned;
use crate::statement::{List, Statement};

/// `COPY [flags] source ... destination`
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// What COPY and ADD share.
    pub transfer: Transfer,
    /// `--from`: a stage by name or number, an image or a named context. Never expanded.
    pub from: Option<Spanned<String>>,
    /// `--parents`
    pub parents: bool,
}

/// `ADD [flags] source ... destination`
#[derive(Debug, Clone, PartialEq)]
pub struct Add {
    /// What COPY and ADD share.
    pub transfer: Transfer,
    /// `--keep-git-dir`, where given.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`, variables still in it.
    pub checksum: Option<Spanned<String>>,
    /// `--unpack`, where given; else archives of the context are unpacked and downloads are not.
    pub unpack: Option<bool>,
}

/// What COPY and ADD share, variables still in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// The sources but for heredocs, in the order of the line.
    pub sources: Vec<Spanned<String>>,
    /// The heredocs among the sources, in the order of the line; they come after the other sources.
    pub heredocs: Vec<Heredoc>,
    /// The destination.
    pub destination: Spanned<String>,
    /// `--chown`
    pub chown: Option<Spanned<String>>,
    /// `--chmod`
    pub chmod: Option<Spanned<String>>,
    /// `--link`
    pub link: bool,
    /// `--exclude`, as often as given. Never expanded.
    pub exclude: Vec<Spanned<String>>,
}

/// A COPY whose variables are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedCopy {
    /// What COPY and ADD share.
    pub transfer: ExpandedTransfer,
    /// `--from`
    pub from: Option<String>,
    /// `--parents`
    pub parents: bool,
}

/// An ADD whose variables are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedAdd {
    /// What COPY and ADD share.
    pub transfer: ExpandedTransfer,
    /// `--keep-git-dir`, where given.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`: a digest for a download, a commit for a git repository.
    pub checksum: Option<String>,
    /// `--unpack`, where given.
    pub unpack: Option<bool>,
}

/// What COPY and ADD share, variables expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedTransfer {
    /// The sources but for files of heredocs, in the order of the line.
    pub sources: Vec<String>,
    /// The files of heredocs, which come after the other sources.
    pub files: Vec<InlineFile>,
    /// The destination as written: a slash at its end means something.
    pub destination: String,
    /// `--chown`, where not empty.
    pub chown: Option<String>,
    /// `--chmod`, where not empty.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
}

impl Copy {
    pub(super) fn parse(
        statement: &Statement<'_>,
        heredocs: Vec<Heredoc>,
        report: &mut Report,
    ) -> Option<Self> {
        let known = [
            flags::value("from"),
            flags::value("chown"),
            flags::value("chmod"),
            flags::switch("link"),
            flags::switch("parents"),
            flags::list("exclude"),
        ];
        let flags = Flags::parse(statement, &known, report);
        let transfer = Transfer::parse(statement, heredocs, &flags, report)?;
        let from = flags.value("from").filter(|from| !from.value.is_empty());
        Some(Self {
            transfer,
            from,
            parents: flags.switch("parents").unwrap_or(false),
        })
    }

    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> ExpandedCopy {
        let transfer = self.transfer.evaluate(evaluation, refuse_remote);
        let from = self
            .from
            .as_ref()
            .and_then(|from| evaluate_from(from, evaluation));
        ExpandedCopy {
            transfer,
            from,
            parents: self.parents,
        }
    }
}

impl Add {
    pub(super) fn parse(
        statement: &Statement<'_>,
        heredocs: Vec<Heredoc>,
        report: &mut Report,
    ) -> Option<Self> {
        let known = [
            flags::value("chown"),
            flags::value("chmod"),
            flags::switch("link"),
            flags::switch("keep-git-dir"),
            flags::value("checksum"),
            flags::switch("unpack"),
            flags::list("exclude"),
        ];
        let flags = Flags::parse(statement, &known, report);
        let transfer = Transfer::parse(statement, heredocs, &flags, report)?;
        Some(Self {
            transfer,
            keep_git_dir: flags.switch("keep-git-dir"),
            checksum: flags.value("checksum"),
            unpack: flags.switch("unpack"),
        })
    }

    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> ExpandedAdd {
        let transfer = self.transfer.evaluate(evaluation, |_, _, _| {});
        let checksum = self
            .checksum
            .as_ref()
            .and_then(|raw| evaluate_checksum(raw, &transfer, evaluation));
        ExpandedAdd {
            transfer,
            keep_git_dir: self.keep_git_dir,
            checksum,
            unpack: self.unpack,
        }
    }
}

impl Transfer {
    fn parse(
        statement: &Statement<'_>,
        heredocs: Vec<Heredoc>,
        flags: &Flags,
        report: &mut Report,
    ) -> Option<Self> {
        let keyword = statement.keyword().to_ascii_uppercase();
        let list = statement.list().map_err(|span| not_a_string(span, report)).ok()?;
        let is_json = matches!(list, List::Json(_));
        let mut words = list.into_words();
        let found = words.len();
        let Some(destination) = words.pop().filter(|_| found >= 2) else {
            let message = format!(
                "{keyword} requires at least two arguments, a source and a destination, found {found}"
            );
            report.error(statement.blame(), message);
            return None;
        };
        if HeredocWord::parse(&destination.value).is_some() {
            report.error(
                destination.span,
                format!("{keyword} cannot accept a heredoc as a destination"),
            );
        }
        let (inline, sources): (Vec<_>, Vec<_>) = words
            .into_iter()
            .partition(|word| HeredocWord::parse(&word.value).is_some());
        if let Some(word) = inline.first().filter(|_| is_json) {
            report.error(word.span, "a heredoc cannot be used in the JSON form");
        }
        Some(Self {
            sources,
            heredocs: inline
                .iter()
                .filter_map(|word| find(&heredocs, &word.value))
                .collect(),
            destination,
            chown: flags.value("chown"),
            chmod: flags.value("chmod"),
            link: flags.switch("link").unwrap_or(false),
            exclude: flags.list("exclude"),
        })
    }

    /// Expands what is expandable; `check` looks at each source.
    fn evaluate(
        &self,
        evaluation: &mut Evaluation<'_>,
        check: impl Fn(&str, &Spanned<String>, &mut Report),
    ) -> ExpandedTransfer {
        let mut optional = |word: &Option<Spanned<String>>| {
            word.as_ref()
                .and_then(|word| evaluation.word(word))
                .filter(|value| !value.is_empty())
        };
        let (chown, chmod) = (optional(&self.chown), optional(&self.chmod));
        let mut sources = Vec::new();
        for raw in &self.sources {
            let Some(source) = evaluation.word(raw) else {
                continue;
            };
            check(&source, raw, &mut evaluation.report);
            sources.push(source);
        }
        ExpandedTransfer {
            sources,
            destination: evaluation.word(&self.destination).unwrap_or_default(),
            files: self
                .heredocs
                .iter()
                .filter_map(|heredoc| InlineFile::evaluate(heredoc, evaluation))
                .collect(),
            chown,
            chmod,
            link: self.link,
            exclude: self.exclude.iter().map(|pattern| pattern.value.clone()).collect(),
        }
    }
}

impl InlineFile {
    fn evaluate(heredoc: &Heredoc, evaluation: &mut Evaluation<'_>) -> Option<Self> {
        let content = heredoc.content();
        let content = if heredoc.expand {
            evaluation.heredoc(&content, heredoc.span)?
        } else {
            content
        };
        Some(Self {
            name: heredoc.name.clone(),
            content,
        })
    }
}

/// The heredoc that a word announces; of several with one name each gets the last body, as in BuildKit.
fn find(heredocs: &[Heredoc], word: &str) -> Option<Heredoc> {
    let word = HeredocWord::parse(word)?;
    let heredoc = heredocs.iter().rfind(|heredoc| heredoc.name == word.name)?;
    Some(word.with_body(heredoc.body.clone(), heredoc.span))
}

/// COPY takes files, never what has to be fetched.
fn refuse_remote(source: &str, raw: &Spanned<String>, report: &mut Report) {
    let kind = match SourceKind::of(source) {
        SourceKind::Path => return,
        SourceKind::Http => "URL",
        SourceKind::Git => "git repository",
    };
    let hint = Some("ADD downloads URLs and clones git repositories".to_owned());
    report.error_with_hint(
        raw.span,
        format!("a source of COPY can't be a {kind}: `{source}`"),
        hint,
    );
}

/// Checks the checksum against what it is the checksum of.
fn evaluate_checksum(
    raw: &Spanned<String>,
    transfer: &ExpandedTransfer,
    evaluation: &mut Evaluation<'_>,
) -> Option<String> {
    let checksum = evaluation.word(raw).filter(|checksum| !checksum.is_empty())?;
    let message = match transfer.sources.as_slice() {
        // No source is known yet, or the only one is wrong itself.
        [] if transfer.files.is_empty() => return None,
        [source] => match SourceKind::of(source) {
            SourceKind::Path => "`--checksum` requires an HTTP(S) or git source".to_owned(),
            SourceKind::Http => match checksum.parse::<Digest>() {
                Ok(_) => return Some(checksum),
                Err(error) => format!("invalid checksum: {error}"),
            },
            SourceKind::Git => return Some(checksum),
        },
        _ => "`--checksum` takes exactly one source".to_owned(),
    };
    evaluation.report.error(raw.span, message);
    None
}

/// Removes quotes and escapes from `--from`, where no variables are allowed.
fn evaluate_from(from: &Spanned<String>, evaluation: &mut Evaluation<'_>) -> Option<String> {
    let has_variable = std::cell::Cell::new(false);
    let watch = |_: &str| {
        has_variable.set(true);
        None
    };
    let without = evaluation.constant(from, &NoVariables);
    evaluation.constant(from, &watch);
    if has_variable.get() {
        let hint = Some(
            "define a stage with `FROM image AS name`, where global ARGs are expanded, and copy from it"
                .to_owned(),
        );
        let message = format!("variables are not supported in `--from`: `{}`", from.value);
        evaluation.report.error_with_hint(from.span, message, hint);
    }
    without.or_else(|| Some(from.value.clone()))
}
