use std::fmt;

/// The value of `--chmod`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FileMode {
    /// All twelve bits at once.
    Octal(u32),
    /// Changes of what is there, with no umask.
    Symbolic(Vec<Clause>),
}

/// One operator with what stands on both sides of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clause {
    classes: Classes,
    operator: Operator,
    permissions: Permissions,
}

/// The classes in front of an operator; none named means all of them, as there is no umask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Classes {
    user: bool,
    group: bool,
    other: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Add,
    Remove,
    Set,
}

/// What stands behind an operator: letters, or a class whose permissions are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Permissions {
    /// `rwx` of one class.
    letters: u32,
    /// `X`: execution, if it is a directory or somebody may execute it.
    search: bool,
    /// `s`
    set_id: bool,
    /// `t`
    sticky: bool,
    copied: Classes,
}

const ALL: u32 = 0o7777;
const EXECUTE: u32 = 0o111;
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

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
        let Self {
            classes, permissions, ..
        } = self;
        let searches = permissions.search && (is_directory || mode & EXECUTE != 0);
        let of_class = permissions.letters | u32::from(searches) | permissions.copied.of(mode);
        let bits = (of_class * EXECUTE) & classes.permissions() | permissions.special(classes);
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => (mode & !self.cleared()) | bits,
        }
    }

    /// What `=` takes away first: never the sticky bit, and a copy leaves the set-id bits alone.
    fn cleared(self) -> u32 {
        if self.permissions.copied == Classes::default() {
            self.classes.permissions() | self.classes.set_id()
        } else {
            self.classes.permissions()
        }
    }
}

impl Classes {
    const ALL: Self = Self {
        user: true,
        group: true,
        other: true,
    };

    fn permissions(self) -> u32 {
        self.select(0o700, 0o070, 0o007)
    }

    fn set_id(self) -> u32 {
        self.select(SET_USER_ID, SET_GROUP_ID, 0)
    }

    /// The permissions that these classes have between them, as those of one class.
    fn of(self, mode: u32) -> u32 {
        self.select((mode >> 6) & 7, (mode >> 3) & 7, mode & 7)
    }

    fn select(self, user: u32, group: u32, other: u32) -> u32 {
        let if_named = |is_named, bits| if is_named { bits } else { 0 };
        if_named(self.user, user) | if_named(self.group, group) | if_named(self.other, other)
    }
}

impl Permissions {
    fn unless_empty(self) -> Option<Self> {
        Some(self).filter(|permissions| *permissions != Self::default())
    }

    /// The set-id and sticky bits; the sticky bit is nothing that others alone can have.
    fn special(self, classes: Classes) -> u32 {
        let set_id = if self.set_id { classes.set_id() } else { 0 };
        let sticky = self.sticky && (classes.user || classes.group);
        set_id | if sticky { STICKY } else { 0 }
    }
}

/// Reads what stands between two commas: classes, then operators with what is on their right.
///
/// The rules are those of BSD's setmode(3), which BuildKit follows: letters and classes may be mixed on the right, and
/// mean the operator once for each class and each run of letters (`g=ur` is `g=u,g=r`, so `g=r`).
fn clauses(text: &str) -> Option<Vec<Clause>> {
    let operators = text.find(['+', '-', '='])?;
    let (named, mut rest) = text.split_at(operators);
    let classes = classes(named)?;
    let mut clauses = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let operator = match operator {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        let all = permissions(&rest[1..end])?;
        clauses.extend(all.into_iter().map(|permissions| Clause {
            classes,
            operator,
            permissions,
        }));
        rest = &rest[end..];
    }
    Some(clauses)
}

fn classes(named: &str) -> Option<Classes> {
    if named.is_empty() {
        return Some(Classes::ALL);
    }
    named.chars().try_fold(Classes::default(), |mut classes, class| {
        match class {
            'u' => classes.user = true,
            'g' => classes.group = true,
            'o' => classes.other = true,
            'a' => classes = Classes::ALL,
            _ => return None,
        }
        Some(classes)
    })
}

fn permissions(text: &str) -> Option<Vec<Permissions>> {
    let mut all = Vec::new();
    let mut letters = Permissions::default();
    for letter in text.chars() {
        match letter {
            'r' => letters.letters |= 4,
            'w' => letters.letters |= 2,
            'x' => letters.letters |= 1,
            'X' => letters.search = true,
            's' => letters.set_id = true,
            't' => letters.sticky = true,
            'u' | 'g' | 'o' => {
                all.extend(std::mem::take(&mut letters).unless_empty());
                all.push(Permissions {
                    copied: classes(letter.encode_utf8(&mut [0; 4]))?,
                    ..Permissions::default()
                });
            }
            _ => return None,
        }
    }
    all.extend(letters.unless_empty());
    // `=` with nothing behind it takes all away.
    if all.is_empty() {
        all.push(Permissions::default());
    }
    Some(all)
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
            ("u+t", 0o755, false, 0o1755),
            ("o+t", 0o755, false, 0o755),
            ("a=rwx", 0o1777, true, 0o1777),
            ("go=u", 0o2750, true, 0o2777),
            ("u=g+x", 0o4740, false, 0o4540),
            ("u=rw", 0o4755, false, 0o655),
            ("g=ur", 0o700, false, 0o740),
            ("g=ur", 0o6751, false, 0o4741),
            ("g=ru", 0o700, false, 0o770),
            ("o+gw", 0o750, false, 0o757),
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
