use bstr::ByteSlice;

use crate::pattern::PatternError;

/// The characters between brackets in a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    negated: bool,
    members: Vec<Member>,
}

#[derive(Clone, Debug)]
enum Member {
    Range(char, char),
    In(Set),
    NotIn(Set),
}

type Set = &'static [(char, char)];

/// Whose rules the text between the brackets follows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dialect {
    /// Go's `filepath.Match`: a backslash takes the next character literally.
    Match,
    /// Go's `regexp`, through which moby matches: a backslash before a letter may be a set or a control character,
    /// `[:alpha:]` is a set, and a range that runs backwards is an error.
    Regexp,
}

impl Class {
    /// Reads what follows an opening bracket, and returns what follows the closing one.
    pub(crate) fn parse(text: &[u8], dialect: Dialect) -> Result<(Class, &[u8]), PatternError> {
        let (negated, mut rest) = match text.strip_prefix(b"^") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut members = Vec::new();
        loop {
            if !members.is_empty()
                && let Some(rest) = rest.strip_prefix(b"]")
            {
                return Ok((Class { negated, members }, rest));
            }
            let member;
            (member, rest) = parse_member(rest, dialect)?;
            members.push(member);
        }
    }

    /// The set that a letter after a backslash stands for in a regular expression, such as `\d`.
    pub(crate) fn of_escape(letter: char) -> Option<Class> {
        let member = escaped_set(letter)?;
        Some(Class {
            negated: false,
            members: vec![member],
        })
    }

    pub(crate) fn contains(&self, character: char) -> bool {
        let listed = self.members.iter().any(|member| match member {
            Member::Range(low, high) => (*low..=*high).contains(&character),
            Member::In(set) => set_contains(set, character),
            Member::NotIn(set) => !set_contains(set, character),
        });
        listed != self.negated
    }
}

/// The first character of a path, and its length in bytes. A byte that is not UTF-8 is one unknown character, as in Go.
pub(crate) fn decode(bytes: &[u8]) -> (char, usize) {
    match bstr::decode_utf8(bytes) {
        (Some(character), length) => (character, length),
        (None, _) => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// What a backslash and `character` stand for in a regular expression when they stand for one character.
pub(crate) fn escaped_character(character: char) -> Option<char> {
    match character {
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        other => (other.is_ascii() && !other.is_ascii_alphanumeric()).then_some(other),
    }
}

fn parse_member(text: &[u8], dialect: Dialect) -> Result<(Member, &[u8]), PatternError> {
    if dialect == Dialect::Regexp {
        if let Some(named) = parse_named(text)? {
            return Ok(named);
        }
        if let [b'\\', letter, rest @ ..] = text
            && let Some(member) = escaped_set(char::from(*letter))
        {
            return Ok((member, rest));
        }
    }
    let (low, rest) = parse_character(text, dialect)?;
    let Some(after_dash) = rest.strip_prefix(b"-") else {
        return Ok((Member::Range(low, low), rest));
    };
    let (high, rest) = parse_character(after_dash, dialect)?;
    if dialect == Dialect::Regexp && high < low {
        return Err(PatternError::Backwards { low, high });
    }
    Ok((Member::Range(low, high), rest))
}

/// Reads one character of a class. The bracket must still be closed after it.
fn parse_character(text: &[u8], dialect: Dialect) -> Result<(char, &[u8]), PatternError> {
    let escaped = text.strip_prefix(b"\\");
    match text.first() {
        None => return Err(PatternError::OpenBracket),
        Some(b']') => return Err(PatternError::NothingInBrackets),
        Some(b'-') if dialect == Dialect::Match => return Err(PatternError::Dash),
        Some(_) => {}
    }
    let text = escaped.unwrap_or(text);
    if text.is_empty() {
        return Err(PatternError::LastBackslash);
    }
    let (Some(mut character), length) = bstr::decode_utf8(text) else {
        return Err(PatternError::NotText);
    };
    if escaped.is_some() && dialect == Dialect::Regexp {
        character = escaped_character(character).ok_or(PatternError::Escape { character })?;
    }
    match &text[length..] {
        [] => Err(PatternError::OpenBracket),
        rest => Ok((character, rest)),
    }
}

/// Reads a set such as `[:alpha:]`, if there is one.
fn parse_named(text: &[u8]) -> Result<Option<(Member, &[u8])>, PatternError> {
    let Some(inside) = text.strip_prefix(b"[:") else {
        return Ok(None);
    };
    let Some((name, rest)) = inside.split_once_str(":]") else {
        return Ok(None);
    };
    let (positive, bare) = match name.strip_prefix(b"^") {
        Some(bare) => (false, bare),
        None => (true, name),
    };
    let Some(set) = named_set(bare) else {
        return Err(PatternError::UnknownSet {
            name: name.to_str_lossy().into_owned(),
        });
    };
    let member = if positive {
        Member::In(set)
    } else {
        Member::NotIn(set)
    };
    Ok(Some((member, rest)))
}

fn set_contains(set: Set, character: char) -> bool {
    set.iter().any(|(low, high)| (*low..=*high).contains(&character))
}

fn escaped_set(letter: char) -> Option<Member> {
    let set = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => BLANKS,
        'w' => WORD,
        _ => return None,
    };
    Some(if letter.is_ascii_lowercase() {
        Member::In(set)
    } else {
        Member::NotIn(set)
    })
}

const DIGIT: Set = &[('0', '9')];
const BLANKS: Set = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
pub(crate) const WORD: Set = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// Source: the list of ASCII classes in the documentation of Go's `regexp/syntax`.
fn named_set(name: &[u8]) -> Option<Set> {
    Some(match name {
        b"alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        b"alpha" => &[('A', 'Z'), ('a', 'z')],
        b"ascii" => &[('\0', '\x7f')],
        b"blank" => &[('\t', '\t'), (' ', ' ')],
        b"cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        b"digit" => DIGIT,
        b"graph" => &[('!', '~')],
        b"lower" => &[('a', 'z')],
        b"print" => &[(' ', '~')],
        b"punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        b"space" => &[('\t', '\r'), (' ', ' ')],
        b"upper" => &[('A', 'Z')],
        b"word" => WORD,
        b"xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    })
}
