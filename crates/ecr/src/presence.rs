use std::collections::BTreeMap;

use aws_sdk_ecr::types::{LayerAvailability, LayerFailure, LayerFailureCode};
use futures_util::{StreamExt, TryStreamExt, stream};
use onlay_oci::{Digest, Repository};
use onlay_registry::Presence;

use crate::api::Api;
use crate::{EcrError, EcrHost};

/// How many digests one request may ask for.
///
/// Source: ECR API reference, BatchCheckLayerAvailability.
const BATCH: usize = 100;

/// How many requests are under way at a time: enough for the largest index there is (some thousand blobs) in a few
/// round trips, and far below the quota of 1,000 a second.
const PARALLEL_BATCHES: usize = 4;

/// Tells which blobs a repository has, in the order they are asked for; none without the right to ask, or an answer.
pub(crate) async fn present(
    api: &Api,
    host: &EcrHost,
    repository: &Repository,
    digests: &[Digest],
) -> Result<Option<Vec<Presence>>, EcrError> {
    let mut wanted: Vec<String> = digests.iter().map(Digest::to_string).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let batches: Vec<Vec<String>> = wanted.chunks(BATCH).map(<[String]>::to_vec).collect();
    let found: Result<BTreeMap<String, Presence>, EcrError> = stream::iter(batches)
        .map(|batch| ask(api, host, repository, batch))
        .buffer_unordered(PARALLEL_BATCHES)
        .try_concat()
        .await;
    let found = match found {
        Ok(found) => found,
        Err(error) if error.is_repository_not_found() => BTreeMap::new(),
        Err(error) if error.is_for_others() => {
            tracing::debug!(%repository, %error, "blobs are looked for one by one");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // What is not spoken of is not known to be there; sending it is never wrong.
    let presence = |digest: &Digest| found.get(&digest.to_string()).copied();
    let presences = digests
        .iter()
        .map(|digest| presence(digest).unwrap_or(Presence::Absent));
    Ok(Some(presences.collect()))
}

async fn ask(
    api: &Api,
    host: &EcrHost,
    repository: &Repository,
    batch: Vec<String>,
) -> Result<BTreeMap<String, Presence>, EcrError> {
    let request = api
        .client
        .batch_check_layer_availability()
        .registry_id(host.account())
        .repository_name(repository.as_str())
        .set_layer_digests(Some(batch));
    let answer = api
        .calls
        .call("BatchCheckLayerAvailability", || request.clone().send())
        .await?;
    if let Some(failure) = answer.failures().iter().find(|failure| !is_missing(failure)) {
        return Err(EcrError::Layer {
            region: api.calls.region().to_owned(),
            digest: failure.layer_digest().unwrap_or_default().to_owned(),
            message: failure.failure_reason().unwrap_or_default().to_owned(),
        });
    }
    let layers = answer.layers().iter();
    let found = layers.filter_map(|layer| {
        let presence = presence(layer.layer_availability()?);
        Some((layer.layer_digest()?.to_owned(), presence))
    });
    Ok(found.collect())
}

fn is_missing(failure: &LayerFailure) -> bool {
    failure.failure_code() == Some(&LayerFailureCode::MissingLayerDigest)
}

fn presence(availability: &LayerAvailability) -> Presence {
    match availability {
        LayerAvailability::Available => Presence::Present,
        LayerAvailability::Archived => Presence::Archived,
        _ => Presence::Absent,
    }
}
