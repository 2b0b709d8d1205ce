use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use crate::clean::clean;
use crate::pattern::PatternError;
use crate::rule::Rule;

/// Which paths are left out: the patterns of a `.dockerignore`, or of COPY's `--exclude`.
///
/// The last pattern that matches a path, or a directory that it lies in, decides. Paths are relative to the root, with
/// slashes and no slash at the start. The meaning is that of moby's patternmatcher, its oddities included: `**` matches
/// any number of directories but does not run across a newline in a name, and a backslash before a letter is an escape
/// of a regular expression. Two oddities are not kept: a `*` or `?` between brackets is that character, and the escapes
/// `\p`, `\Q` and of octal numbers are refused.
///
/// ```
/// use onlay_context::Ignore;
///
/// let ignore = Ignore::parse(b"# all but the sources\n*\n!src\n**/*.o\n")?;
/// assert!(ignore.matches(b"Makefile"));
/// assert!(!ignore.matches(b"src/main.c"));
/// assert!(ignore.matches(b"src/main.o"));
/// # Ok::<(), onlay_context::IgnoreError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// What the patterns say of one path, from which what they say of the paths right below it is found without matching
/// the directories again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many patterns need not be asked for anything below: the last of them decides unless a later one matches.
    settled: usize,
    ignored: bool,
}

impl Verdict {
    /// Tells whether the path is left out.
    pub fn is_ignored(self) -> bool {
        self.ignored
    }
}

impl Ignore {
    /// Leaves nothing out.
    pub fn none() -> Self {
        Ignore::default()
    }

    /// Reads a `.dockerignore`.
    ///
    /// A mark of the byte order at the start is dropped, lines that start with `#` are comments, spaces around a
    /// pattern and a slash before it do not count.
    ///
    /// # Errors
    /// A pattern is wrong; the first one is told, with its line.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fault = |source| IgnoreError::Line {
                line: index + 1,
                pattern: line.trim_with(char::is_whitespace).into(),
                source,
            };
            if let Some(pattern) = pattern_of_line(line) {
                rules.extend(Rule::parse(&pattern).map_err(fault)?);
            }
        }
        Ok(Ignore { rules })
    }

    /// Makes a list of patterns that come one by one, as those of `--exclude` do.
    ///
    /// Unlike in a file, a slash at the start of a pattern stays, and such a pattern matches nothing.
    ///
    /// # Errors
    /// A pattern is wrong; the first one is told.
    pub fn from_patterns<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let fault = |source| IgnoreError::Pattern {
                pattern: pattern.into(),
                source,
            };
            rules.extend(Rule::parse(pattern).map_err(fault)?);
        }
        Ok(Ignore { rules })
    }

    /// Reads the ignore file at a path.
    ///
    /// # Errors
    /// The file cannot be read, or a pattern in it is wrong.
    pub fn read(file: &Path) -> Result<Self, IgnoreFileError> {
        let text = fs_err::read(file).map_err(|source| IgnoreFileError::Read { source })?;
        Ignore::parse(&text).map_err(|source| IgnoreFileError::Pattern {
            file: file.to_owned(),
            source,
        })
    }

    /// The patterns, cleaned, those that take paths back in with their `!`.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.rules
            .iter()
            .map(|rule| rule.text.to_str_lossy().into_owned())
    }

    /// Tells whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Tells whether a path is left out, itself or with a directory that it lies in.
    ///
    /// The root, `.` or nothing, never is.
    pub fn matches(&self, path: &[u8]) -> bool {
        if path.is_empty() || path == b"." {
            return false;
        }
        let directories = path.find_iter(b"/").map(|end| &path[..end]);
        directories
            .chain([path])
            .fold(Verdict::default(), |parent, path| self.verdict(parent, path))
            .is_ignored()
    }

    /// Says what the patterns say of a path, given what they say of the directory it lies in; for the root's own
    /// entries that is `Verdict::default()`.
    pub fn verdict(&self, directory: Verdict, path: &[u8]) -> Verdict {
        let later = &self.rules[directory.settled..];
        match later.iter().rposition(|rule| rule.matches(path)) {
            None => directory,
            Some(index) => Verdict {
                settled: directory.settled + index + 1,
                ignored: !later[index].is_exception,
            },
        }
    }

    /// Tells whether a path below an ignored directory could be taken back in, so that the directory must be read.
    pub fn may_restore_below(&self, verdict: Verdict, directory: &[u8]) -> bool {
        self.rules[verdict.settled..]
            .iter()
            .any(|rule| rule.is_exception && rule.may_match_below(directory))
    }
}

/// Finds the ignore file of a Dockerfile and a context: `<Dockerfile>.dockerignore` beside the Dockerfile, else
/// `.dockerignore` in the context's root, else none. They are never combined.
///
/// # Errors
/// It cannot be told whether one of them is there.
pub fn find_ignore_file(dockerfile: Option<&Path>, context: &Path) -> io::Result<Option<PathBuf>> {
    let own = dockerfile.map(|dockerfile| {
        let mut name = OsString::from(dockerfile);
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    for candidate in own.into_iter().chain([context.join(".dockerignore")]) {
        match fs_err::metadata(&candidate) {
            Ok(_) => return Ok(Some(candidate)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Why an ignore list is no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoreError {
    /// A line of a file.
    #[error("line {line}: bad pattern `{pattern}`")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line without the spaces around it.
        pattern: BString,
        /// What is wrong.
        source: PatternError,
    },
    /// A pattern that stands alone.
    #[error("bad pattern `{pattern}`")]
    Pattern {
        /// The pattern.
        pattern: BString,
        /// What is wrong.
        source: PatternError,
    },
}

/// Why an ignore file is no good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoreFileError {
    /// It cannot be read.
    #[error("the ignore file cannot be read")]
    Read {
        /// What happened, with the path.
        source: io::Error,
    },
    /// A pattern in it is wrong.
    #[error("`{}` cannot be used", file.display())]
    Pattern {
        /// The file.
        file: PathBuf,
        /// The line, and what is wrong.
        source: IgnoreError,
    },
}

/// What a line says, cleaned as moby's reader of ignore files does before the patterns are compiled.
fn pattern_of_line(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(b"#") {
        return None;
    }
    let line = line.trim_with(char::is_whitespace);
    let (mark, path) = match line.strip_prefix(b"!") {
        Some(path) => (&b"!"[..], path.trim_with(char::is_whitespace)),
        None => (&b""[..], line),
    };
    if path.is_empty() {
        return (!mark.is_empty()).then(|| mark.to_vec());
    }
    let path = clean(path);
    let relative = match path.strip_prefix(b"/") {
        Some(relative) if !relative.is_empty() => relative,
        _ => &path,
    };
    Some([mark, relative].concat())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
