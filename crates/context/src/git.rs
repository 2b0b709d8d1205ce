use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells when the checked-out commit of a context that lies in a git work tree was made, in seconds since 1970.
///
/// A directory that lies in no work tree, or in one without commits, has no such time. The commit is read by the `git`
/// program, which knows every way in which repositories keep them; it is asked only where there is a `.git`.
///
/// # Errors
/// There is a `.git`, and the program is missing or refuses to read it: the result would silently be another one.
pub fn commit_time(context: &Path) -> Result<Option<i64>, GitError> {
    let Ok(absolute) = std::path::absolute(context) else {
        return Ok(None);
    };
    let Some(work_tree) = absolute
        .ancestors()
        .find(|directory| directory.join(".git").exists())
    else {
        return Ok(None);
    };
    let fault = |source| GitError::Program {
        work_tree: work_tree.to_owned(),
        source,
    };
    let mut git = Command::new("git");
    // No hook, pager, prompt or setting of the user takes part.
    git.arg("-C")
        .arg(work_tree)
        .args(["--no-pager", "log", "-1", "--no-show-signature", "--format=%ct"]);
    let output = git.env("GIT_TERMINAL_PROMPT", "0").output().map_err(fault)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(text.trim().parse().ok());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if message.contains("does not have any commits") {
        return Ok(None);
    }
    Err(GitError::Refused {
        work_tree: work_tree.to_owned(),
        message,
    })
}

/// Why the commit of a work tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The program could not be run.
    #[error("the commit of `{}` could not be read with `git`", work_tree.display())]
    Program {
        /// The work tree.
        work_tree: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The program refused, as it does for repositories of other users.
    #[error("`git` refused to read the commit of `{}`: {message}", work_tree.display())]
    Refused {
        /// The work tree.
        work_tree: PathBuf,
        /// Its own words.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(directory: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .current_dir(directory)
            .args(["-c", "user.name=t", "-c", "user.email=t@example"])
            .args(arguments)
            .env("GIT_COMMITTER_DATE", "1769846400 +0200")
            .output();
        assert!(status.unwrap().status.success());
    }

    #[test]
    fn only_a_checkout_has_a_time() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(commit_time(directory.path()).unwrap(), None);
        git(directory.path(), &["init", "-q"]);
        assert_eq!(commit_time(directory.path()).unwrap(), None);
        git(
            directory.path(),
            &["commit", "-q", "--allow-empty", "-m", "first"],
        );
        assert_eq!(commit_time(directory.path()).unwrap(), Some(1_769_846_400));
        std::fs::create_dir(directory.path().join("below")).unwrap();
        assert_eq!(
            commit_time(&directory.path().join("below")).unwrap(),
            Some(1_769_846_400)
        );
    }
}
