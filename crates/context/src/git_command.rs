use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::check_out::CheckoutError;
use crate::git_source::GitSource;

/// Runs git for one check-out.
pub(crate) struct Git<'a> {
    pub(crate) source: &'a GitSource,
    pub(crate) directory: &'a Path,
}

impl Git<'_> {
    pub(crate) fn init(&self, format: &str) -> Result<(), CheckoutError> {
        let format = format!("--object-format={format}");
        self.run(
            "make a repository for",
            &["init", "--quiet", "--template=", &format],
        )?;
        self.run(
            "make a repository for",
            &["remote", "add", "--", "origin", &self.source.remote],
        )?;
        Ok(())
    }

    /// Finds a branch or tag. Where both have the name it is the branch, as for `git checkout` and BuildKit.
    pub(crate) fn find_reference(&self, reference: &str) -> Result<Wanted, CheckoutError> {
        let listed = self.run("look into", &["ls-remote", "--", "origin", reference])?;
        for prefix in ["refs/", "refs/heads/", "refs/tags/"] {
            let name = format!("{prefix}{}", reference.strip_prefix(prefix).unwrap_or(reference));
            let line = listed
                .lines()
                .find_map(|line| line.strip_suffix(&format!("\t{name}")));
            if let Some(object) = line.filter(|object| is_commit(object)) {
                let object = object.to_owned();
                return Ok(Wanted::Reference { name, object });
            }
        }
        Err(self.no_reference(reference))
    }

    pub(crate) fn find_default_branch(&self) -> Result<Wanted, CheckoutError> {
        let listed = self.run("look into", &["ls-remote", "--symref", "--", "origin", "HEAD"])?;
        let heads: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.strip_suffix("\tHEAD"))
            .collect();
        let name = heads
            .iter()
            .find_map(|head| head.strip_prefix("ref: "))
            .unwrap_or("HEAD");
        match heads.iter().find(|head| is_commit(head)) {
            Some(object) => Ok(Wanted::Reference {
                name: name.to_owned(),
                object: (*object).to_owned(),
            }),
            None => Err(self.no_reference("HEAD")),
        }
    }

    /// Fetches, with no more history than must be, and returns the object that was asked for.
    pub(crate) fn fetch(&self, wanted: &Wanted) -> Result<String, CheckoutError> {
        const ACTION: &str = "fetch from";
        let (what, everything) = match wanted {
            Wanted::Commit(commit) => (commit.clone(), "+refs/*:refs/remotes/origin/*".to_owned()),
            Wanted::Reference { name, .. } if name == "HEAD" => (name.clone(), name.clone()),
            Wanted::Reference { name, .. } => (format!("+{name}:{name}"), format!("+{name}:{name}")),
        };
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--update-head-ok",
            "--no-recurse-submodules",
        ];
        let shallow = [&fetch[..], &["--depth=1", "--", "origin", &what]].concat();
        let full = [&fetch[..], &["--", "origin", &everything]].concat();
        match self.run(ACTION, &shallow) {
            Err(CheckoutError::Git { message, .. }) if is_about_depth(&message) => self.run(ACTION, &full)?,
            result => result?,
        };
        match wanted {
            Wanted::Commit(commit) => Ok(commit.clone()),
            Wanted::Reference { .. } => self.line("read the commit of", &["rev-parse", "FETCH_HEAD"]),
        }
    }

    /// The commit that an object is, or that a tag is of.
    pub(crate) fn commit_of(&self, object: &str) -> Result<String, CheckoutError> {
        let name = format!("{object}^{{commit}}");
        match self.line("read the commit of", &["rev-parse", "--verify", "--quiet", &name]) {
            Err(CheckoutError::Git { .. }) => Err(CheckoutError::CommitAbsent {
                remote: self.source.redacted_remote(),
                object: object.to_owned(),
            }),
            result => result,
        }
    }

    /// What stays in a kept `.git` does not tell passwords or when it was fetched.
    pub(crate) fn forget_traces(&self) -> Result<(), CheckoutError> {
        let remote = self.source.redacted_remote();
        self.run("clean up", &["remote", "set-url", "--", "origin", &remote])?;
        self.run("clean up", &["reflog", "expire", "--all", "--expire=now"])?;
        fs_err::remove_file(self.directory.join(".git/FETCH_HEAD")).or_else(ignore_absent)?;
        Ok(())
    }

    pub(crate) fn line(&self, action: &'static str, arguments: &[&str]) -> Result<String, CheckoutError> {
        Ok(self.run(action, arguments)?.trim().to_owned())
    }

    pub(crate) fn run(&self, action: &'static str, arguments: &[&str]) -> Result<String, CheckoutError> {
        let output = self.command().args(arguments).output().map_err(|source| {
            match source.kind() == io::ErrorKind::NotFound {
                true => CheckoutError::NoGit {
                    remote: self.source.redacted_remote(),
                },
                false => CheckoutError::Program { source },
            }
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let mut message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if let Some(credentials) = self.source.credentials() {
            message = message.replace(credentials, "***");
        }
        Err(CheckoutError::Git {
            action,
            remote: self.source.redacted_remote(),
            message,
        })
    }

    fn no_reference(&self, reference: &str) -> CheckoutError {
        CheckoutError::NoReference {
            remote: self.source.redacted_remote(),
            reference: reference.to_owned(),
        }
    }

    fn command(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.directory).stdin(Stdio::null());
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        for variable in FOREIGN_VARIABLES {
            git.env_remove(variable);
        }
        let protocols = match self.source.protocols {
            Protocols::Remote => "http:https:git:ssh",
            #[cfg(test)]
            Protocols::WithFiles => "http:https:git:ssh:file",
        };
        // The home is nowhere for the sake of .netrc. ssh does not look there: it finds keys and known hosts by the
        // user's entry in the system's list.
        git.env("GIT_ALLOW_PROTOCOL", protocols)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("XDG_CONFIG_HOME", "/dev/null")
            .env("HOME", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", SSH)
            .env("LC_ALL", "C");
        git
    }
}

/// Which transports git may use, for submodules too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// Those that an address can name.
    Remote,
    /// And `file`, without which no test could do.
    #[cfg(test)]
    WithFiles,
}

/// What is fetched.
pub(crate) enum Wanted {
    /// A commit that no name is known for.
    Commit(String),
    /// The whole name of a reference, and what it refers to.
    Reference { name: String, object: String },
}

impl Wanted {
    pub(crate) fn object(&self) -> &str {
        match self {
            Wanted::Commit(object) | Wanted::Reference { object, .. } => object,
        }
    }
}

/// The length of a commit in a repository of the newer format.
pub(crate) const SHA256_LENGTH: usize = 64;

/// What of the caller's environment could make git do something else: another repository, configuration, programs.
const FOREIGN_VARIABLES: [&str; 22] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_TEMPLATE_DIR",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_VARIANT",
    "GIT_PROXY_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_DEFAULT_HASH",
    "GIT_PROTOCOL_FROM_USER",
];

/// Settings that hold whatever the repository says.
const SETTINGS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "credential.helper=",
    "init.defaultBranch=master",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
];

/// BuildKit takes whatever key a host shows. Here an unknown host's key is taken, a known one's must not change.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new";

/// Tells whether it is a whole commit.
pub(crate) fn is_commit(text: &str) -> bool {
    [40, SHA256_LENGTH].contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Tells whether the server cannot give one commit alone, so that more must be fetched.
fn is_about_depth(message: &str) -> bool {
    ["shallow", "--depth", "not our ref", "unadvertised object"]
        .iter()
        .any(|words| message.contains(words))
}

fn ignore_absent(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}
