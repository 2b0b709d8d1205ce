use std::collections::BTreeMap;

use aws_sdk_ecr::types::{DescribeImagesFilter, ImageDetail, ImageStatusFilter, TagStatus};
use onlay_oci::{Digest, Repository, Tag};

use crate::api::Api;
use crate::{EcrError, EcrHost};

/// How many images one request answers with at most.
///
/// Source: ECR API reference, DescribeImages.
const PAGE: i32 = 1000;

/// All tags of a repository with what they name; none without the right to ask, or an answer.
///
/// Archived images are among them: unless asked for, ECR keeps quiet about them, and they would be taken for missing.
/// Unlike a HEAD of each this leaves alone when images were last pulled.
pub(crate) async fn digests(
    api: &Api,
    host: &EcrHost,
    repository: &Repository,
) -> Result<Option<BTreeMap<Tag, Digest>>, EcrError> {
    let filter = DescribeImagesFilter::builder()
        .tag_status(TagStatus::Tagged)
        .image_status(ImageStatusFilter::Any)
        .build();
    let mut tags = BTreeMap::new();
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
            Err(error) if error.is_repository_not_found() => return Ok(Some(tags)),
            Err(error) if error.is_for_others() => {
                tracing::debug!(%repository, %error, "tags are looked up one by one");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        tags.extend(answer.image_details().iter().flat_map(tags_of));
        page = answer.next_token().map(str::to_owned);
        if page.is_none() {
            return Ok(Some(tags));
        }
    }
}

/// An image's tags. What is no tag by the specification cannot be asked for by anybody.
fn tags_of(image: &ImageDetail) -> Vec<(Tag, Digest)> {
    let Some(digest) = image
        .image_digest()
        .and_then(|digest| digest.parse::<Digest>().ok())
    else {
        return Vec::new();
    };
    let tags = image.image_tags().iter().filter_map(|tag| tag.parse().ok());
    tags.map(|tag| (tag, digest.clone())).collect()
}
