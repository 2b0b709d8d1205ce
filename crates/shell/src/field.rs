//! Fields: words on their way through expansion, byte by byte with or without quotes.

/// A byte of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Char {
    pub(crate) byte: u8,
    /// It stands for itself: it was in quotes, or is no pattern character where it comes from.
    pub(crate) quoted: bool,
}

/// A word, or part of a word after splitting.
pub(crate) type Field = Vec<Char>;

/// The bytes alone.
pub(crate) fn bytes(field: &[Char]) -> Vec<u8> {
    field.iter().map(|char| char.byte).collect()
}

/// Collects fields, splitting what comes from expansions at blanks.
#[derive(Debug)]
pub(crate) struct Fields {
    done: Vec<Field>,
    current: Option<Field>,
    splits: bool,
}

impl Fields {
    /// Fields that expansions split: of a command's words.
    pub(crate) fn splitting() -> Self {
        Self {
            done: Vec::new(),
            current: None,
            splits: true,
        }
    }

    /// A single field: of an assignment, a redirection, a heredoc.
    pub(crate) fn whole() -> Self {
        Self {
            done: Vec::new(),
            current: Some(Field::new()),
            splits: false,
        }
    }

    /// Begins a field even if no byte follows: what empty quotes do.
    pub(crate) fn begin(&mut self) {
        self.current.get_or_insert_default();
    }

    pub(crate) fn push(&mut self, bytes: &[u8], quoted: bool) {
        let field = self.current.get_or_insert_default();
        field.extend(bytes.iter().map(|byte| Char { byte: *byte, quoted }));
    }

    /// Adds what an expansion outside of quotes gave.
    pub(crate) fn push_split(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.splits && matches!(byte, b' ' | b'\t' | b'\n') {
                self.done.extend(self.current.take());
            } else {
                self.push(&[*byte], false);
            }
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Field> {
        self.done.extend(self.current.take());
        self.done
    }

    /// The one field of [`whole`](Self::whole).
    pub(crate) fn finish_whole(self) -> Field {
        self.current.unwrap_or_default()
    }
}
