//! Where the bytes of an image are read from: an OCI layout or a registry.

use crate::http::{self, Response};
use crate::registry::Credential;
use fs_err as fs;
use oci_spec::image::{Descriptor, ImageIndex, OciLayout};
use std::path::Path;

/// Every media type a manifest or index can have here.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A place that blobs are read from by digest, and one image by name. Nothing is verified here.
pub(crate) enum Source<'a> {
    Layout {
        dir: &'a Path,
    },
    Registry {
        host: &'a str,
        repository: &'a str,
        credential: Option<&'a Credential>,
    },
}

/// What a name stands for: the bytes, and what was claimed of them.
pub(crate) struct Root {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Source<'_> {
    /// Reads what a tag (or, in a registry, a digest) stands for.
    pub(crate) fn root(&self, reference: &str) -> Result<Root, String> {
        match self {
            Self::Layout { dir } => root_of_layout(dir, reference),
            Self::Registry { .. } => {
                let response = self.fetch("manifests", reference)?;
                let header = |name: &str| response.head.header(name).unwrap_or_default().to_owned();
                Ok(Root {
                    media_type: header("Content-Type"),
                    digest: header("Docker-Content-Digest"),
                    size: header("Content-Length").parse().unwrap_or_default(),
                    bytes: response.body,
                })
            }
        }
    }

    /// Reads a manifest by its digest.
    pub(crate) fn manifest(&self, digest: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Layout { dir } => read_blob(dir, digest),
            Self::Registry { .. } => self.fetch("manifests", digest).map(|response| response.body),
        }
    }

    /// Reads a configuration or a layer by its digest.
    pub(crate) fn blob(&self, digest: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Layout { dir } => read_blob(dir, digest),
            Self::Registry { .. } => self.fetch("blobs", digest).map(|response| response.body),
        }
    }

    fn fetch(&self, kind: &str, reference: &str) -> Result<Response, String> {
        let Self::Registry {
            host,
            repository,
            credential,
        } = self
        else {
            return Err("a layout has nothing to fetch".to_owned());
        };
        let path = format!("/v2/{repository}/{kind}/{reference}");
        let authorization = credential.map(Credential::basic);
        let mut headers = vec![("Accept", ACCEPT)];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        let response =
            http::get(host, &path, &headers).map_err(|error| format!("GET {host}{path}: {error}"))?;
        match response.head.status() {
            200 => Ok(response),
            status => Err(format!(
                "GET {host}{path}: {status} {}",
                String::from_utf8_lossy(&response.body)
            )),
        }
    }
}

fn root_of_layout(dir: &Path, tag: &str) -> Result<Root, String> {
    let layout =
        OciLayout::from_file(dir.join("oci-layout")).map_err(|error| format!("oci-layout: {error}"))?;
    if layout.image_layout_version() != "1.0.0" {
        return Err(format!(
            "oci-layout: expected version 1.0.0, found {}",
            layout.image_layout_version()
        ));
    }
    let index =
        ImageIndex::from_file(dir.join("index.json")).map_err(|error| format!("index.json: {error}"))?;
    let entries: Vec<&Descriptor> = index
        .manifests()
        .iter()
        .filter(|entry| ref_name(entry) == Some(tag))
        .collect();
    let [entry] = entries.as_slice() else {
        return Err(format!(
            "index.json: expected one entry named `{tag}`, found {}",
            entries.len()
        ));
    };
    Ok(Root {
        media_type: entry.media_type().to_string(),
        digest: entry.digest().to_string(),
        size: entry.size(),
        bytes: read_blob(dir, entry.digest().as_ref())?,
    })
}

fn ref_name(entry: &Descriptor) -> Option<&str> {
    entry
        .annotations()
        .as_ref()?
        .get("org.opencontainers.image.ref.name")
        .map(String::as_str)
}

fn read_blob(dir: &Path, digest: &str) -> Result<Vec<u8>, String> {
    fs::read(dir.join("blobs").join(digest.replacen(':', "/", 1))).map_err(|error| error.to_string())
}
