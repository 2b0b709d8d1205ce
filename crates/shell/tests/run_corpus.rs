//! The lines of `tests/run-corpus`: how many are interpreted, and whether those do what they did when they were run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that prints its result"
)]

mod support;

use onlay_layer::Tree;
use onlay_shell::{CommandLine, Line, NotUnderstood, Outcome, Tools, interpret};

const CORPUS: &str = include_str!("../../../tests/run-corpus/lines.tsv");

/// The least share of the lines that must be interpreted, in percent.
const LEAST_SHARE: usize = 60;

/// The directories that every line finds, as tests/run-corpus/README.md lists them.
const DIRECTORIES: &[&str] = &[
    "etc",
    "usr",
    "usr/bin",
    "usr/local",
    "usr/local/bin",
    "usr/lib",
    "usr/share",
    "var",
    "var/log",
    "var/lib",
    "var/cache",
    "opt",
    "home",
    "root",
    "srv",
    "mnt",
    "media",
    "bin",
    "sbin",
    "lib",
    "run",
    "dev",
];

/// What GNU's tools take and busybox's refuse, rightly.
const NOT_FOR_BUSYBOX: &[&str] = &["chmod +700", "chmod =2775"];

struct Case<'c> {
    id: &'c str,
    user: &'c str,
    line: String,
    needs: Vec<&'c str>,
}

fn cases() -> Vec<Case<'static>> {
    CORPUS.lines().skip(1).map(case).collect()
}

fn case(row: &'static str) -> Case<'static> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [id, user, line, _source, needs] = columns[..] else {
        panic!("not a row: {row}")
    };
    let needs = needs.split(',').filter(|need| !need.is_empty()).collect();
    Case {
        id,
        user,
        line: line.replace('␤', "\n"),
        needs,
    }
}

/// The base of a line: as text, with users and groups, and its programs.
struct Base {
    lines: Vec<String>,
    passwd: String,
    group: String,
    environment: Vec<(String, String)>,
    working_directory: String,
}

impl Base {
    fn of(case: &Case<'_>, distribution: &str) -> Self {
        let mut base = Self {
            lines: DIRECTORIES
                .iter()
                .map(|name| format!("d 755 0:0 {name}"))
                .collect(),
            passwd: "root:x:0:0::/root:/bin/sh\\n".to_owned(),
            group: "root:x:0:\\n".to_owned(),
            environment: vec![
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("HOME".to_owned(), "/root".to_owned()),
            ],
            working_directory: "/".to_owned(),
        };
        base.lines.push("d 1777 0:0 tmp".to_owned());
        base.lines.extend(distribution.lines().map(str::to_owned));
        for name in support::COMMANDS {
            base.lines.push(match distribution == support::ALPINE {
                true => format!("l bin/{name} -> /bin/busybox"),
                false => format!("x 755 0:0 bin/{name}"),
            });
        }
        // Names first: owners are looked up in them.
        for need in &case.needs {
            base.name(need);
        }
        for need in &case.needs {
            base.file(need);
        }
        base
    }

    fn name(&mut self, need: &str) {
        let number = |list: &str| 1000 + list.matches("\\n").count();
        if let Some(name) = need.strip_prefix("user:") {
            let uid = number(&self.passwd);
            self.passwd += &format!("{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\\n");
        } else if let Some(name) = need.strip_prefix("group:") {
            let gid = number(&self.group);
            self.group += &format!("{name}:x:{gid}:\\n");
        } else if let Some(variable) = need.strip_prefix("env:") {
            let (name, value) = variable.split_once('=').unwrap();
            self.environment.push((name.to_owned(), value.to_owned()));
        } else if let Some(path) = need.strip_prefix("cwd:") {
            self.working_directory = path.to_owned();
            self.parents(&format!("{path}/x"));
        }
    }

    fn file(&mut self, need: &str) {
        let Some((path, what)) = need.split_once(':').filter(|(path, _)| path.starts_with('/')) else {
            return;
        };
        let name = path.trim_start_matches('/');
        self.parents(path);
        let (what, owner) = what.split_once('@').unwrap_or((what, "root"));
        let uid = self.uid(owner);
        let gone = |line: &String| !(line.starts_with("d ") && line.ends_with(&format!(" {name}")));
        self.lines.retain(gone);
        self.lines.push(match what.split_once('=').unwrap_or((what, "")) {
            ("dir", _) => format!("d 755 {uid}:{uid} {name}"),
            ("link", target) => format!("l {name} -> {target}"),
            ("file", text) if name == "etc/group" && text.is_empty() => return,
            ("file", text) => format!("f 644 {uid}:{uid} {name} {text}"),
            _ => panic!("not a need: {need}"),
        });
    }

    fn uid(&self, owner: &str) -> usize {
        let entries = self
            .passwd
            .split("\\n")
            .find(|entry| entry.starts_with(&format!("{owner}:")));
        entries.map_or_else(
            || owner.parse().unwrap(),
            |entry| entry.split(':').nth(2).unwrap().parse().unwrap(),
        )
    }

    fn parents(&mut self, path: &str) {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        for end in 1..names.len() {
            let name = names[..end].join("/");
            let known = self
                .lines
                .iter()
                .any(|line| line.ends_with(&format!(" {name}")) || line.starts_with(&format!("l {name} ")));
            if !known {
                self.lines.push(format!("d 755 0:0 {name}"));
            }
        }
    }

    fn tree(&self) -> Tree {
        let names = format!(
            "f 644 0:0 etc/passwd {}\nf 644 0:0 etc/group {}",
            self.passwd, self.group
        );
        support::tree(&[self.lines.join("\n"), names].join("\n"))
    }
}

fn interpret_case(case: &Case<'_>, distribution: &str) -> Outcome {
    let base = Base::of(case, distribution);
    let arguments: Option<Vec<String>> = case.line.starts_with('[').then(|| {
        let inner = case.line.trim_matches(['[', ']']);
        inner
            .split(',')
            .map(|argument| argument.trim().trim_matches('"').to_owned())
            .collect()
    });
    let command = match &arguments {
        Some(arguments) => CommandLine::Exec(arguments),
        None => CommandLine::Shell(&case.line),
    };
    let line = Line {
        command,
        shell: &["/bin/sh".to_owned(), "-c".to_owned()],
        environment: &base.environment,
        working_directory: base.working_directory.as_bytes(),
        user: case.user,
        tools: Tools::Image,
    };
    interpret(&line, &base.tree())
}

#[test]
fn enough_lines_are_interpreted_and_all_of_those_succeed() {
    for (name, distribution) in [
        ("dash, GNU", support::DEBIAN),
        ("bash, GNU", support::FEDORA),
        ("busybox", support::ALPINE),
    ] {
        let cases = cases();
        let mut refused: Vec<(&str, NotUnderstood)> = Vec::new();
        for case in &cases {
            match interpret_case(case, distribution) {
                Outcome::Done(_) => {}
                Outcome::NotUnderstood(refusal) => refused.push((case.id, refusal)),
                Outcome::Failed(_)
                    if name == "busybox"
                        && NOT_FOR_BUSYBOX.iter().any(|start| case.line.starts_with(start)) => {}
                other => panic!("{} `{}` with {name}: {other:?}", case.id, case.line),
            }
        }
        let share = (cases.len() - refused.len()) * 100 / cases.len();
        for (id, refusal) in &refused {
            println!("{id} {refusal}");
        }
        println!("{name}: {share} % of {} lines interpreted", cases.len());
        assert!(
            share >= LEAST_SHARE,
            "{name}: {share} % interpreted, expected at least {LEAST_SHARE} %"
        );
    }
}
