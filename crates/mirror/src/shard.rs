//! Several machines, each with a part of the work.

use std::str::FromStr;

use onlay_oci::Digest;

/// One part of several. What belongs to it is decided by the target repository alone, so parts do not overlap and are
/// together the whole, with nothing to agree upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, counted from 0.
    index: u32,
    /// Of how many.
    count: u32,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// One of several, counted from 0; `None` if there is no such one.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Of how many it is one.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether a repository belongs to it: the part with the highest hash has it (rendezvous hashing), so that a further
    /// part takes from all others and nothing else moves.
    pub(crate) fn has(self, repository: &str) -> bool {
        let weight = |index: u32| {
            Digest::of(format!("{index} {repository}").as_bytes())
                .encoded()
                .to_owned()
        };
        (0..self.count).max_by_key(|index| weight(*index)) == Some(self.index)
    }
}

/// `I/N`, counted from 1.
impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}`: expected I/N with I from 1 to N, such as 2/4");
        let (index, count) = text.split_once('/').ok_or_else(expected)?;
        let index: u32 = index.parse().map_err(|_| expected())?;
        let count = count.parse().map_err(|_| expected())?;
        index
            .checked_sub(1)
            .and_then(|index| Self::new(index, count))
            .ok_or_else(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_and_do_not_overlap() {
        for count in 1..8 {
            for repository in (0..200).map(|number| format!("team/image-{number}")) {
                let owners = (0..count).filter(|index| Shard::new(*index, count).unwrap().has(&repository));
                assert_eq!(owners.count(), 1, "{repository} of {count}");
            }
        }
    }

    #[test]
    fn parts_are_read() {
        assert_eq!("1/4".parse(), Ok(Shard::new(0, 4).unwrap()));
        assert_eq!("4/4".parse(), Ok(Shard::new(3, 4).unwrap()));
        for wrong in ["", "1", "0/4", "5/4", "a/b", "1/0", "1/4/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
