//! ECR's API, as the SDK speaks it: JSON 1.1, the operation in a header. Only what moto lacks or gets wrong and onlay
//! asks for (aws.md 6.1); anything else is an error that says so.

use super::repositories::EcrRepository;
use super::words::{api_answer, api_refused, missing_words};
use super::{EcrFront, State};
use crate::front::Misbehaviour;
use crate::front::manners::Manners;
use crate::http::{self, Head};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// How many digests one question may have (aws.md 1.1).
const MAX_DIGESTS: usize = 100;

/// How many images a page has at most, and where nothing is asked (aws.md 1.1).
const MAX_IMAGES: usize = 1000;
const IMAGES: usize = 100;

/// How long a password is good for (aws.md 1.1).
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The control plane.
#[derive(Debug)]
pub(super) struct Api {
    state: Arc<State>,
    tokens: AtomicUsize,
}

impl Manners for Api {
    fn keeps_body(&self, _: &Head) -> bool {
        true
    }

    fn answer(&self, request: &mut Head, body: &[u8]) -> Option<Misbehaviour> {
        let target = request.header("X-Amz-Target").unwrap_or_default();
        let action = target.rsplit('.').next().unwrap_or_default();
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        self.state.quotas.note(action);
        if !self.state.quotas.admits(action) {
            return Some(api_refused("ThrottlingException", "Rate exceeded"));
        }
        Some(match action {
            "GetAuthorizationToken" => self.token(),
            "BatchCheckLayerAvailability" => self.presence(&asked),
            "CreateRepository" => self.create(&asked),
            "DescribeImages" => self.images(&asked),
            "BatchDeleteImage" => self.delete(&asked),
            "PutLifecyclePolicy" | "SetRepositoryPolicy" => self.policy(&asked),
            other => api_refused("UnknownOperationException", other),
        })
    }
}

impl Api {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self {
            state,
            tokens: AtomicUsize::new(0),
        }
    }

    /// The next password that the registry takes.
    fn token(&self) -> Misbehaviour {
        let number = 1 + self.tokens.fetch_add(1, Ordering::SeqCst);
        #[expect(clippy::disallowed_methods, reason = "passwords expire by the clock")]
        let expiry = SystemTime::now() + TOKEN_LIFE;
        let expiry = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        api_answer(&json!({ "authorizationData": [{
            "authorizationToken": STANDARD.encode(format!("AWS:minted-{number}")),
            "expiresAt": expiry.as_secs_f64(),
            "proxyEndpoint": format!("https://{}.dkr.ecr.eu-west-1.amazonaws.com", EcrFront::ACCOUNT),
        }]}))
    }

    fn presence(&self, asked: &Value) -> Misbehaviour {
        let name = asked["repositoryName"].as_str().unwrap_or_default();
        let digests: Vec<&str> = texts(&asked["layerDigests"]).collect();
        if digests.is_empty() || digests.len() > MAX_DIGESTS {
            return api_refused("InvalidParameterException", "between 1 and 100 digests");
        }
        if self.state.repositories().get(name).is_none() {
            return not_found(name);
        }
        let layers: Vec<Value> = digests
            .into_iter()
            .map(|digest| {
                let path = format!("/v2/{name}/blobs/{digest}");
                let is_there = http::send("HEAD", &self.state.upstream, &path, &[], &[])
                    .is_ok_and(|answer| answer.head.status() == 200);
                let availability = if is_there { "AVAILABLE" } else { "UNAVAILABLE" };
                json!({ "layerDigest": digest, "layerAvailability": availability })
            })
            .collect();
        api_answer(&json!({ "layers": layers, "failures": [] }))
    }

    fn create(&self, asked: &Value) -> Misbehaviour {
        let name = asked["repositoryName"].as_str().unwrap_or_default();
        let mut repositories = self.state.repositories();
        if repositories.get(name).is_some() {
            let message = format!("The repository with name '{name}' already exists in the registry");
            return api_refused("RepositoryAlreadyExistsException", &message);
        }
        let mutability = asked["imageTagMutability"].as_str().unwrap_or_default();
        let filters = asked["imageTagMutabilityExclusionFilters"].as_array();
        let exclusions = filters.into_iter().flatten();
        let mut repository = EcrRepository::default();
        repository.immutable_tags = mutability.starts_with("IMMUTABLE");
        repository.exclusions = exclusions
            .filter_map(|filter| filter["filter"].as_str().map(str::to_owned))
            .collect();
        repositories.create(name, repository);
        api_answer(&json!({ "repository": {
            "repositoryName": name,
            "registryId": EcrFront::ACCOUNT,
            "repositoryArn": format!("arn:aws:ecr:eu-west-1:{}:repository/{name}", EcrFront::ACCOUNT),
        }}))
    }

    fn images(&self, asked: &Value) -> Misbehaviour {
        let name = asked["repositoryName"].as_str().unwrap_or_default();
        let repositories = self.state.repositories();
        let Some(repository) = repositories.get(name) else {
            return not_found(name);
        };
        let limit = asked["maxResults"]
            .as_u64()
            .map_or(IMAGES, |limit| limit as usize);
        if !(1..=MAX_IMAGES).contains(&limit) {
            return api_refused("InvalidParameterException", "maxResults is between 1 and 1000");
        }
        let from = asked["nextToken"]
            .as_str()
            .and_then(|token| token.parse().ok())
            .unwrap_or(0);
        let tagged_only = asked["filter"]["tagStatus"] == "TAGGED";
        let details: Vec<Value> = repository
            .images()
            .filter(|(_, _, tags)| !tagged_only || !tags.is_empty())
            .map(|(digest, image, tags)| {
                json!({ "repositoryName": name, "imageDigest": digest, "imageTags": tags,
                        "imageManifestMediaType": image.media_type, "imageStatus": "ACTIVE",
                        "imagePushedAt": image.number })
            })
            .collect();
        let page: Vec<&Value> = details.iter().skip(from).take(limit).collect();
        let next = from + page.len();
        let mut answer = json!({ "imageDetails": page });
        if next < details.len() {
            answer["nextToken"] = json!(next.to_string());
        }
        api_answer(&answer)
    }

    /// An image that is part of an index stays.
    fn delete(&self, asked: &Value) -> Misbehaviour {
        let name = asked["repositoryName"].as_str().unwrap_or_default();
        let mut repositories = self.state.repositories();
        let Some(repository) = repositories.get_mut(name) else {
            return not_found(name);
        };
        let identifiers = asked["imageIds"].as_array().cloned().unwrap_or_default();
        if identifiers.len() > MAX_DIGESTS {
            return api_refused("InvalidParameterException", "at most 100 images");
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for identifier in identifiers {
            let digest = identifier["imageDigest"].as_str().unwrap_or_default();
            match repository.delete(digest) {
                true => deleted.push(identifier),
                false => failures.push(
                    json!({ "imageId": identifier, "failureCode": "ImageReferencedByManifestList",
                    "failureReason": "Requested image referenced by manifest list" }),
                ),
            }
        }
        api_answer(&json!({ "imageIds": deleted, "failures": failures }))
    }

    /// Taken as it is; moto checks what is in it.
    fn policy(&self, asked: &Value) -> Misbehaviour {
        let name = asked["repositoryName"].as_str().unwrap_or_default();
        match self.state.repositories().get(name) {
            Some(_) => api_answer(&json!({ "repositoryName": name, "registryId": EcrFront::ACCOUNT })),
            None => not_found(name),
        }
    }
}

fn not_found(name: &str) -> Misbehaviour {
    api_refused(
        "RepositoryNotFoundException",
        &missing_words(name, EcrFront::ACCOUNT),
    )
}

fn texts(array: &Value) -> impl Iterator<Item = &str> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str)
}
