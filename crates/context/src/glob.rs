use bstr::Finder;

use crate::class::{Class, Dialect, WORD, decode, escaped_character};
use crate::pattern::PatternError;

/// An ignore pattern with wildcards, which moby matches by way of a regular expression.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    /// How many slashes every match has, if that is the same for all.
    slashes: Option<usize>,
    /// The longest literal part, which every match has in it. Most paths are found not to match by that alone.
    part: Finder<'static>,
}

#[derive(Clone, Debug)]
enum Token {
    Literal(Vec<u8>),
    /// `?`: any character but a slash.
    AnyCharacter,
    /// `*`: any characters but slashes.
    Star,
    /// `**/`: nothing, or anything up to a slash. As in moby it does not run across a newline.
    Directories,
    /// `**` at the end: anything but a newline.
    Anything,
    Class(Class),
    /// `^`, which moby hands on to the regular expression.
    Start,
    /// `\z`
    End,
    /// `\b`, or `\B` when false.
    WordBoundary(bool),
}

impl Glob {
    /// Reads a pattern that `filepath.Match` has found to be well formed.
    pub(crate) fn parse(pattern: &[u8]) -> Result<Self, PatternError> {
        let mut glob = Glob {
            tokens: Vec::new(),
            slashes: None,
            part: Finder::new(b""),
        };
        let mut rest = pattern;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            match first {
                b'*' if rest.first() == Some(&b'*') => {
                    let deep = &rest[1..];
                    rest = deep.strip_prefix(b"/").unwrap_or(deep);
                    glob.tokens.push(match rest.is_empty() {
                        true => Token::Anything,
                        false => Token::Directories,
                    });
                }
                b'*' => glob.tokens.push(Token::Star),
                b'?' => glob.tokens.push(Token::AnyCharacter),
                b'^' => glob.tokens.push(Token::Start),
                b'[' => {
                    let class;
                    (class, rest) = Class::parse(rest, Dialect::Regexp)?;
                    glob.tokens.push(Token::Class(class));
                }
                b'\\' if let Some((character, after)) = hexadecimal(rest) => {
                    glob.push_character(character);
                    rest = after;
                }
                b'\\' => {
                    let (character, length) = decode(rest);
                    glob.push_escape(character)?;
                    rest = &rest[length..];
                }
                byte => glob.push_byte(byte),
            }
        }
        glob.slashes = slashes_of(&glob.tokens);
        let parts = glob.tokens.iter().map(|token| literal(Some(token)));
        let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
        glob.part = Finder::new(longest).into_owned();
        Ok(glob)
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        path.starts_with(self.prefix())
            && path.ends_with(self.suffix())
            && self.part.find(path).is_some()
            && self.matches_slowly(path)
    }

    /// Tells whether a path strictly below a directory could match. It may say yes too often.
    pub(crate) fn may_match_below(&self, directory: &[u8]) -> bool {
        may_start_alike(self.prefix(), directory)
            && self
                .slashes
                .is_none_or(|slashes| count_slashes(directory) < slashes)
    }

    fn prefix(&self) -> &[u8] {
        literal(self.tokens.first())
    }

    fn suffix(&self) -> &[u8] {
        literal(self.tokens.last())
    }

    fn push_byte(&mut self, byte: u8) {
        match self.tokens.last_mut() {
            Some(Token::Literal(bytes)) => bytes.push(byte),
            _ => self.tokens.push(Token::Literal(vec![byte])),
        }
    }

    fn push_character(&mut self, character: char) {
        let mut buffer = [0; 4];
        for &byte in character.encode_utf8(&mut buffer).as_bytes() {
            self.push_byte(byte);
        }
    }

    /// The letters mean what they mean in a regular expression. Nobody wants that, but builds give the files they do.
    fn push_escape(&mut self, character: char) -> Result<(), PatternError> {
        let token = match character {
            'A' => Token::Start,
            'z' => Token::End,
            'b' => Token::WordBoundary(true),
            'B' => Token::WordBoundary(false),
            _ => match Class::of_escape(character) {
                Some(class) => Token::Class(class),
                None => {
                    let character = escaped_character(character).ok_or(PatternError::Escape { character })?;
                    self.push_character(character);
                    return Ok(());
                }
            },
        };
        self.tokens.push(token);
        Ok(())
    }

    /// Carries the set of places that the tokens so far can end at through each token: no pattern takes longer than
    /// its length times that of the path.
    fn matches_slowly(&self, path: &[u8]) -> bool {
        let mut places = vec![false; path.len() + 1];
        places[0] = true;
        for token in &self.tokens {
            places = token.advance(&places, path);
        }
        places[path.len()]
    }
}

impl Token {
    fn advance(&self, from: &[bool], path: &[u8]) -> Vec<bool> {
        let mut to = vec![false; from.len()];
        // Whether an earlier place reaches this one through a star.
        let mut reached = false;
        let mut at = 0_usize;
        loop {
            let before = at.checked_sub(1).map(|index| path[index]);
            let rest = &path[at..];
            let length = decode(rest).1;
            match self {
                Token::Literal(bytes) if from[at] && rest.starts_with(bytes) => to[at + bytes.len()] = true,
                Token::AnyCharacter if from[at] && !matches!(rest.first(), None | Some(b'/')) => {
                    to[at + length] = true;
                }
                Token::Class(class) if from[at] && !rest.is_empty() && class.contains(decode(rest).0) => {
                    to[at + length] = true;
                }
                Token::Star => {
                    reached = from[at] || (reached && before != Some(b'/'));
                    to[at] = reached;
                }
                Token::Directories => {
                    reached &= before != Some(b'\n');
                    to[at] = from[at] || (reached && before == Some(b'/'));
                    reached |= from[at];
                }
                Token::Anything => {
                    reached = from[at] || (reached && before != Some(b'\n'));
                    to[at] = reached;
                }
                Token::Start => to[at] = from[at] && at == 0,
                Token::End => to[at] = from[at] && rest.is_empty(),
                Token::WordBoundary(wanted) => to[at] = from[at] && is_boundary(path, at) == *wanted,
                Token::Literal(_) | Token::AnyCharacter | Token::Class(_) => {}
            }
            if rest.is_empty() {
                return to;
            }
            at += length;
        }
    }
}

/// Tells whether a path below the directory could start with the prefix.
pub(crate) fn may_start_alike(prefix: &[u8], directory: &[u8]) -> bool {
    match prefix.strip_prefix(directory) {
        Some(after) => matches!(after.first(), None | Some(b'/')),
        None => directory.starts_with(prefix),
    }
}

fn literal(token: Option<&Token>) -> &[u8] {
    match token {
        Some(Token::Literal(bytes)) => bytes,
        _ => b"",
    }
}

/// The character of an escape such as `\x64`, after its backslash.
fn hexadecimal(text: &[u8]) -> Option<(char, &[u8])> {
    let [b'x', high, low, rest @ ..] = text else {
        return None;
    };
    let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
    Some((char::from_u32(value)?, rest))
}

fn slashes_of(tokens: &[Token]) -> Option<usize> {
    let mut slashes = 0;
    for token in tokens {
        match token {
            Token::Literal(bytes) => slashes += count_slashes(bytes),
            Token::Class(class) if class.contains('/') => return None,
            Token::Directories | Token::Anything => return None,
            _ => {}
        }
    }
    Some(slashes)
}

fn count_slashes(path: &[u8]) -> usize {
    path.iter().filter(|&&byte| byte == b'/').count()
}

fn is_boundary(path: &[u8], at: usize) -> bool {
    let is_word = |byte: Option<&u8>| {
        byte.is_some_and(|&byte| {
            WORD.iter()
                .any(|(low, high)| (*low..=*high).contains(&char::from(byte)))
        })
    };
    is_word(at.checked_sub(1).and_then(|before| path.get(before))) != is_word(path.get(at))
}
