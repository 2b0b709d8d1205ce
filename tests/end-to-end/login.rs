//! `onlay login` and `logout`, and where credentials are taken from.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use onlay_testkit::{
    Credential, Front, FrontAuth, Registry, Strictness, TestBase, TokenManners, validate_registry,
};

use crate::onlay::{Home, Run, VAULT};

/// A registry that wants a password, and a home with a base to publish there.
struct Case {
    home: Home,
    registry: Registry,
    credential: Credential,
    base: String,
}

impl Case {
    fn new() -> Self {
        let home = Home::new();
        let credential = Credential::new("tester", "hunter2-secret");
        Self {
            base: home.test_base(&TestBase::FULL),
            registry: Registry::start_with_credential(&credential),
            home,
            credential,
        }
    }

    fn login(&self, more: &[&str]) -> Run {
        let arguments = ["login", self.registry.host(), "-u", "tester", "--password-stdin"];
        self.home
            .run_with_input(&[&arguments, more].concat(), "hunter2-secret\n")
    }

    fn apply(&self, more: &[&str]) -> Run {
        let destination = format!("{}/out:v", self.registry.host());
        let arguments: Vec<&str> = ["apply", &self.base]
            .into_iter()
            .chain(VAULT)
            .chain(["-t", &destination])
            .chain(more.iter().copied())
            .collect();
        self.home.run(&arguments)
    }

    fn is_published(&self) {
        let above = Strictness::LayersAbove(TestBase::LAYERS);
        validate_registry(self.registry.host(), "out", "v", Some(&self.credential), above);
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.home.join(".docker/config.json")).unwrap()
    }

    /// `{"auths":{HOST:{"auth":...}}}` with the right or the wrong password.
    fn entry(&self, password: &str) -> String {
        let credential = Credential::new("tester", password);
        let auth = credential.basic().trim_start_matches("Basic ").to_owned();
        serde_json::json!({ "auths": { self.registry.host(): { "auth": auth } } }).to_string()
    }
}

/// A directory with `docker-credential-fake`, which keeps what it is told in files, and notes how it was called.
pub(crate) fn fake_helper(home: &Home) -> String {
    let kept = home.join("kept").display().to_string();
    let script = format!(
        r#"#!/bin/sh
mkdir -p '{kept}'
tr '\0' ' ' </proc/$$/cmdline >>'{kept}/arguments'
input=$(cat)
case $1 in
store) server=$(printf %s "$input" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/') ;;
*) server=$input ;;
esac
file='{kept}'/$(printf %s "$server" | tr / _)
case $1 in
store) printf %s "$input" >"$file" ;;
get) cat "$file" 2>/dev/null || {{ echo "credentials not found in native keychain"; exit 1; }} ;;
erase) rm "$file" ;;
esac
"#
    );
    home.write("bin/docker-credential-fake", &script);
    let program = home.join("bin/docker-credential-fake");
    std::fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
    home.join("bin").display().to_string()
}

/// The path with the fake helper before all else.
pub(crate) fn path_with(directory: &str) -> String {
    format!("{directory}:{}", std::env::var("PATH").unwrap_or_default())
}

#[test]
fn a_login_is_kept_in_dockers_file_and_all_else_stays_there() {
    let case = Case::new();
    let refused = case.apply(&[]);
    let hint = format!("log in with `onlay login {}`", case.registry.host());
    assert!(refused.stderr.contains(&hint), "{}", refused.stderr);

    let before =
        r#"{"HttpHeaders": {"X": "y"}, "auths": {"other.example": {"auth": "eDp5"}}, "psFormat": "1.0e2"}"#;
    case.home.write(".docker/config.json", before);
    let run = case.login(&[]).success();
    assert_eq!(run.stdout, "");
    assert!(run.stderr.starts_with("logged in to"), "{}", run.stderr);
    let config = case.config();
    for kept in [
        r#""HttpHeaders": {"X": "y"}"#,
        r#""other.example": {"auth": "eDp5"}"#,
        r#""psFormat": "1.0e2""#,
    ] {
        assert!(config.contains(kept), "`{kept}` is not in {config}");
    }
    let metadata = std::fs::metadata(case.home.join(".docker/config.json")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    case.apply(&[]).success();
    case.is_published();

    let out = case.home.run(&["logout", case.registry.host()]).success();
    assert!(out.stderr.starts_with("logged out of"), "{}", out.stderr);
    assert!(!case.config().contains(case.registry.host()));
    assert!(case.config().contains("other.example"));
    let again = case.home.run(&["logout", case.registry.host()]).success();
    assert!(
        again.stderr.starts_with("there was no login to"),
        "{}",
        again.stderr
    );
    assert_eq!(case.apply(&[]).code, Some(1));
}

/// Another tool reads what was written.
#[test]
fn skopeo_reads_the_file() {
    let case = Case::new();
    let file = case.home.join("new/auth.json").display().to_string();
    case.login(&["--auth-file", &file]).success();
    case.apply(&["--auth-file", &file]).success();
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", "--authfile", &file])
        .arg(format!("docker://{}/out:v", case.registry.host()))
        .output()
        .expect("skopeo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_wrong_password_is_not_kept() {
    let case = Case::new();
    let arguments = ["login", case.registry.host(), "-u", "tester", "--password-stdin"];
    let run = case.home.run_with_input(&arguments, "wrong-secret");
    assert_eq!(run.code, Some(1));
    for words in [
        "failed to log in to",
        "401",
        "hint: check the user's name and the password",
    ] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("wrong-secret"), "{}", run.stderr);
    assert!(!case.home.join(".docker").exists());
}

#[test]
fn what_cannot_be_a_login_is_refused() {
    let home = Home::new();
    let cases: [(&[&str], &str); 7] = [
        (&["-u", "a", "--password", "hunter2-secret"], "`--password-stdin`"),
        (&["-u", "a", "-p", "hunter2-secret"], "`--password-stdin`"),
        (&["-u", "a", "--password"], "`--password-stdin`"),
        (&["-u", "a"], "there is no terminal"),
        (&["--password-stdin"], "there is no user name"),
        (&["-u", "a:b", "--password-stdin"], "no colon"),
        (&["-u", "a", "--password-stdin"], "expected a password"),
    ];
    for (more, words) in cases {
        let run = home.run(&[&["login", "h.example"], more].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.stderr.contains("hunter2-secret"), "{}", run.stderr);
    }
    home.write(".docker/config.json", r#"{"auths": "hunter2-secret"}"#);
    let run = home.run_with_input(&["login", "127.0.0.1:1", "-u", "a", "--password-stdin"], "x");
    assert!(!run.stderr.contains("hunter2-secret"), "{}", run.stderr);
}

#[test]
fn a_helper_keeps_the_password() {
    let mut case = Case::new();
    let directory = fake_helper(&case.home);
    case.home = case.home.with_variable("PATH", &path_with(&directory));
    let config = format!(r#"{{"credHelpers":{{"{}":"fake"}},"x":1}}"#, case.registry.host());
    case.home.write(".docker/config.json", &config);
    let run = case.login(&[]).success();
    assert!(run.stderr.contains("docker-credential-fake"), "{}", run.stderr);
    assert_eq!(case.config(), config);
    case.apply(&[]).success();
    case.is_published();
    let arguments = std::fs::read_to_string(case.home.join("kept/arguments")).unwrap();
    assert!(!arguments.contains("secret"), "{arguments}");

    let out = case.home.run(&["logout", case.registry.host()]).success();
    assert!(out.stderr.starts_with("logged out of"), "{}", out.stderr);
    let again = case.home.run(&["logout", case.registry.host()]).success();
    assert!(
        again.stderr.starts_with("there was no login to"),
        "{}",
        again.stderr
    );

    // An entry in the file would count before what the general helper has.
    let general = case.entry("wrong").replacen('{', r#"{"credsStore":"fake","#, 1);
    case.home.write(".docker/config.json", &general);
    case.login(&[]).success();
    case.apply(&[]).success();
    assert!(!case.config().contains("\"auth\""));
}

/// The order of registry.md §3.3: each source in turn has the right password, and all after it a wrong one.
#[test]
fn the_first_source_counts() {
    let case = Case::new();
    let right = case.entry("hunter2-secret");
    let wrong = case.entry("wrong");
    let password = case.home.write("right", "hunter2-secret\n");
    let other = case.home.write("wrong", "wrong\n");
    for first in 0..7 {
        let text = |index: usize| if index == first { &right } else { &wrong };
        let has = |index: usize| index >= first;
        let mut command = Vec::new();
        let mut home = Home::new();
        let flag = format!(
            "{}=tester:{}",
            case.registry.host(),
            if first == 0 { &password } else { &other }
        );
        let file = home.write("flag.json", text(1));
        if has(0) {
            command.extend(["--password-file", &flag]);
        }
        if has(1) {
            command.extend(["--auth-file", &file]);
        }
        if has(2) {
            home = home.with_variable("DOCKER_AUTH_CONFIG", text(2));
        }
        if has(3) {
            let file = home.write("registry.json", text(3));
            home = home.with_variable("REGISTRY_AUTH_FILE", &file);
        }
        if has(4) {
            home.write("run/containers/auth.json", text(4));
            let runtime = home.join("run").display().to_string();
            home = home.with_variable("XDG_RUNTIME_DIR", &runtime);
        }
        if has(5) {
            home.write(".config/containers/auth.json", text(5));
        }
        home.write(".docker/config.json", text(6));
        let destination = format!("{}/out:{first}", case.registry.host());
        let arguments = ["apply", &case.base, "ENV A=1", "-t", &destination];
        let run = home.run(&[&arguments[..], &command].concat());
        assert_eq!(run.code, Some(0), "source {first}: {}", run.stderr);
    }
    let shadowed = Case::new();
    let home = &shadowed.home;
    home.write(".config/containers/auth.json", &shadowed.entry("wrong"));
    let run = shadowed.login(&[]).success();
    assert!(run.stderr.contains("warning: images of"), "{}", run.stderr);
    let refused = shadowed.apply(&[]);
    let source = format!("hint: the entry `{}` in `", shadowed.registry.host());
    assert!(refused.stderr.contains(&source), "{}", refused.stderr);
}

/// What `podman login` wrote where no session is: a user's own directory below `/run/containers`, removed when dropped.
struct RunDirectory(std::path::PathBuf);

impl RunDirectory {
    fn with_auth_file(user: u32, text: &str) -> Self {
        let own = Self(format!("/run/containers/{user}").into());
        std::fs::create_dir_all(&own.0).expect("root may write to /run");
        std::fs::write(own.0.join("auth.json"), text).unwrap();
        own
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_user_without_a_session_has_a_file_by_number() {
    let case = Case::new();
    // A user that no machine has, and no other test that runs at the same time.
    let user = 1_000_000_000 + std::process::id();
    let _file = RunDirectory::with_auth_file(user, &case.entry("hunter2-secret"));
    chown(case.home.path(), Some(user), Some(user)).unwrap();
    let apply = |session: Option<&str>| {
        let destination = format!("{}/out:v", case.registry.host());
        let mut command = case
            .home
            .command(&["apply", &case.base, "ENV A=1", "-t", &destination]);
        command.uid(user).gid(user);
        command.envs(session.map(|session| ("XDG_RUNTIME_DIR", session)));
        Run::of(command.output().unwrap())
    };
    apply(None).success();
    // Where there is a session, its directory is the place, whatever is in it.
    let run = apply(Some("/nowhere"));
    assert!(
        run.code == Some(1) && run.stderr.contains("401"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_file_that_is_named_must_be_one() {
    let home = Home::new();
    let empty = home.write("empty", "\n");
    let broken = home.write("broken.json", r#"{"auths":["hunter2-secret"]}"#);
    let password = format!("h.example=a:{empty}");
    let cases: [(&[&str], &str); 5] = [
        (&["--auth-file", "none.json"], "`--auth-file`"),
        (
            &["--auth-file", &broken],
            "is not a docker configuration file: line 1, column",
        ),
        (
            &["--password-file", "h.example=none"],
            "expected HOST[/PATH]=USER:FILE",
        ),
        (&["--password-file", "h.example=a:none"], "none"),
        (&["--password-file", &password], "there is no password in it"),
    ];
    for (more, words) in cases {
        let run = home.run(&[&["apply", "127.0.0.1:1/a", "ENV A=1"], more].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.stderr.contains("hunter2-secret"), "{}", run.stderr);
    }
}

/// A registry that gives out tokens, and one that asks nobody.
#[test]
fn a_password_is_shown_to_the_token_endpoint() {
    let home = Home::new();
    let registry = Registry::start();
    let manners = TokenManners {
        credential: Some(Credential::new("tester", "hunter2-secret")),
        ..TokenManners::default()
    };
    let front = Front::start(registry.host(), FrontAuth::Tokens(manners));
    let login = |host: &str, password: &str| {
        home.run_with_input(&["login", host, "-u", "tester", "--password-stdin"], password)
    };
    login(front.host(), "hunter2-secret").success();
    let refused = login(front.host(), "wrong-secret");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("no token for"), "{}", refused.stderr);
    let open = login(registry.host(), "hunter2-secret").success();
    assert!(open.stderr.contains("was not checked"), "{}", open.stderr);
}

/// A terminal, by way of util-linux's `script`.
struct Terminal {
    process: Child,
    shown: String,
}

impl Terminal {
    fn start(home: &Home, command: &str) -> Self {
        let onlay = env!("CARGO_BIN_EXE_onlay");
        let process = Command::new("script")
            .args(["--quiet", "--return", "--command"])
            .arg(format!("trap : INT; '{onlay}' {command}; echo code $?; stty -a"))
            .arg("/dev/null")
            .env_clear()
            .env("HOME", home.path())
            .env("SHELL", "/bin/sh")
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs");
        Self {
            process,
            shown: String::new(),
        }
    }

    /// Waits for a question, and answers it.
    fn answer(&mut self, question: &str, answer: &str) {
        while !self.shown.ends_with(question) {
            let mut byte = [0];
            let count = self.process.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_ne!(count, 0, "`{question}` was not asked: {}", self.shown);
            self.shown.push(byte[0].into());
        }
        let stdin = self.process.stdin.as_mut().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
    }

    fn end(mut self) -> String {
        let mut rest = String::new();
        self.process
            .stdout
            .as_mut()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        self.process.wait().unwrap();
        self.shown + &rest
    }
}

#[test]
fn a_terminal_is_asked_and_shows_no_password() {
    let case = Case::new();
    let host = case.registry.host();
    let mut terminal = Terminal::start(&case.home, &format!("login {host}"));
    terminal.answer("User name: ", "tester\n");
    terminal.answer(&format!("Password for `{host}`: "), "hunter2-secret\n");
    let shown = terminal.end();
    assert!(
        shown.contains("code 0") && shown.contains("logged in to"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
    case.apply(&[]).success();
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let mut terminal = Terminal::start(&home, "login 127.0.0.1:1 -u tester");
    terminal.answer("Password for `127.0.0.1:1`: ", "\u{3}");
    let shown = terminal.end();
    assert!(shown.contains("code 130"), "{shown}");
    assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
}
