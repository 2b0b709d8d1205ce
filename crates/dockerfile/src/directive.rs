//! Parser directives: the `# key=value` comments that may open a Dockerfile.
//!
//! Three keys are known: `syntax`, `escape` and `check`. The first line that is anything else ends the directives for
//! good, so that a misspelt one is an ordinary comment, as it is for BuildKit.
//!
//! BuildKit looks for `syntax` and `check` in another way than for `escape`: only on lines that are not indented, but
//! also after a `#!` line. Both are kept. Frontends for other languages announce themselves by `// syntax=` or JSON;
//! such a file fails here at its first line, which is no instruction.

use std::sync::Arc;

use crate::diagnostic::Report;
use crate::source::{SourceFile, Span, Spanned};
use crate::suggest;

/// The parser directives of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// The image named by `# syntax=`, always one that speaks BuildKit's Dockerfile language.
    pub syntax: Option<Spanned<String>>,
    /// The escape character.
    pub escape: Escape,
    /// What `# check=` asks of the lint.
    pub check: Option<Spanned<CheckOptions>>,
}

/// The character that continues lines and takes the meaning from the character after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `\`, unless the file says otherwise.
    #[default]
    Backslash,
    /// `` ` ``, for paths of Windows.
    Backtick,
}

/// The options of `# check=`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Rules that are not applied.
    pub skip: Rules,
    /// Experimental rules that are.
    pub experimental: Rules,
    /// Whether a violation makes the build fail.
    pub error: bool,
}

/// Why the options of `# check=` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no such option.
    #[error("invalid check option `{0}`")]
    UnknownOption(String),
    /// The value of `error` is no truth value.
    #[error("invalid value `{0}` for check option `error`: expected `true` or `false`")]
    NotBoolean(String),
}

/// A choice of lint rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// Every rule there is.
    All,
    /// The rules of these names; case matters.
    Named(Vec<String>),
}

impl Escape {
    /// The character itself.
    pub fn character(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl CheckOptions {
    /// Parses the value of a `check` directive, for example `skip=StageNameCasing,FromAsCasing;error=true`.
    ///
    /// # Errors
    ///
    /// An option that does not exist, or a value of `error` that is no truth value.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        // BuildKit splits in three, so that a fourth part belongs to the third.
        for part in text.splitn(3, ';') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| CheckError::UnknownOption(part.trim().into()))?;
            match key.trim() {
                "skip" => options.skip = Rules::parse(value),
                "experimental" => options.experimental = Rules::parse(value),
                "error" => {
                    let value = value.trim();
                    options.error = parse_bool(value).ok_or_else(|| CheckError::NotBoolean(value.into()))?;
                }
                other => return Err(CheckError::UnknownOption(other.into())),
            }
        }
        Ok(options)
    }
}

impl CheckOptions {
    /// Reads the options that a comment above an instruction gives for it: the text after `#`. Nothing where it is
    /// no `check=` comment or is wrong, which is nobody's error, as in BuildKit.
    pub(crate) fn of_comment(comment: &str) -> Option<Self> {
        let (key, value) = comment.split_once('=')?;
        let value = value.trim_start();
        let is_check = key.trim_end().eq_ignore_ascii_case("check");
        let options = value
            .split(' ')
            .next()
            .filter(|options| is_check && !options.is_empty())?;
        Some(Self::parse(options).unwrap_or_default())
    }
}

impl CheckError {
    fn hint(&self) -> String {
        let options = "the options are `skip=RULE,..`, `experimental=RULE,..` and `error=true`".to_owned();
        match self {
            Self::UnknownOption(option) => {
                suggest::hint(option, ["skip", "experimental", "error"], "").unwrap_or(options)
            }
            Self::NotBoolean(_) => options,
        }
    }
}

impl Rules {
    /// Whether a rule is among them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }

    fn parse(text: &str) -> Self {
        match text.trim() {
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }
}

/// Reads the directives at the start of a source, and says where they end.
pub(crate) fn parse(report: &mut Report) -> (Directives, usize) {
    let source = Arc::clone(&report.source);
    let mut reader = Reader {
        report,
        directives: Directives::default(),
        seen: Vec::new(),
    };
    let mut after_shebang = false;
    let mut end = 0;
    for number in 1.. {
        let Some(line) = line(&source, number) else { break };
        if number == 1 && !line.indented && line.text.value.starts_with("#!") {
            after_shebang = true;
            continue;
        }
        let Some(directive) = Directive::parse(&line) else {
            break;
        };
        if !reader.accept(&line, &directive, after_shebang) {
            break;
        }
        end = line.text.span.end;
    }
    (reader.directives, end)
}

/// A line of the source without its indentation and ending.
struct Line {
    text: Spanned<String>,
    indented: bool,
}

/// A comment of the form `key=value`, and where its value stands.
struct Directive {
    key: String,
    value: Spanned<String>,
}

struct Reader<'a> {
    report: &'a mut Report,
    directives: Directives,
    seen: Vec<String>,
}

impl Directive {
    fn parse(line: &Line) -> Option<Self> {
        let text = &line.text.value;
        let body = text.strip_prefix('#')?.trim_start();
        let (key, value) = body.split_once('=')?;
        let (key, value) = (key.trim_ascii_end(), value.trim_ascii());
        let is_word = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_word || value.is_empty() {
            return None;
        }
        let start = text.rfind(value)?;
        let value = Spanned::new(value.to_owned(), line.text.part(start..start + value.len()));
        Some(Self {
            key: key.to_ascii_lowercase(),
            value,
        })
    }
}

impl Reader<'_> {
    /// Takes a directive in; false ends the directives.
    fn accept(&mut self, line: &Line, directive: &Directive, after_shebang: bool) -> bool {
        if !["syntax", "escape", "check"].contains(&directive.key.as_str()) {
            return false;
        }
        if self.seen.contains(&directive.key) {
            self.report.error(
                line.text.span,
                format!("only one `{}` parser directive can be used", directive.key),
            );
            return true;
        }
        self.seen.push(directive.key.clone());
        match directive.key.as_str() {
            "escape" if !after_shebang => self.escape(&directive.value),
            "syntax" if !line.indented => self.syntax(&directive.value),
            "check" if !line.indented => self.check(&directive.value),
            _ => {}
        }
        true
    }

    fn escape(&mut self, value: &Spanned<String>) {
        match value.value.as_str() {
            "\\" => self.directives.escape = Escape::Backslash,
            "`" => self.directives.escape = Escape::Backtick,
            other => {
                let hint =
                    Some("the escape character is a backslash or a backtick, without quotes".to_owned());
                self.report
                    .error_with_hint(value.span, format!("invalid escape character `{other}`"), hint);
            }
        }
    }

    fn syntax(&mut self, value: &Spanned<String>) {
        let image = value.value.split(' ').next().unwrap_or_default();
        let span = value.part(0..image.len());
        if is_dockerfile_frontend(image) {
            self.directives.syntax = Some(Spanned::new(image.to_owned(), span));
            return;
        }
        let hint = Some("only `docker/dockerfile` is understood; no other frontend can be run".to_owned());
        self.report.error_with_hint(
            span,
            format!("unsupported frontend `{image}` in the syntax directive"),
            hint,
        );
    }

    /// The options end at the first space, so that a reason may follow them.
    fn check(&mut self, value: &Spanned<String>) {
        let options = value.value.split(' ').next().unwrap_or_default();
        match CheckOptions::parse(options) {
            Ok(options) => self.directives.check = Some(Spanned::new(options, value.span)),
            Err(error) => self
                .report
                .error_with_hint(value.span, error.to_string(), Some(error.hint())),
        }
    }
}

fn line(source: &SourceFile, number: usize) -> Option<Line> {
    let start = source.offset_of_line(number);
    let line = source.slice(start..source.offset_of_line(number + 1));
    let ending = line
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let end = start + line.len() - ending;
    let raw = source.line(number);
    let trimmed = raw.trim_start();
    let indentation = raw.len() - trimmed.len();
    (!line.is_empty()).then(|| Line {
        text: Spanned::new(trimmed.to_owned(), Span::new(start + indentation, end)),
        indented: indentation > 0,
    })
}

/// Whether an image is BuildKit's Dockerfile frontend, whatever its version and whichever registry mirrors it.
fn is_dockerfile_frontend(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let last_slash = name.rfind('/').unwrap_or(0);
    let name = name
        .rfind(':')
        .filter(|colon| *colon > last_slash)
        .map_or(name, |colon| &name[..colon]);
    let is = |repository: &str| name == repository || name.ends_with(&format!("/{repository}"));
    is("docker/dockerfile") || is("docker/dockerfile-upstream")
}

/// The words that Go reads as a truth value, which is what BuildKit accepts.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
