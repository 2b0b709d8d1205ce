use std::fmt;

/// The value of `--chmod`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FileMode {
    /// All twelve bits at once.
    Octal(u32),
    /// Changes of what is there, with no umask.
    Symbolic(Vec<Clause>),
}

/// One operator with the bits on both sides of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clause {
    /// The bits of the classes in front of the operator.
    affected: u32,
    operator: Operator,
    bits: Bits,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bits {
    /// These, and execution too if it is a directory or somebody may execute it (`X`).
    Named { bits: u32, search: bool },
    /// What the class that starts at this bit has.
    CopyOf { shift: u32 },
}

const ALL: u32 = 0o7777;
const EXECUTE: u32 = 0o111;

impl FileMode {
    /// Reads a mode: octal from 0 to 07777, or clauses like `u=rwX,go-w`.
    pub(crate) fn parse(text: &str) -> Result<Self, ModeError> {
        let error = || ModeError(text.to_owned());
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| error())?;
            return if mode <= ALL {
                Ok(Self::Octal(mode))
            } else {
                Err(error())
            };
        }
        let clauses: Option<Vec<Vec<Clause>>> = text.split(',').map(clauses).collect();
        clauses
            .map(|clauses| Self::Symbolic(clauses.concat()))
            .ok_or_else(error)
    }

    /// The mode that comes of `mode`.
    pub(crate) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

impl Clause {
    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let bits = match self.bits {
            Bits::Named { bits, search } if search && (is_directory || mode & EXECUTE != 0) => bits | EXECUTE,
            Bits::Named { bits, .. } => bits,
            Bits::CopyOf { shift } => ((mode >> shift) & 7) * EXECUTE,
        } & self.affected;
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => (mode & !self.affected) | bits,
        }
    }
}

/// Reads what stands between two commas: classes, then operators with what is on their right.
fn clauses(text: &str) -> Option<Vec<Clause>> {
    let operators = text.find(['+', '-', '='])?;
    let (classes, mut rest) = text.split_at(operators);
    let affected = affected(classes)?;
    let mut clauses = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let operator = match operator {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        let bits = bits(&rest[1..end])?;
        clauses.push(Clause {
            affected,
            operator,
            bits,
        });
        rest = &rest[end..];
    }
    Some(clauses)
}

/// No class at all means all of them, as there is no umask.
fn affected(classes: &str) -> Option<u32> {
    if classes.is_empty() {
        return Some(ALL);
    }
    classes.chars().try_fold(0, |affected, class| {
        let bits = match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => ALL,
            _ => return None,
        };
        Some(affected | bits)
    })
}

fn bits(permissions: &str) -> Option<Bits> {
    match permissions {
        "u" => return Some(Bits::CopyOf { shift: 6 }),
        "g" => return Some(Bits::CopyOf { shift: 3 }),
        "o" => return Some(Bits::CopyOf { shift: 0 }),
        _ => {}
    }
    let mut search = false;
    let mut bits = 0;
    for permission in permissions.chars() {
        match permission {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= EXECUTE,
            'X' => search = true,
            's' => bits |= 0o6000,
            't' => bits |= 0o1000,
            _ => return None,
        }
    }
    Some(Bits::Named { bits, search })
}

/// Why a text is no mode.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModeError(String);

impl fmt::Display for ModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid `--chmod={}`, expected an octal number from 0 to 07777 or changes like `u=rwX,go-w`",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_apply_as_chmod_with_no_umask() {
        let cases = [
            ("640", 0o755, false, 0o640),
            ("04755", 0o644, false, 0o4755),
            ("+x", 0o644, false, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("g=u,o=", 0o750, false, 0o770),
            ("u+s,+t", 0o755, false, 0o5755),
            ("g+s", 0o755, true, 0o2755),
            ("a=r+w-w", 0o777, false, 0o444),
        ];
        for (text, mode, is_directory, expected) in cases {
            let found = FileMode::parse(text).unwrap().apply(mode, is_directory);
            assert_eq!(found, expected, "{text} on {mode:o}: {found:o}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["9", "10000", "foo", "u+y", "x=r", "u", "8", "+x,"] {
            assert!(FileMode::parse(text).is_err(), "{text}");
        }
    }
}
