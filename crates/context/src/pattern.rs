use crate::class::{Class, Dialect, decode};

/// A pattern over whole paths, as wildcards in the sources of COPY and ADD are: Go's `filepath.Match`.
///
/// `*` and `?` do not match a slash, `[...]` is one character of a list, `\` takes the next character literally.
/// A class without a slash in it can still match one when it is negated, as in Go.
///
/// ```
/// use onlay_context::Pattern;
///
/// let pattern = Pattern::parse(b"src/*.rs")?;
/// assert!(pattern.matches(b"src/main.rs"));
/// assert!(!pattern.matches(b"src/bin/main.rs"));
/// # Ok::<(), onlay_context::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    chunks: Vec<Chunk>,
}

/// What stands between two stars.
#[derive(Clone, Debug, Default)]
struct Chunk {
    after_star: bool,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    Byte(u8),
    AnyCharacter,
    Class(Class),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A bracket is open or wrong, or the last character is a backslash.
    pub fn parse(text: &[u8]) -> Result<Self, PatternError> {
        let mut chunks = vec![Chunk::default()];
        let mut rest = text;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            let item = match first {
                b'*' => {
                    chunks.push(Chunk {
                        after_star: true,
                        items: Vec::new(),
                    });
                    continue;
                }
                b'?' => Item::AnyCharacter,
                b'[' => {
                    let class;
                    (class, rest) = Class::parse(rest, Dialect::Match)?;
                    Item::Class(class)
                }
                b'\\' => {
                    let (&escaped, after) = rest.split_first().ok_or(PatternError::LastBackslash)?;
                    rest = after;
                    Item::Byte(escaped)
                }
                byte => Item::Byte(byte),
            };
            if let Some(chunk) = chunks.last_mut() {
                chunk.items.push(item);
            }
        }
        Ok(Pattern { chunks })
    }

    /// Tells whether the pattern matches the whole path.
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut rest = path;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let last = index + 1 == self.chunks.len();
            match chunk.find(rest, last) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl Chunk {
    /// Finds the chunk at the start of the text, or where a star leads to, and returns what follows it.
    ///
    /// The first place is taken for good. That is what Go does, and it can only matter where a class matches a slash.
    fn find<'a>(&self, text: &'a [u8], last: bool) -> Option<&'a [u8]> {
        let reach = if self.after_star {
            text.iter().position(|&byte| byte == b'/').unwrap_or(text.len())
        } else {
            0
        };
        (0..=reach)
            .filter_map(|start| self.strip_from(&text[start..]))
            .find(|after| !last || after.is_empty())
    }

    fn strip_from<'a>(&self, mut text: &'a [u8]) -> Option<&'a [u8]> {
        for item in &self.items {
            let length = item.length_at(text)?;
            text = &text[length..];
        }
        Some(text)
    }
}

impl Item {
    /// How many bytes it takes from the start of the text.
    fn length_at(&self, text: &[u8]) -> Option<usize> {
        let first = *text.first()?;
        let (character, length) = decode(text);
        match self {
            Item::Byte(byte) => (first == *byte).then_some(1),
            Item::AnyCharacter => (first != b'/').then_some(length),
            Item::Class(class) => class.contains(character).then_some(length),
        }
    }
}

/// Tells whether a source of COPY or ADD is a pattern: it has a `*`, `?` or `[` without a backslash before it.
///
/// A source without one is a literal path, in which backslashes stay as they are.
pub fn has_wildcard(source: &[u8]) -> bool {
    let mut escaped = false;
    source.iter().any(|byte| {
        let wild = !escaped && matches!(byte, b'*' | b'?' | b'[');
        escaped = !escaped && *byte == b'\\';
        wild
    })
}

/// Splits a cleaned source into the directories before its first component with a wildcard, and the rest.
///
/// BuildKit resolves links in the first part, which is literal, and matches the second against the paths below it. The
/// second part is empty when there is no wildcard.
pub fn split_wildcard(source: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    for component in source.split(|&byte| byte == b'/') {
        if has_wildcard(component) {
            return (&source[..start.max(1) - 1], &source[start..]);
        }
        start += component.len() + 1;
    }
    (source, b"")
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// `[a`
    #[error("a `[` is not closed by a `]`; write `[[]` for the character itself")]
    OpenBracket,
    /// `[]`
    #[error("there is nothing between `[` and `]`")]
    NothingInBrackets,
    /// `[-a]`
    #[error("a `-` between brackets stands for a range and needs a character before and after it")]
    Dash,
    /// `[z-a]`
    #[error("the range `{low}-{high}` runs backwards")]
    Backwards {
        /// The first character.
        low: char,
        /// The last one.
        high: char,
    },
    /// `[[:digits:]]`
    #[error("there is no set of characters `[:{name}:]`")]
    UnknownSet {
        /// Its name.
        name: String,
    },
    /// `\k`: moby reads it as an escape of a regular expression.
    #[error("`\\{character}` is no escape; paths are separated by `/`")]
    Escape {
        /// The character after the backslash.
        character: char,
    },
    /// `a\`
    #[error("the `\\` at the end has nothing to escape")]
    LastBackslash,
    /// A byte between brackets that is not UTF-8.
    #[error("what stands between the brackets is not UTF-8")]
    NotText,
    /// `!`
    #[error("nothing follows the `!`")]
    EmptyException,
}
