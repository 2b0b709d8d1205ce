use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::git_command::{Git, SHA256_LENGTH, Wanted, is_commit};
use crate::git_source::GitSource;

/// What the caller asks for beside the address.
#[derive(Clone, Debug, Default)]
pub struct CheckoutOptions {
    /// Whether `.git` stays: ADD's `--keep-git-dir`. The address decides when there is nothing here.
    pub keep_git_dir: Option<bool>,
    /// What the commit must start with: ADD's `--checksum`.
    pub checksum: Option<String>,
}

/// A repository that was checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// When it was made, in seconds since 1970.
    pub commit_time: i64,
    /// The directory that the address names: that of the check-out, or one inside of it.
    pub root: PathBuf,
}

impl GitSource {
    /// Fetches the commit and checks it out into a directory, which is made when it is not there and should be empty.
    ///
    /// The program `git` does the work, without any configuration, hook, template, credential helper or question, over
    /// http, https, ssh and git only. Only the commit is fetched where the server allows it. Submodules are fetched as
    /// well, unless the address forbids it. `.git` goes, unless it is kept and no subdirectory is asked for.
    ///
    /// Modes do not depend on the umask, and all times are that of the commit unless the address has `mtime=checkout`:
    /// the same commit gives the same files. (BuildKit leaves the time of the check-out unless told otherwise.)
    ///
    /// # Errors
    /// There is no `git`, it fails, the reference or the subdirectory is not there, or the commit is another one.
    pub fn check_out(&self, into: &Path, options: &CheckoutOptions) -> Result<Checkout, CheckoutError> {
        let checksum = self.agreed_checksum(options)?;
        let git = Git {
            source: self,
            directory: into,
        };
        fs_err::create_dir_all(into)?;
        git.init("sha1")?;
        let wanted = self.wanted(&git, checksum.as_deref())?;
        if wanted.object().len() == SHA256_LENGTH {
            fs_err::remove_dir_all(into.join(".git"))?;
            git.init("sha256")?;
        }
        let object = git.fetch(&wanted)?;
        let commit = git.commit_of(&object)?;
        verify_checksum(checksum.as_deref(), &object, &commit)?;
        git.run(
            "check out",
            &["checkout", "--quiet", "--force", "--detach", &commit],
        )?;
        if self.submodules && fs_err::symlink_metadata(into.join(".gitmodules")).is_ok() {
            let update = [
                "submodule",
                "--quiet",
                "update",
                "--init",
                "--recursive",
                "--depth=1",
            ];
            git.run("fetch the submodules of", &update)?;
        }
        let time = git.line(
            "read the commit of",
            &["show", "--no-patch", "--format=%ct", &commit],
        )?;
        let commit_time = time.parse().unwrap_or_default();
        let keep = self.agreed_keep(options) && self.subdirectory.is_none();
        match keep {
            true => git.forget_traces()?,
            false => remove_git_directories(into)?,
        }
        let root = self.root_in(into)?;
        normalise(into, (!self.checkout_mtime).then_some(commit_time))?;
        Ok(Checkout {
            commit,
            commit_time,
            root,
        })
    }

    fn agreed_checksum(&self, options: &CheckoutOptions) -> Result<Option<String>, CheckoutError> {
        let checksum = match (&self.checksum, &options.checksum) {
            (Some(ours), Some(theirs)) if !ours.eq_ignore_ascii_case(theirs) => {
                return Err(CheckoutError::Checksums {
                    first: theirs.clone(),
                    second: ours.clone(),
                });
            }
            (ours, theirs) => theirs.as_ref().or(ours.as_ref()),
        };
        match checksum {
            Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Err(CheckoutError::BadChecksum {
                    checksum: text.clone(),
                })
            }
            other => Ok(other.map(|text| text.to_ascii_lowercase())),
        }
    }

    fn agreed_keep(&self, options: &CheckoutOptions) -> bool {
        options.keep_git_dir.or(self.keep_git_dir).unwrap_or_default()
    }

    /// Finds out what to fetch, which takes a question to the server unless the commit is known.
    fn wanted(&self, git: &Git<'_>, checksum: Option<&str>) -> Result<Wanted, CheckoutError> {
        if let Some(commit) = self.reference.as_deref().filter(|text| is_commit(text)) {
            return Ok(Wanted::Commit(commit.to_owned()));
        }
        if self.fetch_by_commit {
            return match checksum.filter(|text| is_commit(text)) {
                Some(commit) => Ok(Wanted::Commit(commit.to_owned())),
                None => Err(CheckoutError::NoCommit),
            };
        }
        match &self.reference {
            Some(reference) => git.find_reference(reference),
            None => git.find_default_branch(),
        }
    }

    /// The directory of the address. As in BuildKit it must not be reached through a link.
    fn root_in(&self, into: &Path) -> Result<PathBuf, CheckoutError> {
        let mut root = into.to_owned();
        for component in Path::new(self.subdirectory.as_deref().unwrap_or_default()).components() {
            match component {
                Component::Normal(name) => root.push(name),
                Component::ParentDir if root != into => {
                    root.pop();
                }
                _ => {}
            }
            let is_directory = fs_err::symlink_metadata(&root).is_ok_and(|metadata| metadata.is_dir());
            if !is_directory {
                return Err(CheckoutError::Subdirectory {
                    remote: self.redacted_remote(),
                    path: self.subdirectory.clone().unwrap_or_default(),
                });
            }
        }
        Ok(root)
    }
}

/// Why a repository could not be checked out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError {
    /// The program is not installed.
    #[error("`{remote}` is fetched by the program `git`, which is not installed here")]
    NoGit {
        /// The repository.
        remote: String,
    },
    /// The program could not be run.
    #[error("the program `git` could not be run")]
    Program {
        /// What happened.
        source: io::Error,
    },
    /// The program failed.
    #[error("could not {action} `{remote}`: {message}")]
    Git {
        /// What it was to do.
        action: &'static str,
        /// The repository.
        remote: String,
        /// Its own words.
        message: String,
    },
    /// The repository has neither branch nor tag of the name.
    #[error("`{remote}` has no branch or tag `{reference}`; a commit must be given in full")]
    NoReference {
        /// The repository.
        remote: String,
        /// The name.
        reference: String,
    },
    /// The repository does not have the commit, or what has the name is none.
    #[error("`{remote}` has no commit `{object}`")]
    CommitAbsent {
        /// The repository.
        remote: String,
        /// What was asked for.
        object: String,
    },
    /// Fetching by commit without a commit.
    #[error("`fetch-by-commit` needs a whole commit, as `checksum` or as the reference")]
    NoCommit,
    /// A checksum that is no part of a commit.
    #[error("the checksum `{checksum}` is not the hexadecimal start of a commit")]
    BadChecksum {
        /// The checksum.
        checksum: String,
    },
    /// Two different checksums were given.
    #[error("the checksum is `{first}`, but `{second}` in the address")]
    Checksums {
        /// The one of the options.
        first: String,
        /// The one of the address.
        second: String,
    },
    /// The commit is another one.
    #[error("expected a commit that starts with `{expected}`, found {found}")]
    Checksum {
        /// The checksum.
        expected: String,
        /// The commit.
        found: String,
    },
    /// The subdirectory is not there, or is none.
    #[error("`{path}` is no directory in `{remote}`")]
    Subdirectory {
        /// The repository.
        remote: String,
        /// The subdirectory.
        path: String,
    },
    /// The files that were checked out could not be worked on.
    #[error("the check-out could not be finished")]
    Files {
        /// What happened, with the path.
        #[from]
        source: io::Error,
    },
}

/// A tag with a message is an object of its own: its name may be given as well as that of the commit.
fn verify_checksum(checksum: Option<&str>, object: &str, commit: &str) -> Result<(), CheckoutError> {
    match checksum {
        Some(expected) if !object.starts_with(expected) && !commit.starts_with(expected) => {
            Err(CheckoutError::Checksum {
                expected: expected.to_owned(),
                found: commit.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Removes the repository, and the files that lead from submodules into it.
fn remove_git_directories(directory: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let is_directory = entry.file_type()?.is_dir();
        match entry.file_name() == OsStr::new(".git") {
            true if is_directory => fs_err::remove_dir_all(entry.path())?,
            true => fs_err::remove_file(entry.path())?,
            false if is_directory => remove_git_directories(&entry.path())?,
            false => {}
        }
    }
    Ok(())
}

/// Gives everybody the owner's right to read and execute, so that the umask does not matter, and sets the time.
fn normalise(path: &Path, mtime: Option<i64>) -> io::Result<()> {
    let metadata = fs_err::symlink_metadata(path)?;
    if !metadata.is_symlink() {
        let owners = metadata.permissions().mode() & 0o700;
        let shared = owners & 0o500;
        let mode = owners | shared >> 3 | shared >> 6;
        fs_err::set_permissions(path, PermissionsExt::from_mode(mode))?;
    }
    if metadata.is_dir() {
        for entry in fs_err::read_dir(path)? {
            normalise(&entry?.path(), mtime)?;
        }
    }
    match mtime {
        Some(seconds) => set_mtime(path, seconds),
        None => Ok(()),
    }
}

fn set_mtime(path: &Path, seconds: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

#[cfg(test)]
mod tests;
