use std::collections::BTreeMap;

use aws_sdk_ecr::types::{DescribeImagesFilter, ImageDetail, ImageIdentifier, ImageStatusFilter, TagStatus};
use onlay_oci::{Digest, Repository, Tag};
use onlay_registry::StoredImage;

use crate::api::Api;
use crate::{EcrError, EcrHost};

/// How many images one request answers with at most.
///
/// Source: ECR API reference, DescribeImages.
const PAGE: i32 = 1000;

/// How many images one request deletes at most.
///
/// Source: ECR API reference, BatchDeleteImage.
const DELETED_AT_ONCE: usize = 100;

/// All tags of a repository with what they name; none without the right to ask, or an answer.
pub(crate) async fn digests(
    api: &Api,
    host: &EcrHost,
    repository: &Repository,
) -> Result<Option<BTreeMap<Tag, Digest>>, EcrError> {
    let images = match images(api, host, repository).await {
        Ok(images) => images,
        Err(error) if error.is_for_others() => {
            tracing::debug!(%repository, %error, "tags are looked up one by one");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let tags = images.into_iter().flat_map(|image| {
        let digest = image.digest;
        image.tags.into_iter().map(move |tag| (tag, digest.clone()))
    });
    Ok(Some(tags.collect()))
}

/// All images of a repository that have tags.
///
/// Archived images are among them: unless asked for, ECR keeps quiet about them, and they would be taken for missing.
/// Unlike a HEAD of each this leaves alone when images were last pulled.
pub(crate) async fn images(
    api: &Api,
    host: &EcrHost,
    repository: &Repository,
) -> Result<Vec<StoredImage>, EcrError> {
    let filter = DescribeImagesFilter::builder()
        .tag_status(TagStatus::Tagged)
        .image_status(ImageStatusFilter::Any)
        .build();
    let mut images = Vec::new();
    let mut page = None;
    loop {
        let request = api
            .client
            .describe_images()
            .registry_id(host.account())
            .repository_name(repository.as_str())
            .filter(filter.clone())
            .max_results(PAGE)
            .set_next_token(page);
        let answer = match api.calls.call("DescribeImages", || request.clone().send()).await {
            Ok(answer) => answer,
            Err(error) if error.is_repository_not_found() => return Ok(images),
            Err(error) => return Err(error),
        };
        images.extend(answer.image_details().iter().filter_map(stored));
        page = answer.next_token().map(str::to_owned);
        if page.is_none() {
            return Ok(images);
        }
    }
}

/// Deletes images, and gives those that are still there with why.
pub(crate) async fn delete(
    api: &Api,
    host: &EcrHost,
    repository: &Repository,
    digests: &[Digest],
) -> Result<Vec<(Digest, String)>, EcrError> {
    let mut left = Vec::new();
    for some in digests.chunks(DELETED_AT_ONCE) {
        let identifiers = some.iter().map(|digest| {
            ImageIdentifier::builder()
                .image_digest(digest.to_string())
                .build()
        });
        let request = api
            .client
            .batch_delete_image()
            .registry_id(host.account())
            .repository_name(repository.as_str())
            .set_image_ids(Some(identifiers.collect()));
        let calls = &api.calls;
        let answer = calls
            .call("BatchDeleteImage", || request.clone().send())
            .await
            .map_err(|error| error.with_right("ecr:BatchDeleteImage", || host.arn(repository)))?;
        left.extend(answer.failures().iter().filter_map(|failure| {
            let digest = failure.image_id()?.image_digest()?.parse().ok()?;
            let code = failure.failure_code().map(|code| code.as_str().to_owned());
            let words = [code.as_deref(), failure.failure_reason()];
            Some((digest, words.into_iter().flatten().collect::<Vec<_>>().join(": ")))
        }));
    }
    Ok(left)
}

/// What is no tag by the specification cannot be asked for by anybody.
fn stored(image: &ImageDetail) -> Option<StoredImage> {
    Some(StoredImage {
        digest: image.image_digest()?.parse().ok()?,
        tags: image
            .image_tags()
            .iter()
            .filter_map(|tag| tag.parse().ok())
            .collect(),
        pushed: image.image_pushed_at().map(|time| time.secs()),
    })
}
