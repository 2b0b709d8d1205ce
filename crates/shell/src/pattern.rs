//! Shell patterns: `*`, `?` and `[..]`.

use crate::field::{Char, bytes};
use crate::halt::Halt;
use crate::outcome::Reason;

/// A pattern for one name, or for a whole string.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Byte(u8),
    Any,
    Many,
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Pattern {
    pub(crate) fn new(chars: &[Char]) -> Result<Self, Halt> {
        let mut pieces = Vec::new();
        let mut rest = chars;
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            let piece = match first.byte {
                _ if first.quoted => Piece::Byte(first.byte),
                b'*' => Piece::Many,
                b'?' => Piece::Any,
                b'[' => match class(tail)? {
                    Some((piece, after)) => {
                        rest = after;
                        piece
                    }
                    None => Piece::Byte(b'['),
                },
                // A backslash without quotes comes from an expansion, where shells differ.
                b'\\' => {
                    return Err(Halt::refused(
                        bytes(chars),
                        Reason::Syntax("a backslash in a pattern is"),
                    ));
                }
                byte => Piece::Byte(byte),
            };
            pieces.push(piece);
        }
        Ok(Self(pieces))
    }

    /// Tells whether anything in it stands for more than itself.
    pub(crate) fn is_literal(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Byte(_)))
    }

    /// Tells whether it begins with a plain dot, without which no hidden name matches.
    pub(crate) fn begins_with_dot(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Byte(b'.')))
    }

    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        // The usual walk with one point to return to: of several `*` only the last one ever needs to take more.
        let (mut at, mut piece) = (0, 0);
        let mut retry = None;
        loop {
            match self.0.get(piece) {
                Some(Piece::Many) => {
                    retry = Some((at, piece));
                    piece += 1;
                    continue;
                }
                None if at == text.len() => return true,
                Some(single) if text.get(at).is_some_and(|byte| single.takes(*byte)) => {
                    at += 1;
                    piece += 1;
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((from, many)) if from < text.len() => {
                    retry = Some((from + 1, many));
                    (at, piece) = (from + 1, many + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Piece {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::Any => true,
            Self::Many => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
        }
    }
}

/// Reads behind `[`; `None` if it is never closed and so stands for itself.
fn class(chars: &[Char]) -> Result<Option<(Piece, &[Char])>, Halt> {
    let unquoted = |index: usize, byte: u8| {
        chars
            .get(index)
            .is_some_and(|char| !char.quoted && char.byte == byte)
    };
    let negated = unquoted(0, b'!');
    let start = usize::from(negated);
    let Some(end) = (start + 1..chars.len()).find(|index| unquoted(*index, b']')) else {
        return Ok(None);
    };
    let members = &chars[start..end];
    // `[^..]` and `[[:alpha:]]` are not the same in every shell.
    if unquoted(0, b'^') || members.iter().any(|char| char.byte == b'[' || char.byte == b'/') {
        return Err(Halt::refused(
            bytes(chars),
            Reason::Syntax("such a class in a pattern is"),
        ));
    }
    let mut ranges = Vec::new();
    let mut index = 0;
    while let Some(low) = members.get(index) {
        match (members.get(index + 1), members.get(index + 2)) {
            (Some(dash), Some(high)) if dash.byte == b'-' && !dash.quoted => {
                ranges.push((low.byte, high.byte));
                index += 3;
            }
            _ => {
                ranges.push((low.byte, low.byte));
                index += 1;
            }
        }
    }
    Ok(Some((Piece::Class { negated, ranges }, &chars[end + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        let chars: Vec<Char> = text.bytes().map(|byte| Char { byte, quoted: false }).collect();
        Pattern::new(&chars).unwrap()
    }

    #[test]
    fn patterns_match_whole_names() {
        for (text, name, expected) in [
            ("*", "a", true),
            ("*.sh", "a.sh", true),
            ("*.sh", "a.sh.bak", false),
            ("a*b*c", "a--b-b-c", true),
            ("a*b*c", "a--b-b-", false),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[ab", "[ab", true),
            ("**", "", true),
        ] {
            assert_eq!(pattern(text).matches(name.as_bytes()), expected, "{text} {name}");
        }
    }

    #[test]
    fn what_shells_disagree_on_is_refused() {
        for text in ["[^a]", "[[:alpha:]]", "a\\*"] {
            let chars: Vec<Char> = text.bytes().map(|byte| Char { byte, quoted: false }).collect();
            assert!(Pattern::new(&chars).is_err(), "{text}");
        }
    }
}
