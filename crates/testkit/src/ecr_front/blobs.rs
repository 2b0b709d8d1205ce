//! The other host: S3, as presigned addresses lead there (aws.md 1.3).

use crate::front::Misbehaviour;
use crate::front::manners::Manners;
use crate::http::Head;

/// Gives blobs to everybody who shows no `Authorization`; S3 takes one mechanism at a time and refuses a second.
#[derive(Debug)]
pub(super) struct Blobs;

impl Manners for Blobs {
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
