//! A built image on its way to its destinations.

use std::collections::HashMap;

use onlay_base::ImageSource;
use onlay_build::Built;
use onlay_oci::{Digest, Document, MediaType};
use onlay_push::{BlobOrigin, Depth, Plan, Publication, PublishedBlob, PushError, Pushed, Pusher};
use onlay_store::{Blob, Destination};

use crate::failure;
use crate::output::Published;
use crate::progress::{Notice, Progress};

/// Publishes at every destination at the same time. Gives what was published, and the first failure if there was one;
/// further ones are shown.
pub(crate) async fn publish(
    pusher: &Pusher,
    publication: &Publication,
    destinations: &[Destination],
    progress: &Progress,
) -> (Vec<Published>, Option<PushError>) {
    progress.status(match destinations {
        [destination] => format!("publishing to {destination}"),
        several => format!("publishing to {} destinations", several.len()),
    });
    let done = |destination: &Destination, pushed: &Result<Pushed, PushError>| {
        if let Ok(pushed) = pushed {
            tell(&Published::new(destination, pushed.clone()), progress);
        }
    };
    let results = pusher.push(publication, destinations, done).await;
    let (mut published, mut failed) = (Vec::new(), None);
    for (result, destination) in results.into_iter().zip(destinations) {
        match result {
            Ok(pushed) => published.push(Published::new(destination, pushed)),
            Err(error) if failed.is_none() => failed = Some(error),
            Err(error) => progress.tell(&Notice::Warning(failure::chain(&error))),
        }
    }
    (published, failed)
}

/// Shows what became of a destination.
pub(crate) fn tell(published: &Published, progress: &Progress) {
    progress.tell(&Notice::Published(published));
    let layers = published.pushed.transfers.foreign;
    if layers > 0 {
        let warning = format!(
            "{layers} foreign layers are not in `{}`: they stay at their own URLs",
            published.destination
        );
        progress.tell(&Notice::Warning(warning));
    }
}

/// Finds out what publishing would do, in full, and changes nothing.
pub(crate) async fn plans(
    pusher: &Pusher,
    publication: &Publication,
    destinations: &[Destination],
) -> Result<Vec<Plan>, PushError> {
    let plans = pusher.plan(publication, destinations, Depth::All).await;
    plans.into_iter().collect()
}

/// Everything that the image refers to, with where its bytes are.
pub(crate) fn publication(built: &Built) -> Publication {
    let several = built.images.len() > 1;
    Publication {
        root: built.root.clone(),
        manifests: built
            .images
            .iter()
            .filter(|_| several)
            .map(|image| Document::Manifest(image.image.manifest.clone()))
            .collect(),
        blobs: built.images.iter().flat_map(blobs).collect(),
        platform: (!several)
            .then(|| built.images.first().map(|image| image.platform.clone()))
            .flatten(),
    }
}

fn blobs(image: &onlay_build::BuiltImage) -> Vec<PublishedBlob> {
    let made: HashMap<&Digest, &Blob> = image
        .made
        .iter()
        .map(|(layer, blob)| (&layer.digest, blob))
        .collect();
    let layers = image.image.manifest.layers().iter().map(|descriptor| {
        let origin = match (
            made.get(&descriptor.digest),
            &descriptor.media_type,
            &image.source,
        ) {
            (Some(blob), ..) => BlobOrigin::Made((*blob).clone()),
            (None, MediaType::ForeignLayer(..), _) | (None, _, None) => BlobOrigin::Foreign,
            (None, _, Some(ImageSource::Registry(repository))) => BlobOrigin::Registry(repository.clone()),
            (None, _, Some(ImageSource::Store(store))) => BlobOrigin::Store(store.clone()),
        };
        PublishedBlob {
            descriptor: descriptor.clone(),
            origin,
        }
    });
    let config = PublishedBlob {
        descriptor: image.image.manifest.config().clone(),
        origin: BlobOrigin::Made(Blob::from(image.image.configuration.clone())),
    };
    layers.chain([config]).collect()
}
