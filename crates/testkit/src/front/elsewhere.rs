//! Blobs on another host than the registry's: S3 behind ECR, a CDN behind Docker Hub (aws.md 1.3, 3).

use super::fault::Misbehaviour;
use super::manners::Manners;
use crate::http::{self, Head};

/// The other host. It gives blobs to everybody who shows no `Authorization`: an address that is good for itself is one
/// mechanism, and S3 refuses a second.
#[derive(Debug)]
pub(crate) struct Elsewhere;

impl Manners for Elsewhere {
    fn answer(&self, request: &mut Head, _: &[u8]) -> Option<Misbehaviour> {
        let words =
            "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>";
        request.header("Authorization")?;
        Some(Misbehaviour::Answer {
            status: 400,
            headers: vec![("Content-Type".to_owned(), "application/xml".to_owned())],
            body: words.as_bytes().to_vec(),
        })
    }
}

/// The way to a blob at `path` on the other host, if the registry has it.
pub(crate) fn redirect(registry: &str, path: &str, other_host: &str) -> Option<Misbehaviour> {
    let head = http::send("HEAD", registry, path, &[], &[]).ok()?.head;
    let place = format!("http://{other_host}{path}?X-Amz-Signature=presigned");
    (head.status() == 200).then(|| Misbehaviour::Answer {
        status: 307,
        headers: vec![("Location".to_owned(), place)],
        body: Vec::new(),
    })
}
