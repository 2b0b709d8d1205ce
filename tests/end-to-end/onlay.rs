//! The binary, run as a user would, with nothing of the tester's own environment.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use onlay_testkit::Layout;
use onlay_testkit::TestBase;
use tempfile::TempDir;

/// The three lines that people run Docker in a privileged project for.
pub(crate) const VAULT: [&str; 3] = [
    "RUN mkdir /etc/vault",
    "RUN chmod 777 /etc/vault",
    r#"VOLUME ["/etc/vault"]"#,
];

/// A home of its own: cache, temporary files and whatever else a test needs.
pub(crate) struct Home {
    directory: TempDir,
    environment: BTreeMap<String, String>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: TempDir::new().expect("a temporary directory"),
            environment: BTreeMap::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file and gives its path as text.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory");
        }
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// Sets a variable for every run.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes the test base into a layout and gives its location.
    pub(crate) fn test_base(&self, base: &TestBase) -> String {
        let layout = Layout::create(self.join("base"));
        base.write(&layout, "1");
        format!("oci:{}:1", self.join("base").display())
    }

    pub(crate) fn command<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onlay"));
        command
            .args(arguments.iter().map(AsRef::as_ref))
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .envs(&self.environment)
            .stdin(Stdio::null())
            .current_dir(self.path());
        command
    }

    pub(crate) fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Run {
        Run::of(self.command(arguments).output().expect("onlay runs"))
    }

    /// The same, with something on standard input.
    pub(crate) fn run_with_input<S: AsRef<str>>(&self, arguments: &[S], input: &str) -> Run {
        let mut command = self.command(arguments);
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = piped.spawn().expect("onlay runs");
        // It may end before it reads.
        _ = process.stdin.take().expect("a pipe").write_all(input.as_bytes());
        Run::of(process.wait_with_output().expect("onlay ends"))
    }

    /// `onlay apply` of the vault's lines, which must succeed.
    pub(crate) fn apply_vault(&self, base: &str, more: &[&str]) -> Run {
        let arguments: Vec<&str> = ["apply", base]
            .into_iter()
            .chain(VAULT)
            .chain(more.iter().copied())
            .collect();
        self.run(&arguments).success()
    }
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The digest at the end of each line of standard output.
    #[track_caller]
    pub(crate) fn digests(&self) -> Vec<String> {
        let digest = |line: &str| {
            line.rsplit_once('@')
                .map_or(line, |(_, digest)| digest)
                .to_owned()
        };
        let digests: Vec<String> = self.stdout.lines().map(digest).collect();
        assert!(
            digests.iter().all(|digest| digest.starts_with("sha256:")),
            "{}",
            self.stdout
        );
        digests
    }

    #[track_caller]
    pub(crate) fn digest(&self) -> String {
        let [digest] = <[String; 1]>::try_from(self.digests()).expect("one line");
        digest
    }
}
