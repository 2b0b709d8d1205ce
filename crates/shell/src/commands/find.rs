//! `find` with actions: `-exec` of commands that are interpreted, and `-delete`.
//!
//! What it would print comes in the file system's own order, so that nothing of it is printed here.

use bstr::ByteSlice;
use onlay_layer::{ImagePath, NodeKind};

use crate::commands::words::inside;
use crate::commands::{self, Call, Kind};
use crate::errno::Errno;
use crate::field::Char;
use crate::files::Found;
use crate::halt::{Halt, Settle};
use crate::make::Lookup;
use crate::outcome::Reason;
use crate::pattern::Pattern;

pub(crate) fn find(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(1)?;
    let is_expression =
        |operand: &Vec<u8>| operand.starts_with(b"-") || matches!(operand.as_slice(), b"!" | b"(");
    let count = operands.iter().position(is_expression).unwrap_or(operands.len());
    let (paths, words) = operands.split_at(count);
    let mut search = Search::parse(call, words)?;
    let paths = if paths.is_empty() { &[b".".to_vec()] } else { paths };
    for path in paths {
        match call.shell.files.lstat(path).settle()? {
            Ok(found) => search.visit(call, path, &found, 0)?,
            Err(errno) => complain(call, path, errno)?,
        }
    }
    for test in &mut search.tests {
        if let Action::Collect(command, found) = &mut test.kind
            && !found.is_empty()
        {
            let arguments = [command.as_slice(), found].concat();
            if execute(call, &arguments)? != 0 {
                call.status = 1;
            }
        }
    }
    Ok(call.status)
}

fn complain(call: &mut Call<'_, '_>, path: &[u8], errno: Errno) -> Result<(), Halt> {
    let name = if call.is_busybox() {
        path.to_vec()
    } else {
        call.quoted_by_locale(path)
    };
    call.fail([&name, format!(": {errno}").as_bytes()].concat())
}

/// A conjunction of tests and actions, with how deep to look.
struct Search {
    tests: Vec<Test>,
    least_depth: usize,
    most_depth: usize,
    /// Directories come behind what is in them.
    depth_first: bool,
}

struct Test {
    negated: bool,
    kind: Action,
}

enum Action {
    Name(Pattern),
    Path(Pattern),
    Type(u8),
    Empty,
    Delete,
    /// `-exec command {} ;`
    Execute(Vec<Vec<u8>>),
    /// `-exec command {} +`
    Collect(Vec<Vec<u8>>, Vec<Vec<u8>>),
}

impl Search {
    fn parse(call: &Call<'_, '_>, words: &[Vec<u8>]) -> Result<Self, Halt> {
        let mut search = Self {
            tests: Vec::new(),
            least_depth: 0,
            most_depth: usize::MAX,
            depth_first: false,
        };
        let mut rest = words.iter();
        let mut negated = false;
        while let Some(word) = rest.next() {
            let refuse = || Halt::refused(word, Reason::Option { command: "find" });
            let kind = match word.as_slice() {
                b"!" | b"-not" if !negated => {
                    negated = true;
                    continue;
                }
                b"-a" | b"-and" | b"-xdev" => continue,
                b"-depth" => {
                    search.depth_first = true;
                    continue;
                }
                b"-mindepth" => {
                    search.least_depth = number(rest.next()).ok_or_else(refuse)?;
                    continue;
                }
                b"-maxdepth" => {
                    search.most_depth = number(rest.next()).ok_or_else(refuse)?;
                    continue;
                }
                b"-name" => Action::Name(pattern(rest.next().ok_or_else(refuse)?)?),
                b"-path" | b"-wholename" => Action::Path(pattern(rest.next().ok_or_else(refuse)?)?),
                b"-type" => match rest.next().map(Vec::as_slice) {
                    Some([letter @ (b'f' | b'd' | b'l' | b'p')]) => Action::Type(*letter),
                    _ => return Err(refuse()),
                },
                b"-empty" if !call.is_busybox() => Action::Empty,
                // Not every busybox was built with it, and nothing tells.
                b"-delete" if !negated && !call.is_busybox() => {
                    search.depth_first = true;
                    Action::Delete
                }
                b"-exec" if !negated => execution(rest.by_ref()).ok_or_else(refuse)?,
                _ => return Err(refuse()),
            };
            search.tests.push(Test { negated, kind });
            negated = false;
        }
        // Without an action it would print.
        let acts = search.tests.iter().any(|test| test.kind.is_action());
        if acts && !negated {
            Ok(search)
        } else {
            Err(call.refuse("-print"))
        }
    }

    fn visit(
        &mut self,
        call: &mut Call<'_, '_>,
        path: &[u8],
        found: &Found,
        depth: usize,
    ) -> Result<(), Halt> {
        call.shell.step()?;
        let counts = depth >= self.least_depth;
        if counts && !self.depth_first {
            self.act(call, path, found)?;
        }
        if found.node.is_directory() && depth < self.most_depth {
            // An action may have removed it meanwhile.
            match call.shell.files.children(&found.path).settle()? {
                Ok(children) => {
                    for (name, node) in children {
                        let place: ImagePath = found.path.join(&name).map_err(|_| call.refuse(path))?;
                        self.visit(
                            call,
                            &inside(path, &name),
                            &Found { path: place, node },
                            depth + 1,
                        )?;
                    }
                }
                Err(errno) => complain(call, path, errno)?,
            }
        }
        if counts && self.depth_first {
            self.act(call, path, found)?;
        }
        Ok(())
    }

    /// Goes through the tests up to the first that does not hold.
    fn act(&mut self, call: &mut Call<'_, '_>, path: &[u8], found: &Found) -> Result<(), Halt> {
        for test in &mut self.tests {
            if test.kind.holds(call, path, found)? == test.negated {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Action {
    fn is_action(&self) -> bool {
        matches!(self, Self::Delete | Self::Execute(_) | Self::Collect(..))
    }

    fn holds(&mut self, call: &mut Call<'_, '_>, path: &[u8], found: &Found) -> Result<bool, Halt> {
        Ok(match self {
            Self::Name(pattern) => pattern.matches(commands::words::base_name(path)),
            Self::Path(pattern) => pattern.matches(path),
            Self::Type(letter) => {
                let own = match &found.node.kind {
                    NodeKind::File(_) => b'f',
                    NodeKind::Directory(_) => b'd',
                    NodeKind::Symlink(_) => b'l',
                    NodeKind::Fifo => b'p',
                    NodeKind::CharacterDevice { .. } | NodeKind::BlockDevice { .. } => b'?',
                };
                own == *letter
            }
            Self::Empty => match &found.node.kind {
                NodeKind::File(content) => content.size() == 0,
                NodeKind::Directory(_) => call
                    .shell
                    .files
                    .children(&found.path)
                    .settle()?
                    .is_ok_and(|children| children.is_empty()),
                _ => false,
            },
            Self::Delete => delete(call, path, found)?,
            Self::Execute(command) => {
                let arguments: Vec<Vec<u8>> = command.iter().map(|word| word.replace("{}", path)).collect();
                execute(call, &arguments)? == 0
            }
            Self::Collect(_, collected) => {
                collected.push(path.to_vec());
                true
            }
        })
    }
}

fn number(word: Option<&Vec<u8>>) -> Option<usize> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

fn pattern(text: &[u8]) -> Result<Pattern, Halt> {
    let chars: Vec<Char> = text
        .iter()
        .map(|byte| Char {
            byte: *byte,
            quoted: false,
        })
        .collect();
    Pattern::new(&chars)
}

/// Reads behind `-exec`.
fn execution<'w>(words: &mut impl Iterator<Item = &'w Vec<u8>>) -> Option<Action> {
    let mut command: Vec<Vec<u8>> = Vec::new();
    for word in words {
        match word.as_slice() {
            b";" => return (!command.is_empty()).then_some(Action::Execute(command)),
            b"+" if command.last().is_some_and(|last| last == b"{}") => {
                command.pop();
                let plain = !command.is_empty() && !command.iter().any(|word| word.contains_str("{}"));
                return plain.then_some(Action::Collect(command, Vec::new()));
            }
            word => command.push(word.to_vec()),
        }
    }
    None
}

fn delete(call: &mut Call<'_, '_>, path: &[u8], found: &Found) -> Result<bool, Halt> {
    // `.` itself stays, silently.
    if path == b"." {
        return Ok(true);
    }
    let removed = match found.node.is_directory() {
        true => call.shell.files.remove_directory(path),
        false => call.shell.files.unlink(path),
    };
    match removed.settle()? {
        Ok(()) => Ok(true),
        Err(errno) => {
            let name = call.quoted_by_locale(path);
            call.fail(
                [
                    b"cannot delete ".as_slice(),
                    &name,
                    format!(": {errno}").as_bytes(),
                ]
                .concat(),
            )?;
            Ok(false)
        }
    }
}

/// Runs a command on what was found, if it is one whose output does not depend on the order.
fn execute(call: &mut Call<'_, '_>, words: &[Vec<u8>]) -> Result<u8, Halt> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(call.refuse("-exec"));
    };
    let name = std::str::from_utf8(name).map_err(|_| Halt::refused(name, Reason::Command))?;
    let command = commands::named(name).filter(|command| {
        command.kind == Kind::Program
            && matches!(
                command.name,
                "chgrp" | "chmod" | "chown" | "rm" | "rmdir" | "touch"
            )
    });
    let command = command.ok_or_else(|| Halt::refused(name, Reason::Command))?;
    let search = call.shell.variables.get("PATH").map(Vec::as_slice);
    match call.shell.toolbox.program(&call.shell.files, search, name)? {
        Lookup::Found(make) => call.shell.call(command, name, make, arguments),
        Lookup::Missing => Err(Halt::refused(name, Reason::Command)),
    }
}
