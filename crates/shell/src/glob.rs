//! Patterns matched against the names of the tree.

use bstr::ByteSlice;

use crate::field::{Char, bytes};
use crate::files::Files;
use crate::halt::{Halt, Settle};
use crate::outcome::Reason;
use crate::pattern::Pattern;

/// The paths that a field matches, in bytewise order; the field itself if there are none or it is no pattern.
pub(crate) fn glob(files: &Files, field: &[Char]) -> Result<Vec<Vec<u8>>, Halt> {
    let special = |char: &Char| !char.quoted && matches!(char.byte, b'*' | b'?' | b'[');
    if !field.iter().any(special) {
        return Ok(vec![bytes(field)]);
    }
    let components: Vec<&[Char]> = field.split(|char| char.byte == b'/').collect();
    let mut search = Search {
        files,
        found: Vec::new(),
    };
    search.descend(Vec::new(), &components)?;
    if search.found.is_empty() {
        return Ok(vec![bytes(field)]);
    }
    search.found.sort();
    Ok(search.found)
}

struct Search<'f> {
    files: &'f Files,
    found: Vec<Vec<u8>>,
}

impl Search<'_> {
    fn descend(&mut self, prefix: Vec<u8>, components: &[&[Char]]) -> Result<(), Halt> {
        let Some((component, rest)) = components.split_first() else {
            return Ok(());
        };
        let pattern = Pattern::new(component)?;
        if pattern.is_literal() {
            return self.step([prefix, bytes(component)].concat(), rest);
        }
        if pattern.begins_with_dot() && (pattern.matches(b".") || pattern.matches(b"..")) {
            return Err(Halt::refused(
                bytes(component),
                Reason::Syntax("a pattern that matches `..` is"),
            ));
        }
        let directory = if prefix.is_empty() {
            b".".as_slice()
        } else {
            &prefix
        };
        let Ok(found) = self.files.stat(directory).settle()? else {
            return Ok(());
        };
        let Ok(names) = self.files.names(&found.path).settle()? else {
            return Ok(());
        };
        for name in names {
            if (pattern.begins_with_dot() || !name.starts_with(b".")) && pattern.matches(&name) {
                let path = [prefix.as_slice(), name.as_bytes()].concat();
                match rest {
                    [] => self.found.push(path),
                    rest => self.descend([path.as_slice(), b"/"].concat(), rest)?,
                }
            }
        }
        Ok(())
    }

    /// Goes on behind a component that is decided.
    fn step(&mut self, path: Vec<u8>, rest: &[&[Char]]) -> Result<(), Halt> {
        if rest.is_empty() {
            if path.is_empty() || self.files.lstat(&path).settle()?.is_ok() {
                self.found.push(path);
            }
            return Ok(());
        }
        self.descend([path.as_slice(), b"/"].concat(), rest)
    }
}
