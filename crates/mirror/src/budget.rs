//! How many pulls may still be made of a registry that counts them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use onlay_oci::Registry;
use onlay_registry::PullLimit;

/// The pulls that are left, shared by all images under way.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<BTreeMap<Registry, Pulls>>);

#[derive(Debug)]
struct Pulls {
    left: u64,
    /// How many a window has.
    whole: u64,
}

/// An entry of an index has at least about as many bytes: a media type, a digest, a size, a platform. Where entries have
/// annotations, more pulls are expected than are needed, so that the limit is not hit.
const BYTES_PER_ENTRY: u64 = 250;

/// How many pulls an image needs: each manifest counts, blobs do not (aws.md 3.1). Of an index only the size is known before it
/// is pulled.
pub(crate) fn pulls_needed(is_index: bool, size: u64) -> u64 {
    if is_index {
        1 + (size / BYTES_PER_ENTRY).max(1)
    } else {
        1
    }
}

impl Budget {
    /// What is left, as registries say, of which this shard takes its part.
    pub(crate) fn new<'a>(
        limits: impl IntoIterator<Item = (&'a Registry, &'a PullLimit)>,
        shards: u32,
    ) -> Self {
        let share = |pulls: u64| pulls / u64::from(shards.max(1));
        let pulls = limits.into_iter().filter_map(|(registry, limit)| {
            let left = share(limit.remaining?);
            let whole = limit.limit.map_or(left, share);
            Some((registry.clone(), Pulls { left, whole }))
        });
        Self(Mutex::new(pulls.collect()))
    }

    /// Takes pulls, if there are enough; gives what is left if not. An image that needs more than a whole window has begins with
    /// a whole one: it would never be there otherwise, and what has come is not fetched again.
    pub(crate) fn take(&self, registry: &Registry, needed: u64) -> Result<(), u64> {
        let mut pulls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pulls) = pulls.get_mut(registry) else {
            return Ok(());
        };
        match pulls.left.checked_sub(needed.min(pulls.whole.max(1))) {
            Some(rest) => {
                pulls.left = rest;
                Ok(())
            }
            None => Err(pulls.left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(whole: u64, left: u64) -> PullLimit {
        PullLimit {
            limit: Some(whole),
            remaining: Some(left),
            window: None,
            source: None,
        }
    }

    #[test]
    fn what_is_not_left_is_not_taken() {
        let hub = Registry::docker_hub();
        let budget = Budget::new([(&hub, &limit(100, 15))], 2);
        assert_eq!(budget.take(&hub, 3), Ok(()));
        assert_eq!(budget.take(&hub, 5), Err(4));
        assert_eq!(budget.take(&hub, 4), Ok(()));
        assert_eq!(budget.take(&hub, 1), Err(0));
        assert_eq!(budget.take(&"other.example".parse().unwrap(), 100), Ok(()));
    }

    #[test]
    fn an_image_larger_than_the_window_begins_with_a_whole_one() {
        let hub = Registry::docker_hub();
        assert_eq!(Budget::new([(&hub, &limit(10, 9))], 1).take(&hub, 44), Err(9));
        let whole = Budget::new([(&hub, &limit(10, 10))], 1);
        assert_eq!(whole.take(&hub, 44), Ok(()));
        assert_eq!(whole.take(&hub, 1), Err(0));
        assert_eq!(Budget::new([(&hub, &limit(10, 0))], 100).take(&hub, 1), Err(0));
    }
}
