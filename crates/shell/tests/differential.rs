//! The interpreter against the real thing: each line is interpreted, and run in a chroot by busybox, by dash and by bash
//! with GNU tools; trees, statuses and messages must be the same.
//!
//! Needs root, busybox (statically linked), dash, bash and coreutils: without them it fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that prints its result"
)]

mod support;

use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use onlay_shell::{Outcome, Tools};
use tempfile::TempDir;

/// What every line finds beside names, places and commands.
const FILES: &str = r"
    d 755 0:0 d
    f 644 0:0 d/.hidden
    f 644 0:0 d/a one\n
    l d/dangling -> nowhere
    l d/link -> sub
    f 755 0:0 d/run #!/bin/sh\n
    d 2775 0:50 d/shared
    d 755 0:0 d/sub
    f 600 33:33 d/sub/b two\n
    d 700 33:33 d/sub/deep
    f 444 0:0 d/sub/deep/c
    f 4755 1000:50 d/suid x
    l d/tofile -> a
    d 755 0:0 empty
";

/// The lines, one a row.
const LINES: &str = include_str!("differential/lines.txt");

/// The least share of lines that must be interpreted rather than refused, in percent.
const LEAST_SHARE: usize = 85;

/// Directories that hold programs, libraries and devices.
const NOT_COMPARED: &[&str] = &["bin", "dev", "lib", "lib64", "usr"];

#[test]
fn busybox_does_the_same() {
    // What this busybox was built without is not in the image.
    let output = Command::new("/bin/busybox").arg("--list").output().unwrap();
    let applets = String::from_utf8(output.stdout).unwrap();
    let has = |name: &&&str| applets.lines().any(|applet| applet == **name);
    let commands: Vec<&str> = support::COMMANDS.iter().filter(has).copied().collect();
    compare("/bin/sh", support::ALPINE, &commands, |root| {
        copy("/bin/busybox", root, "bin/busybox");
        for name in commands.iter().chain(&["sh"]) {
            fs::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(name)).unwrap();
        }
    });
}

#[test]
fn dash_and_gnu_do_the_same() {
    compare("/bin/sh", support::DEBIAN, support::COMMANDS, |root| {
        copy("/bin/dash", root, "bin/dash");
        fs::os::unix::fs::symlink("dash", root.join("bin/sh")).unwrap();
        copy_gnu(root);
    });
}

#[test]
fn bash_and_gnu_do_the_same() {
    compare("/bin/sh", support::FEDORA, support::COMMANDS, copy_bash);
}

/// Under its own name bash follows POSIX less closely.
#[test]
fn bash_by_its_own_name_does_the_same() {
    compare("/bin/bash", support::FEDORA, support::COMMANDS, copy_bash);
}

/// Runs every line both ways, one after the other in one root: all but the programs is made anew for each.
fn compare(shell: &str, distribution: &str, commands: &[&str], programs: impl Fn(&Path)) {
    let work = TempDir::new().unwrap();
    let root = work.path().join("root");
    for directory in NOT_COMPARED {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    programs(&root);
    call(
        Command::new("/bin/mknod")
            .arg("-m666")
            .arg(root.join("dev/null"))
            .args(["c", "1", "3"]),
    );
    let before = support::base(distribution, commands, FILES);
    let (mut lines, mut refused, mut differences) = (0, Vec::new(), Vec::new());
    for line in LINES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
    {
        let line = line.replace('␤', "\n");
        lines += 1;
        let interpreted = match support::run_by(shell, &line, &before, &[("HOME", "/root")], Tools::Image) {
            Outcome::Done(done) => Observed::new(0, &done.output, compared(support::print(&done.tree))),
            Outcome::Failed(failure) => Observed::new(failure.status, &failure.output, Vec::new()),
            Outcome::NotUnderstood(refusal) => {
                refused.push(format!("{line}\n    {refusal}"));
                continue;
            }
            Outcome::Needs(need) => panic!("the base is complete, but {need:?}"),
        };
        let executed = execute(&root, shell, &line);
        if interpreted != executed {
            differences.push(format!("{line}\n{}", interpreted.difference(&executed)));
        }
    }
    let share = (lines - refused.len()) * 100 / lines;
    println!(
        "{shell}: {share} % of {lines} lines compared; refused:\n{}",
        refused.join("\n")
    );
    assert!(
        differences.is_empty(),
        "{shell}: {} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(
        share >= LEAST_SHARE,
        "{shell}: {share} % interpreted, expected at least {LEAST_SHARE} %"
    );
}

/// What is seen of a line, be it interpreted or executed.
#[derive(Debug, PartialEq)]
struct Observed {
    status: u8,
    output: Vec<String>,
    /// Only where it succeeds: a failed RUN leaves no layer.
    files: Vec<String>,
}

impl Observed {
    fn new(status: u8, output: &[u8], files: Vec<String>) -> Self {
        let output = String::from_utf8_lossy(output)
            .lines()
            .map(str::to_owned)
            .collect();
        Self {
            status,
            output,
            files,
        }
    }
}

impl Observed {
    /// What only the one and what only the other has.
    fn difference(&self, executed: &Self) -> String {
        let lines = |own: &Self| -> Vec<String> {
            let status = std::iter::once(format!("status {}", own.status));
            let output = own.output.iter().map(|line| format!("says {line}"));
            status.chain(output).chain(own.files.iter().cloned()).collect()
        };
        let (interpreted, executed) = (lines(self), lines(executed));
        let only = |mark: &str, own: &[String], other: &[String]| -> String {
            own.iter()
                .filter(|line| !other.contains(line))
                .map(|line| format!("  {mark} {line}\n"))
                .collect()
        };
        only("interpreted", &interpreted, &executed) + &only("executed   ", &executed, &interpreted)
    }
}

/// Leaves out what is not compared, and times, which a chroot has of its own.
fn compared(lines: Vec<String>) -> Vec<String> {
    let is_compared = |line: &String| {
        let name = support::name_of(line).split('/').next().unwrap_or_default();
        !NOT_COMPARED.contains(&name)
            && !line.ends_with("etc/os-release @")
            && !line.contains(" etc/os-release ")
    };
    lines
        .into_iter()
        .filter(is_compared)
        .map(|line| line.trim_end_matches(" @").to_owned())
        .collect()
}

fn execute(root: &Path, shell: &str, line: &str) -> Observed {
    clear(root);
    for entry in [support::PLACES, FILES]
        .concat()
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty())
    {
        make(root, entry);
    }
    let log = root.with_extension("log");
    let output = fs::File::create(&log).unwrap();
    let status = Command::new("/usr/sbin/chroot")
        .arg(root)
        .args([shell, "-c", line])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/root")])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(output.file().try_clone().unwrap()))
        .stderr(Stdio::from(output.into_parts().0))
        .status()
        .unwrap();
    let status = u8::try_from(status.code().unwrap()).unwrap();
    let files = if status == 0 {
        compared(Disk::list(root))
    } else {
        Vec::new()
    };
    Observed::new(status, &fs::read(&log).unwrap(), files)
}

/// Removes what the line before left.
fn clear(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !NOT_COMPARED.contains(&name) {
            let is_directory = fs::symlink_metadata(&path).unwrap().is_dir();
            if is_directory {
                fs::remove_dir_all(&path).unwrap()
            } else {
                fs::remove_file(&path).unwrap()
            }
        }
    }
}

fn call(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes a file from its line of text.
fn make(root: &Path, line: &str) {
    let words: Vec<&str> = line.splitn(5, ' ').collect();
    if let ["l", name, "->", target] = words[..] {
        return fs::os::unix::fs::symlink(target, root.join(name)).unwrap();
    }
    let [kind, mode, owner, name, ..] = words[..] else {
        panic!("not an entry: {line}")
    };
    let path = root.join(name);
    match kind {
        "d" => fs::create_dir_all(&path).unwrap(),
        _ => fs::write(&path, support::unescape(words.get(4).unwrap_or(&""))).unwrap(),
    }
    let (uid, gid) = owner.split_once(':').unwrap();
    std::os::unix::fs::chown(&path, uid.parse().ok(), gid.parse().ok()).unwrap();
    let mode = u32::from_str_radix(mode, 8).unwrap();
    fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Prints files on disk as `support::print` prints trees.
struct Disk<'r> {
    root: &'r Path,
    lines: Vec<String>,
    seen: HashMap<u64, String>,
}

impl<'r> Disk<'r> {
    fn list(root: &'r Path) -> Vec<String> {
        let mut disk = Self {
            root,
            lines: Vec::new(),
            seen: HashMap::new(),
        };
        disk.directory(root);
        disk.lines
    }

    fn directory(&mut self, directory: &Path) {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort_by_key(|path| path.file_name().unwrap().to_owned());
        for path in paths {
            let name = path.strip_prefix(self.root).unwrap().to_str().unwrap().to_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let line = self.line(&path, &name, &metadata);
            self.lines.push(line);
            if metadata.is_dir() {
                self.directory(&path);
            }
        }
    }

    fn line(&mut self, path: &Path, name: &str, metadata: &std::fs::Metadata) -> String {
        let owned = format!(
            "{:o} {}:{}",
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid()
        );
        if metadata.is_dir() {
            return format!("d {owned} {name}");
        }
        if let Some(first) = self.seen.get(&metadata.ino()) {
            return format!("h {name} = {first}");
        }
        self.seen.insert(metadata.ino(), name.to_owned());
        if metadata.is_symlink() {
            let target = fs::read_link(path).unwrap();
            let owner = match (metadata.uid(), metadata.gid()) {
                (0, 0) => String::new(),
                (uid, gid) => format!(" ({uid}:{gid})"),
            };
            return format!("l {name} -> {}{owner}", target.display());
        }
        if metadata.file_type().is_char_device() {
            return format!("c {owned} {name}");
        }
        let text = String::from_utf8_lossy(&fs::read(path).unwrap())
            .replace('\n', "\\n")
            .replace('\t', "\\t");
        let space = if text.is_empty() { "" } else { " " };
        format!("f {owned} {name}{space}{text}")
    }
}

fn copy(from: &str, root: &Path, to: &str) {
    let target = root.join(to);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(from, &target).unwrap();
    copy_libraries(from, root);
}

fn copy_bash(root: &Path) {
    copy("/bin/bash", root, "bin/bash");
    fs::os::unix::fs::symlink("bash", root.join("bin/sh")).unwrap();
    copy_gnu(root);
}

fn copy_gnu(root: &Path) {
    for name in support::COMMANDS {
        copy(&format!("/usr/bin/{name}"), root, &format!("bin/{name}"));
    }
}

/// Copies the libraries that a program is linked with, as `ldd` names them; a static one has none.
fn copy_libraries(program: &str, root: &Path) {
    let output = Command::new("/usr/bin/ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let target = root.join(library.trim_start_matches('/'));
        if !target.exists() {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(library, &target).unwrap();
        }
    }
}
