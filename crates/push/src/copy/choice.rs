use std::collections::BTreeSet;

use onlay_oci::{
    Descriptor, Digest, Document, ImageConfiguration, Index, IndexEntryKind, Platform, PlatformSelection,
};

use super::CopyFailure;
use super::source::Source;

/// What is copied of an image when not all of its platforms are.
pub(super) struct Choice {
    /// The image, a new index, or what there was.
    pub(super) root: Document,
    /// How many entries of the index are not copied.
    pub(super) left_out: usize,
}

/// Chooses platforms: of one, the image itself; of several, a new index with the statements about them. If that is all
/// there is, the index stays what it was.
pub(super) async fn choose(
    source: &Source,
    root: Document,
    selection: &PlatformSelection,
) -> Result<Choice, CopyFailure> {
    let PlatformSelection::Only(wanted) = selection else {
        return Ok(Choice::all_of(root));
    };
    let Document::Index(index) = &root else {
        verify_platform(source, &root, wanted).await?;
        return Ok(Choice::all_of(root));
    };
    let images = images(index, wanted)?;
    let kept = |entry: &Descriptor| {
        let is_chosen = |digest: &Digest| images.iter().any(|image| image.digest == *digest);
        is_chosen(&entry.digest) || Index::attests(entry).is_some_and(|subject| is_chosen(&subject))
    };
    let left_out = index.manifests().iter().filter(|entry| !kept(entry)).count();
    match &images[..] {
        _ if left_out == 0 => Ok(Choice::all_of(root)),
        [only] => Ok(Choice {
            root: source.document(only).await?,
            left_out: index.manifests().len() - 1,
        }),
        _ => Ok(Choice {
            root: Document::Index(index.keeping(kept)?),
            left_out,
        }),
    }
}

impl Choice {
    fn all_of(root: Document) -> Self {
        Self { root, left_out: 0 }
    }
}

/// The entries that serve the wanted platforms best.
fn images<'a>(index: &'a Index, wanted: &[Platform]) -> Result<Vec<&'a Descriptor>, CopyFailure> {
    let entries = index.manifests();
    if let Some(nested) = entries
        .iter()
        .find(|entry| Index::kind(entry) == IndexEntryKind::Nested)
    {
        return Err(CopyFailure::NestedChoice {
            digest: nested.digest.clone(),
        });
    }
    let offered: Vec<(&Descriptor, Platform)> = entries
        .iter()
        .filter_map(|entry| match Index::kind(entry) {
            IndexEntryKind::Image(platform) => Some((entry, platform)),
            IndexEntryKind::Attestation | IndexEntryKind::Nested | IndexEntryKind::Unknown => None,
        })
        .collect();
    let mut images = Vec::new();
    for platform in wanted {
        let ranked = offered
            .iter()
            .enumerate()
            .filter_map(|(position, (entry, offer))| {
                platform.rank(offer).map(|rank| (rank, position, *entry))
            });
        let best = ranked.min_by_key(|(rank, position, _)| (*rank, *position));
        let (_, _, entry) =
            best.ok_or_else(|| no_platform(platform, offered.iter().map(|(_, offer)| offer)))?;
        images.push(entry);
    }
    let mut seen = BTreeSet::new();
    images.retain(|image| seen.insert(image.digest.to_string()));
    Ok(images)
}

/// One image says its platform in its configuration only.
async fn verify_platform(source: &Source, root: &Document, wanted: &[Platform]) -> Result<(), CopyFailure> {
    let Document::Manifest(manifest) = root else {
        return Ok(());
    };
    let bytes = source.configuration(manifest.config()).await?;
    let own = ImageConfiguration::parse(bytes)?.platform()?;
    match wanted.iter().find(|platform| platform.rank(&own).is_none()) {
        Some(platform) => Err(no_platform(platform, [&own])),
        None => Ok(()),
    }
}

fn no_platform<'a>(wanted: &Platform, offered: impl IntoIterator<Item = &'a Platform>) -> CopyFailure {
    let offered: Vec<String> = offered.into_iter().map(ToString::to_string).collect();
    CopyFailure::NoPlatform {
        wanted: wanted.to_string(),
        offered: if offered.is_empty() {
            "none".to_owned()
        } else {
            offered.join(", ")
        },
    }
}
