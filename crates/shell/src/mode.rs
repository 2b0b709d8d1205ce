//! Modes as `chmod` and its kin take them: octal, or clauses like `u+x,go=rX`.

use crate::make::Make;

const ALL: u32 = 0o7777;
const SET_ID: u32 = 0o6000;
const EXECUTE: u32 = 0o111;

/// Digits from which on GNU's octal modes speak of a directory's set-id bits, too (`00755`).
const DIGITS_OF_ALL_BITS: usize = 5;

/// A parsed mode.
#[derive(Debug)]
pub(crate) struct Mode {
    changes: Vec<Change>,
    make: Make,
}

/// One operator with what stands behind it.
#[derive(Clone, Copy, Debug)]
struct Change {
    operator: u8,
    /// The bits of the classes in front of it; none if no class was named.
    affected: u32,
    /// The bits that are meant even where a directory's set-id bits are left alone.
    mentioned: u32,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Bits(u32),
    /// These, and execution if it is a directory or somebody may execute it already.
    BitsAndSearch(u32),
    /// What this class has.
    CopyOf(u32),
}

impl Mode {
    /// Parses a mode; `None` if this make of the commands calls it invalid.
    pub(crate) fn parse(text: &[u8], make: Make) -> Option<Self> {
        let changes = match text.first()? {
            b'0'..=b'7' => vec![octal(text, make)?],
            _ => Clauses { rest: text, make }.parse()?,
        };
        Some(Self { changes, make })
    }

    /// The mode that comes of `mode`.
    pub(crate) fn apply(&self, mode: u32, is_directory: bool, umask: u32) -> u32 {
        self.changes.iter().fold(mode & ALL, |mode, change| {
            self.change(*change, mode, is_directory, umask)
        })
    }

    /// The bits that are meant by it.
    pub(crate) fn mentioned(&self) -> u32 {
        self.changes
            .iter()
            .fold(0, |bits, change| bits | change.mentioned)
    }

    fn change(&self, change: Change, mode: u32, is_directory: bool, umask: u32) -> u32 {
        let Change {
            operator,
            affected,
            mentioned,
            value,
        } = change;
        // GNU leaves the set-id bits of directories alone unless they are named; busybox knows no such care.
        let kept = if is_directory && !self.make.is_busybox() {
            SET_ID & !mentioned
        } else {
            0
        };
        let classes = if affected == 0 { ALL } else { affected };
        let cleared = mode & (!classes | kept);
        // busybox clears before it looks at what is there, so that `a=X` finds nobody who may execute.
        let seen = if operator == b'=' && self.make.is_busybox() {
            cleared
        } else {
            mode
        };
        let bits = value.bits(seen, is_directory) & if affected == 0 { !umask } else { affected } & !kept;
        match operator {
            b'=' => cleared | bits,
            b'+' => mode | bits,
            _ => mode & !bits,
        }
    }
}

impl Value {
    fn bits(self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Bits(bits) => bits,
            Self::BitsAndSearch(bits) if is_directory || mode & EXECUTE != 0 => bits | EXECUTE,
            Self::BitsAndSearch(bits) => bits,
            Self::CopyOf(class) => {
                let own = mode & class & 0o777;
                [0o444, 0o222, 0o111]
                    .into_iter()
                    .filter(|bits| own & bits != 0)
                    .sum()
            }
        }
    }

    /// The bits that are named, as far as the text alone tells.
    fn named(self) -> u32 {
        match self {
            Self::Bits(bits) | Self::BitsAndSearch(bits) => bits,
            Self::CopyOf(_) => 0,
        }
    }
}

fn octal(text: &[u8], make: Make) -> Option<Change> {
    let bits = octal_digits(text)?;
    let mentioned = match make {
        Make::Gnu if text.len() < DIGITS_OF_ALL_BITS => bits & SET_ID | 0o1777,
        _ => ALL,
    };
    Some(Change {
        operator: b'=',
        affected: ALL,
        mentioned,
        value: Value::Bits(bits),
    })
}

fn octal_digits(text: &[u8]) -> Option<u32> {
    let valid = !text.is_empty() && text.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    let bits = u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()?;
    (valid && bits <= ALL).then_some(bits)
}

struct Clauses<'t> {
    rest: &'t [u8],
    make: Make,
}

impl Clauses<'_> {
    fn parse(mut self) -> Option<Vec<Change>> {
        let mut changes = Vec::new();
        loop {
            let affected = self.classes();
            if !matches!(self.rest.first(), Some(b'+' | b'-' | b'=')) {
                return None;
            }
            while let Some(operator @ (b'+' | b'-' | b'=')) = self.rest.first().copied() {
                self.rest = &self.rest[1..];
                changes.push(self.change(operator, affected)?);
            }
            match self.rest.split_first() {
                None => return Some(changes),
                Some((b',', rest)) if !rest.is_empty() => self.rest = rest,
                Some(_) => return None,
            }
        }
    }

    fn classes(&mut self) -> u32 {
        let mut affected = 0;
        while let Some((class, rest)) = self.rest.split_first() {
            affected |= match class {
                b'u' => 0o4700,
                b'g' => 0o2070,
                // busybox has the sticky bit in nobody's class but everybody's.
                b'o' if self.make.is_busybox() => 0o0007,
                b'o' => 0o1007,
                b'a' => ALL,
                _ => break,
            };
            self.rest = rest;
        }
        affected
    }

    fn change(&mut self, operator: u8, affected: u32) -> Option<Change> {
        let digits = self
            .rest
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'7'))
            .count();
        if digits > 0 {
            // GNU alone takes an octal number behind an operator.
            if self.make != Make::Gnu || affected != 0 || !matches!(self.rest.get(digits), None | Some(b','))
            {
                return None;
            }
            let bits = octal_digits(&self.rest[..digits])?;
            self.rest = &self.rest[digits..];
            return Some(Change {
                operator,
                affected: ALL,
                mentioned: ALL,
                value: Value::Bits(bits),
            });
        }
        let value = self.value();
        let named = value.named();
        let mentioned = if affected == 0 { named } else { affected & named };
        Some(Change {
            operator,
            affected,
            mentioned,
            value,
        })
    }

    fn value(&mut self) -> Value {
        let copied = match self.rest.first() {
            Some(b'u') => Some(0o700),
            Some(b'g') => Some(0o070),
            Some(b'o') => Some(0o007),
            _ => None,
        };
        if let Some(class) = copied {
            self.rest = &self.rest[1..];
            return Value::CopyOf(class);
        }
        let (mut bits, mut search) = (0, false);
        while let Some((letter, rest)) = self.rest.split_first() {
            match letter {
                b'r' => bits |= 0o444,
                b'w' => bits |= 0o222,
                b'x' => bits |= 0o111,
                b's' => bits |= SET_ID,
                b't' => bits |= 0o1000,
                b'X' => search = true,
                _ => break,
            }
            self.rest = rest;
        }
        if search {
            Value::BitsAndSearch(bits)
        } else {
            Value::Bits(bits)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mode text, the mode before, whether it is a directory, the mode by GNU and by busybox (`None`: invalid).
    type Case = (&'static str, u32, bool, Option<u32>, Option<u32>);

    const CASES: &[Case] = &[
        ("755", 0o600, false, Some(0o755), Some(0o755)),
        ("755", 0o2700, true, Some(0o2755), Some(0o755)),
        ("00755", 0o2700, true, Some(0o755), Some(0o755)),
        ("2775", 0o700, true, Some(0o2775), Some(0o2775)),
        ("+x", 0o644, false, Some(0o755), Some(0o755)),
        ("+w", 0o444, false, Some(0o644), Some(0o644)),
        ("a+w", 0o444, false, Some(0o666), Some(0o666)),
        ("u=rwx,go=rX", 0o600, false, Some(0o755), Some(0o755)),
        ("a=rX", 0o755, false, Some(0o555), Some(0o444)),
        ("a+rwX", 0o600, false, Some(0o666), Some(0o666)),
        ("a+rwX", 0o600, true, Some(0o777), Some(0o777)),
        ("g=u", 0o640, false, Some(0o660), Some(0o660)),
        ("u+s", 0o755, false, Some(0o4755), Some(0o4755)),
        ("+s", 0o755, false, Some(0o6755), Some(0o6755)),
        ("g+s", 0o755, true, Some(0o2755), Some(0o2755)),
        ("o+t", 0o755, true, Some(0o1755), Some(0o755)),
        ("+t", 0o755, true, Some(0o1755), Some(0o1755)),
        ("g+r+w", 0o600, false, Some(0o660), Some(0o660)),
        ("=", 0o755, false, Some(0), Some(0)),
        ("+700", 0o044, false, Some(0o744), None),
        ("=2775", 0o700, true, Some(0o2775), None),
        ("7x", 0, false, None, None),
        ("8", 0, false, None, None),
        ("a+q", 0, false, None, None),
        ("u", 0, false, None, None),
        ("77777", 0, false, None, None),
    ];

    #[test]
    fn modes_apply_as_each_make_applies_them() {
        for (text, before, is_directory, gnu, busybox) in CASES {
            for (make, expected) in [(Make::Gnu, gnu), (Make::Busybox, busybox)] {
                let mode = Mode::parse(text.as_bytes(), make);
                let after = mode.map(|mode| mode.apply(*before, *is_directory, 0o022));
                assert_eq!(after, *expected, "{text} on {before:o} by {make:?}");
            }
        }
    }
}
