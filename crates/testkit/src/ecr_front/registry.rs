//! The registry's protocol as ECR speaks it (aws.md 1.3).

use super::repositories::EcrRepository;
use super::words::{answered, missing, refused, throttled};
use super::{EcrFront, State};
use crate::digest::sha256;
use crate::front::Misbehaviour;
use crate::front::elsewhere::redirect;
use crate::front::manners::Manners;
use crate::http::Head;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A blob of no bytes, which ECR does not take (registry.md 3, number 5).
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// How many tags ECR lists at most, and where nothing is asked (aws.md 1.3).
const MAX_TAGS: usize = 1000;
const TAGS: usize = 100;

/// The data plane.
#[derive(Debug)]
pub(super) struct Door {
    state: Arc<State>,
    blobs_host: String,
    /// The uploads that have had their one PATCH.
    patched: Mutex<BTreeSet<String>>,
}

/// A request below `/v2/`, taken apart.
struct Asked<'a> {
    method: &'a str,
    repository: &'a str,
    /// `manifests`, `blobs`, `uploads`, `tags` or `referrers`.
    kind: &'a str,
    /// What is asked for: a reference, a digest, an upload.
    name: &'a str,
    query: Vec<(&'a str, &'a str)>,
}

impl Manners for Door {
    fn keeps_body(&self, request: &Head) -> bool {
        Asked::of(request).is_some_and(|asked| asked.method == "PUT" && asked.kind == "manifests")
    }

    fn answer(&self, request: &mut Head, body: &[u8]) -> Option<Misbehaviour> {
        let copy = request.clone();
        let asked = Asked::of(&copy)?;
        if !self.state.quotas.admits(asked.action()) {
            return Some(throttled());
        }
        if let Some(refusal) = self.missing(&asked) {
            return Some(refusal);
        }
        match (asked.method, asked.kind) {
            ("POST", "uploads") => self.mount(&asked, request),
            ("PATCH", "uploads") => Some(self.patch(&copy)),
            ("PUT", "uploads") => asked.empty_blob(),
            ("GET", "blobs") => self.redirect(&asked),
            ("PUT", "manifests") => Some(self.manifest(&asked, &copy, body)),
            ("GET", "tags") => Some(self.tags(&asked)),
            ("GET", "referrers") => Some(self.referrers(&asked)),
            _ => None,
        }
    }

    fn settled(&self, request: &Head, body: &[u8], status: u16) {
        let Some(asked) = Asked::of(request).filter(|asked| asked.kind == "manifests") else {
            return;
        };
        if asked.method == "PUT" && status == 201 {
            let media_type = request.header("Content-Type").unwrap_or_default();
            if let Some(repository) = self.state.repositories().get_mut(asked.repository) {
                repository.commit(asked.name, media_type, body);
            }
        }
    }
}

impl Door {
    pub(super) fn new(state: Arc<State>, blobs_host: &str) -> Self {
        Self {
            state,
            blobs_host: blobs_host.to_owned(),
            patched: Mutex::default(),
        }
    }

    /// A repository must exist, or be made by the push (aws.md 1.3, 1.4).
    fn missing(&self, asked: &Asked<'_>) -> Option<Misbehaviour> {
        let mut repositories = self.state.repositories();
        if repositories.get(asked.repository).is_some() {
            return None;
        }
        if asked.method == "POST" && self.state.account.create_on_push {
            repositories.create(asked.repository, EcrRepository::default());
            return None;
        }
        Some(missing(asked.repository, EcrFront::ACCOUNT))
    }

    /// A mount works where the account has it, and only of a blob that a committed manifest of the source names;
    /// otherwise it is the beginning of an upload (aws.md 1.6).
    fn mount(&self, asked: &Asked<'_>, request: &mut Head) -> Option<Misbehaviour> {
        let (digest, from) = (asked.parameter("mount")?, asked.parameter("from"));
        let repositories = self.state.repositories();
        let source = from.and_then(|from| repositories.get(from));
        let is_there = source.is_some_and(|source| source.references(digest));
        if !(is_there && self.state.account.blob_mounting) {
            let version = request.first_line.rsplit(' ').next().unwrap_or_default();
            request.first_line = format!("POST /v2/{}/blobs/uploads/ {version}", asked.repository);
        }
        None
    }

    /// PATCH is answered with 201, and what comes after the first is dropped (aws.md 0, finding 3).
    fn patch(&self, request: &Head) -> Misbehaviour {
        let upload = request.path().split('?').next().unwrap_or_default();
        let mut patched = self.patched.lock().unwrap_or_else(PoisonError::into_inner);
        if patched.insert(upload.to_owned()) {
            return Misbehaviour::ReplaceHead {
                status: Some(201),
                set: Vec::new(),
                removed: Vec::new(),
            };
        }
        Misbehaviour::Answer {
            status: 201,
            headers: vec![("Location".to_owned(), request.path().to_owned())],
            body: Vec::new(),
        }
    }

    /// Blobs are read from another host, by an address that is good for itself (aws.md 1.3).
    fn redirect(&self, asked: &Asked<'_>) -> Option<Misbehaviour> {
        let path = format!("/v2/{}/blobs/{}", asked.repository, asked.name);
        redirect(&self.state.upstream, &path, &self.blobs_host)
    }

    fn manifest(&self, asked: &Asked<'_>, request: &Head, body: &[u8]) -> Misbehaviour {
        let media_type = request.header("Content-Type").unwrap_or_default();
        if media_type.contains(';') {
            return refused(400, "MANIFEST_INVALID", "the media type has parameters");
        }
        // aws.md 0, finding 4: artifacts of OCI 1.1.
        let manifest: Value = serde_json::from_slice(body).unwrap_or_default();
        if !manifest["artifactType"].is_null()
            || manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
        {
            return refused(405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest'");
        }
        let repositories = self.state.repositories();
        let repository = repositories.get(asked.repository);
        if repository.is_some_and(|repository| !repository.lets_move(asked.name, &sha256(body))) {
            let message = format!(
                "The image tag '{}' already exists in the '{}' repository and cannot be overwritten because the tag is \
                 immutable.",
                asked.name, asked.repository
            );
            return refused(400, "TAG_INVALID", &message);
        }
        // registry.md 3, number 13.
        Misbehaviour::ReplaceHead {
            status: None,
            set: Vec::new(),
            removed: vec!["Location"],
        }
    }

    /// At most a thousand tags at a time, with a cursor that says nothing (aws.md 1.3; registry.md 3, number 10).
    fn tags(&self, asked: &Asked<'_>) -> Misbehaviour {
        let limit = asked.parameter("n").map_or(Ok(TAGS), str::parse::<usize>);
        let Some(limit) = limit.ok().filter(|limit| (1..=MAX_TAGS).contains(limit)) else {
            let message =
                "Invalid parameter at 'maxResults' failed to satisfy constraint: 'between 1 and 1000'";
            return refused(405, "UNSUPPORTED", message);
        };
        let from = asked
            .parameter("last")
            .and_then(|cursor| cursor.strip_prefix("opaque-")?.parse().ok())
            .unwrap_or(0);
        let repositories = self.state.repositories();
        let Some(repository) = repositories.get(asked.repository) else {
            return missing(asked.repository, EcrFront::ACCOUNT);
        };
        let all: Vec<&String> = repository.tags().collect();
        let page: Vec<&&String> = all.iter().skip(from).take(limit).collect();
        let next = from + page.len();
        let mut answer = answered(
            200,
            "application/json",
            &json!({ "name": asked.repository, "tags": page }),
        );
        if let Misbehaviour::Answer { headers, .. } = &mut answer
            && next < all.len()
        {
            let link = format!(
                "</v2/{}/tags/list?last=opaque-{next}&n={limit}>; rel=\"next\"",
                asked.repository
            );
            headers.push(("Link".to_owned(), link));
        }
        answer
    }

    /// The API of referrers works (aws.md 1.3).
    fn referrers(&self, asked: &Asked<'_>) -> Misbehaviour {
        let repositories = self.state.repositories();
        let found = repositories.get(asked.repository).into_iter();
        let manifests: Vec<Value> = found
            .flat_map(|repository| repository.referrers(asked.name))
            .map(|(digest, image)| {
                json!({ "mediaType": image.media_type, "digest": digest, "size": image.size, "artifactType": image.artifact_type })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        answered(200, INDEX, &index)
    }
}

impl<'a> Asked<'a> {
    fn of(request: &'a Head) -> Option<Self> {
        let (path, query) = request.path().split_once('?').unwrap_or((request.path(), ""));
        let path = path.strip_prefix("/v2/")?;
        let kinds = [
            "/manifests/",
            "/blobs/uploads/",
            "/blobs/",
            "/tags/",
            "/referrers/",
        ];
        let (at, kind) = kinds
            .iter()
            .find_map(|kind| path.find(kind).map(|at| (at, *kind)))?;
        Some(Self {
            method: request.method(),
            repository: &path[..at],
            kind: kind.trim_matches('/').rsplit('/').next().unwrap_or_default(),
            name: &path[at + kind.len()..],
            query: query.split('&').filter_map(|pair| pair.split_once('=')).collect(),
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| *value)
    }

    /// The action of the API that it counts as (aws.md 1.2).
    fn action(&self) -> &'static str {
        match (self.method, self.kind) {
            ("PUT", "manifests") => "PutImage",
            (_, "manifests") => "BatchGetImage",
            ("HEAD", "blobs") => "BatchCheckLayerAvailability",
            (_, "blobs") => "GetDownloadUrlForLayer",
            ("POST", "uploads") => "InitiateLayerUpload",
            ("PUT", "uploads") => "CompleteLayerUpload",
            (_, "uploads") => "UploadLayerPart",
            (_, "tags") => "ListImages",
            _ => "ListImageReferrers",
        }
    }

    /// Blobs without a byte are refused (registry.md 3, number 5).
    fn empty_blob(&self) -> Option<Misbehaviour> {
        let digest = self.parameter("digest")?.replace("%3A", ":");
        (digest == EMPTY).then(|| refused(400, "BLOB_UPLOAD_INVALID", "the layer upload is empty"))
    }
}
