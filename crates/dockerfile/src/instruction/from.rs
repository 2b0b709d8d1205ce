use crate::diagnostic::{Diagnostics, Report};
use crate::evaluate::Evaluation;
use crate::expand::Scope;
use crate::flags::{self, Flags};
use crate::location::Located;
use crate::source::Spanned;
use crate::statement::Statement;

/// `FROM [--platform=platform] image [AS name]`
#[derive(Debug, Clone, PartialEq)]
pub struct From {
    /// The image or the earlier stage, variables still in it.
    pub image: Spanned<String>,
    /// The value of `--platform`, variables still in it.
    pub platform: Option<Spanned<String>>,
    /// The name of the stage, in lower case.
    pub name: Option<Spanned<String>>,
}

/// A FROM whose variables are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedFrom {
    /// The image or the earlier stage; not empty.
    pub image: String,
    /// The platform; not empty.
    pub platform: Option<String>,
}

impl From {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        let flags = Flags::parse(statement, &[flags::value("platform")], report);
        let platform = flags.value("platform");
        match statement.words().as_slice() {
            [image] => Some(Self {
                image: image.clone(),
                platform,
                name: None,
            }),
            [image, keyword, name] if keyword.value.eq_ignore_ascii_case("as") => Some(Self {
                image: image.clone(),
                platform,
                name: Some(parse_name(name, report)?),
            }),
            words => {
                let found = words.len();
                let message = match words {
                    [_, keyword, _] => format!("expected `AS` in FROM, found `{}`", keyword.value),
                    _ => format!("FROM requires either one or three arguments, found {found}"),
                };
                let span = words.get(1).map_or(statement.blame(), |word| word.span);
                let hint = match words.get(1) {
                    Some(word) if word.value.starts_with('#') => "a comment stands on a line of its own",
                    _ => "write `FROM image` or `FROM image AS name`",
                };
                report.error_with_hint(span, message, Some(hint.to_owned()));
                None
            }
        }
    }
}

impl From {
    pub(crate) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> ExpandedFrom {
        let mut expand = |what, raw: &Spanned<String>| {
            let expanded = evaluation.word(raw);
            if expanded.as_deref() == Some("") {
                refuse_blank(what, raw, &mut evaluation.report);
            }
            expanded.unwrap_or_default()
        };
        let image = expand("image", &self.image);
        let platform = self
            .platform
            .as_ref()
            .map(|platform| expand("platform", platform));
        ExpandedFrom { image, platform }
    }
}

impl Located<From> {
    /// Replaces the variables, which only the ARGs in front of the first FROM define.
    ///
    /// # Errors
    ///
    /// A substitution that fails, and an image or a platform that comes out empty.
    pub fn expand(&self, scope: &dyn Scope) -> Result<ExpandedFrom, Diagnostics> {
        let mut evaluation = Evaluation::new(scope, self.escape, &self.source);
        let expanded = self.value.evaluate(&mut evaluation);
        evaluation.report.finish(expanded)
    }
}

fn refuse_blank(what: &str, raw: &Spanned<String>, report: &mut Report) {
    let hint = raw.value.contains('$').then(|| {
        "FROM sees only the ARGs in front of the first FROM and the predefined ones such as TARGETPLATFORM".to_owned()
    });
    report.error_with_hint(
        raw.span,
        format!("the {what} `{}` is empty after expansion", raw.value),
        hint,
    );
}

fn parse_name(word: &Spanned<String>, report: &mut Report) -> Option<Spanned<String>> {
    let name = word.value.to_lowercase();
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_allowed) {
        return Some(Spanned::new(name, word.span));
    }
    let hint = Some("a name is a letter followed by letters, digits, `-`, `_` and `.`".to_owned());
    report.error_with_hint(
        word.span,
        format!("invalid name `{}` for a build stage", word.value),
        hint,
    );
    None
}
