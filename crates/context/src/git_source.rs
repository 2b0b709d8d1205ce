use std::fmt;

use crate::git_command::Protocols;

/// A git repository as BuildKit's addresses name it, with what is to be checked out of it.
///
/// Understood are `https://host/path.git` and `http://...` (which must end in `.git`), `git://...`, `ssh://...`, and
/// `user@host:path`; then `#ref:subdirectory`, or a query of `ref`, `tag`, `branch`, `subdir`, `checksum` or `commit`,
/// `submodules`, `keep-git-dir`, `mtime` and `fetch-by-commit`. Repositories on this machine (`file://`) are not: a
/// path is a directory like any other.
///
/// ```
/// use onlay_context::GitSource;
///
/// let source = GitSource::parse("https://example.com/tools.git#v1:docker")?.unwrap();
/// assert_eq!(source.remote, "https://example.com/tools.git");
/// assert_eq!(source.reference.as_deref(), Some("v1"));
/// assert_eq!(source.subdirectory.as_deref(), Some("docker"));
/// assert!(GitSource::parse("https://example.com/tools.tar.gz")?.is_none());
/// # Ok::<(), onlay_context::GitAddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct GitSource {
    /// The repository, for git.
    pub remote: String,
    /// A branch, tag, `refs/...` or whole commit; the default branch when there is none.
    pub reference: Option<String>,
    /// The directory inside of it that is meant.
    pub subdirectory: Option<String>,
    /// What the commit must start with.
    pub checksum: Option<String>,
    /// Whether `.git` stays, when the address says so.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched.
    pub submodules: bool,
    /// Whether files get the time of the check-out rather than that of the commit.
    pub checkout_mtime: bool,
    /// Whether the commit of `checksum` is fetched without looking at the reference.
    pub fetch_by_commit: bool,
    pub(crate) protocols: Protocols,
}

impl GitSource {
    /// Reads an address; nothing when it is none of a git repository.
    ///
    /// # Errors
    /// It is one, and what follows the repository is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, GitAddressError> {
        let is_web = has_scheme(text, &["http", "https"]);
        let split = Split::of(text);
        if text.chars().any(char::is_control) || text.starts_with('-') {
            return Ok(None);
        }
        if is_web && split.remote.ends_with(".git") || has_scheme(text, &["git", "ssh"]) {
            return GitSource::from_split(&split, true).map(Some);
        }
        match is_scp_style(split.remote) {
            true => GitSource::from_split(&split, false).map(Some),
            false => Ok(None),
        }
    }

    /// Reads the address of a context, where `github.com/owner/repository` is one too.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_context(text: &str) -> Result<Option<Self>, GitAddressError> {
        if !text.starts_with("github.com/") || text.chars().any(char::is_control) {
            return GitSource::parse(text);
        }
        let text = format!("https://{text}");
        GitSource::from_split(&Split::of(&text), true).map(Some)
    }

    /// The address without a user name and password, to show.
    pub fn redacted_remote(&self) -> String {
        match self.credentials() {
            Some(credentials) => self.remote.replacen(&format!("{credentials}@"), "", 1),
            None => self.remote.clone(),
        }
    }

    /// What stands before the host of a web address.
    pub(crate) fn credentials(&self) -> Option<&str> {
        if !has_scheme(&self.remote, &["http", "https"]) {
            return None;
        }
        let (_, rest) = self.remote.split_once("://")?;
        let (authority, _) = rest.split_once('/')?;
        authority.rsplit_once('@').map(|(credentials, _)| credentials)
    }

    /// A repository on this machine.
    #[cfg(test)]
    pub(crate) fn on_this_machine(path: &std::path::Path) -> Self {
        let remote = format!("file://{}", path.display());
        GitSource {
            protocols: Protocols::WithFiles,
            ..GitSource::of(&remote)
        }
    }

    fn of(remote: &str) -> Self {
        GitSource {
            remote: remote.to_owned(),
            reference: None,
            subdirectory: None,
            checksum: None,
            keep_git_dir: None,
            submodules: true,
            checkout_mtime: false,
            fetch_by_commit: false,
            protocols: Protocols::Remote,
        }
    }

    fn from_split(split: &Split<'_>, is_url: bool) -> Result<Self, GitAddressError> {
        let mut source = GitSource::of(split.remote);
        let fragment = match is_url {
            true => unescape(split.fragment)?,
            false => split.fragment.to_owned(),
        };
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((&fragment, ""));
        source.reference = non_empty(reference.to_owned());
        source.subdirectory = non_empty(subdirectory.trim_matches('/').to_owned());
        let mut seen: Vec<String> = Vec::new();
        for pair in split.query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (unescape(key)?, unescape(&value.replace('+', " "))?);
            if seen.contains(&key) {
                return Err(GitAddressError::Twice { key });
            }
            source.set(&key, value)?;
            seen.push(key);
        }
        match source.reference.as_deref() {
            Some(reference) if reference.starts_with('-') => Err(GitAddressError::Reference {
                reference: reference.to_owned(),
            }),
            _ => Ok(source),
        }
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), GitAddressError> {
        match key {
            "submodules" => self.submodules = parse_flag(key, &value)?,
            "keep-git-dir" => self.keep_git_dir = Some(parse_flag(key, &value)?),
            "fetch-by-commit" => self.fetch_by_commit = parse_flag(key, &value)?,
            "ref" | "tag" | "branch" | "subdir" | "checksum" | "commit" | "mtime" if value.is_empty() => {
                return Err(GitAddressError::NoValue { key: key.to_owned() });
            }
            "ref" => agree(&mut self.reference, key, value)?,
            "tag" => agree(&mut self.reference, key, qualified("refs/tags/", value))?,
            "branch" => agree(&mut self.reference, key, qualified("refs/heads/", value))?,
            "subdir" => agree(&mut self.subdirectory, key, value.trim_matches('/').to_owned())?,
            "checksum" | "commit" => agree(&mut self.checksum, key, value)?,
            "mtime" => match value.as_str() {
                "checkout" => self.checkout_mtime = true,
                "commit" => self.checkout_mtime = false,
                _ => return Err(GitAddressError::ModificationTime { value }),
            },
            _ => return Err(GitAddressError::UnknownKey { key: key.to_owned() }),
        }
        Ok(())
    }
}

impl fmt::Debug for GitSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GitSource")
            .field("remote", &self.redacted_remote())
            .field("reference", &self.reference)
            .field("subdirectory", &self.subdirectory)
            .field("checksum", &self.checksum)
            .field("keep_git_dir", &self.keep_git_dir)
            .field("submodules", &self.submodules)
            .field("checkout_mtime", &self.checkout_mtime)
            .field("fetch_by_commit", &self.fetch_by_commit)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the address of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitAddressError {
    /// A key of the query that means nothing.
    #[error(
        "unknown key `{key}` in a git address; expected ref, tag, branch, subdir, checksum, commit, submodules, \
         keep-git-dir, mtime or fetch-by-commit"
    )]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key that stands there twice.
    #[error("`{key}` stands twice in a git address")]
    Twice {
        /// The key.
        key: String,
    },
    /// A key that needs a value.
    #[error("`{key}` has no value in a git address")]
    NoValue {
        /// The key.
        key: String,
    },
    /// Two parts of the address that say different things.
    #[error("a git address asks for `{first}` and, by `{key}`, for `{second}`")]
    Conflict {
        /// The key of the second.
        key: String,
        /// What was said before.
        first: String,
        /// What it says.
        second: String,
    },
    /// Neither true nor false.
    #[error("`{key}` is `{value}` in a git address; expected true or false")]
    Flag {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// An unknown time of modification.
    #[error("`mtime` is `{value}` in a git address; expected commit or checkout")]
    ModificationTime {
        /// Its value.
        value: String,
    },
    /// A reference that git could take for an option.
    #[error("`{reference}` is no git reference")]
    Reference {
        /// The reference.
        reference: String,
    },
    /// A `%` without two hexadecimal digits of a text after it.
    #[error("a `%` in `{text}` is not followed by the two digits of a character")]
    Escape {
        /// The part of the address.
        text: String,
    },
}

/// The parts of an address.
struct Split<'a> {
    remote: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Split<'a> {
    fn of(text: &'a str) -> Self {
        let (head, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = head.split_once('?').unwrap_or((head, ""));
        Split {
            remote,
            query,
            fragment,
        }
    }
}

/// Tells whether the text starts with one of these schemes, in whatever case.
pub(crate) fn has_scheme(text: &str, schemes: &[&str]) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// Tells whether it is `user@host:path`.
fn is_scp_style(remote: &str) -> bool {
    let Some((user, rest)) = remote.split_once('@') else {
        return false;
    };
    let Some((host, _)) = rest.split_once(':') else {
        return false;
    };
    let all = |text: &str, others: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || others.contains(character))
    };
    all(user, "-_") && all(host, "-.")
}

fn qualified(prefix: &str, name: String) -> String {
    match name.starts_with(prefix) {
        true => name,
        false => format!("{prefix}{name}"),
    }
}

fn agree(field: &mut Option<String>, key: &str, second: String) -> Result<(), GitAddressError> {
    match field.replace(second.clone()) {
        Some(first) if first != second => Err(GitAddressError::Conflict {
            key: key.to_owned(),
            first,
            second,
        }),
        _ => Ok(()),
    }
}

/// A key without a value switches on. The words are those of Go's `strconv.ParseBool`.
fn parse_flag(key: &str, value: &str) -> Result<bool, GitAddressError> {
    match value {
        "" | "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(GitAddressError::Flag {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn unescape(text: &str) -> Result<String, GitAddressError> {
    let fault = || GitAddressError::Escape {
        text: text.to_owned(),
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).ok_or_else(fault)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(fault);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

#[cfg(test)]
mod tests;
