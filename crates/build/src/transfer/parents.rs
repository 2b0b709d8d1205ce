use bstr::ByteSlice;
use onlay_context::{Ignore, has_wildcard};
use onlay_layer::{ImagePath, Tree};

use super::place::{Existing, Passage, find};
use super::{Destination, Fault, Transfer};

/// A source of `COPY --parents`: what is kept of its path starts behind the first `/./`, else at the root.
struct Pivoted {
    root: ImagePath,
    pattern: ImagePath,
}

impl Pivoted {
    fn parse(text: &[u8]) -> Result<Self, Fault> {
        let (root, pattern) = match text.find("/./") {
            Some(pivot) => (&text[..pivot], &text[pivot + 3..]),
            None => (&b""[..], text),
        };
        let parsed = Self {
            root: ImagePath::clamped(root)?,
            pattern: ImagePath::clamped(pattern)?,
        };
        if parsed.pattern.is_root() {
            return Err(Fault::NotFound(parsed.pattern));
        }
        Ok(parsed)
    }

    fn is_literal(&self) -> bool {
        !has_wildcard(self.pattern.as_bytes())
    }
}

impl Transfer<'_> {
    /// Copies what matches one source, with the directories on the way to it; `**` stands for any number of them.
    ///
    /// Symbolic links are followed up to the pivot, not behind it.
    pub(crate) fn copy_with_parents(
        &mut self,
        source: &Tree,
        text: &[u8],
        destination: &Destination,
    ) -> Result<bool, Fault> {
        let pivoted = Pivoted::parse(text)?;
        let wanted = Ignore::from_patterns([pivoted.pattern.as_bytes()])
            .map_err(|error| Fault::Message(error.to_string()))?;
        let (root, node) = find(source, &pivoted.root)?;
        if !node.is_directory() {
            return Err(Fault::NotFound(pivoted.root));
        }
        let target = self.prepare(destination)?;
        self.make_directories(&target)?;
        self.take_time(&target, &node)?;
        let mut passage = Passage::new(source, root.clone(), target);
        let found = self.copy_wanted(&mut passage, &wanted, &root)?;
        if !found && pivoted.is_literal() {
            return Err(Fault::NotFound(pivoted.pattern));
        }
        Ok(found)
    }

    fn copy_wanted(
        &mut self,
        passage: &mut Passage<'_>,
        wanted: &Ignore,
        directory: &ImagePath,
    ) -> Result<bool, Fault> {
        let mut found = false;
        for (name, node) in passage.source.children(directory).ok_or(Fault::UnreadSource)? {
            let path = directory.join(&name)?;
            let (relative, place) = passage.route(&path);
            let relative = relative.as_bytes();
            let is_wanted = wanted.matches(relative) && !self.treatment.exclude.matches(relative);
            if is_wanted {
                found = true;
                self.make_pending(passage)?;
            }
            match (node.is_directory(), is_wanted) {
                (true, true) => {
                    self.put_directory(&place, &node, Existing::KeepsMetadata)?;
                    self.copy_wanted(passage, wanted, &path)?;
                }
                (true, false) => {
                    found |= self.below_pending(passage, (place, node), |transfer, passage| {
                        transfer.copy_wanted(passage, wanted, &path)
                    })?
                }
                (false, true) => self.put_leaf(passage, &place, &node)?,
                (false, false) => {}
            }
        }
        Ok(found)
    }
}
