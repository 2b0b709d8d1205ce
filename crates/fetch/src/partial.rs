use bytes::Bytes;
use onlay_oci::Digest;
use onlay_store::Spool;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use url::Url;

use crate::FetchOptions;
use crate::ask::Answer;
use crate::sink::{Keeper, Sink, SinkError};

/// The beginning of a file, and what is needed to ask for the rest of the same file.
pub(crate) struct Partial {
    pub(crate) sink: Sink,
    /// How many bytes came, in the form in which they are sent.
    pub(crate) received: u64,
    /// How many there are in that form, where the server says so.
    pub(crate) size: Option<u64>,
    pub(crate) last_modified: Option<i64>,
    pub(crate) url: Url,
    /// What tells that the rest is of the same bytes.
    entity_tag: Option<HeaderValue>,
}

impl Partial {
    /// Starts with a whole file's headers.
    pub(crate) fn new(answer: &Answer, options: &FetchOptions, expected: Option<&Digest>) -> Self {
        let headers = answer.response.headers();
        let spool = Spool::new(options.temporary_directory.clone());
        let size = answer.response.content_length();
        // Nothing at all is a compressed form of nothing for Go's client.
        let is_gzip = is_gzip(headers) && size != Some(0);
        Self {
            sink: Sink::new(Keeper::new(spool, expected), is_gzip),
            received: 0,
            size,
            last_modified: last_modified(headers),
            url: answer.url.clone(),
            entity_tag: headers.get(ETAG).filter(|tag| is_strong(tag)).cloned(),
        }
    }

    /// Adds the next bytes.
    pub(crate) async fn add(self, piece: Bytes) -> Result<Self, SinkError> {
        let received = self.received + piece.len() as u64;
        let sink = self.sink.write(piece).await?;
        Ok(Self {
            sink,
            received,
            ..self
        })
    }

    /// Tells whether all came that was announced.
    pub(crate) fn lacks_nothing(&self) -> bool {
        self.size.is_none_or(|size| size == self.received)
    }

    /// Tells whether more came than was announced.
    pub(crate) fn is_too_long(&self) -> bool {
        self.size.is_some_and(|size| size < self.received)
    }

    /// What asks for the rest, if it can be asked for.
    ///
    /// Source: RFC 9110 "If-Range": a weak tag does not tell that the bytes are the same.
    pub(crate) fn rest(&self) -> Option<HeaderMap> {
        let entity_tag = self.entity_tag.clone().filter(|_| self.received > 0)?;
        let range = HeaderValue::try_from(format!("bytes={}-", self.received)).ok()?;
        Some(HeaderMap::from_iter([(RANGE, range), (IF_RANGE, entity_tag)]))
    }

    /// Tells whether an answer of status 206 goes on where this ends.
    pub(crate) fn continues(&self, headers: &HeaderMap) -> bool {
        let same_file = headers
            .get(ETAG)
            .is_none_or(|tag| Some(tag) == self.entity_tag.as_ref());
        let range = headers.get(CONTENT_RANGE).and_then(content_range);
        range.is_some_and(|range| {
            let same_size = match (range.size, self.size) {
                (Some(now), Some(before)) => now == before,
                _ => true,
            };
            same_file && same_size && range.start == self.received
        })
    }

    /// Takes the size from an answer of status 206, where it was not known.
    pub(crate) fn learn_size(&mut self, headers: &HeaderMap) {
        let range = headers.get(CONTENT_RANGE).and_then(content_range);
        self.size = self.size.or(range.and_then(|range| range.size));
    }
}

/// `Content-Range: bytes START-END/SIZE`, where the size may be `*`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    size: Option<u64>,
}

fn content_range(value: &HeaderValue) -> Option<ContentRange> {
    let (range, size) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    let size = match size.trim() {
        "*" => None,
        size => Some(size.parse().ok()?),
    };
    Some(ContentRange { start, size })
}

fn is_strong(entity_tag: &HeaderValue) -> bool {
    entity_tag.as_bytes().starts_with(b"\"")
}

/// BuildKit takes what is marked so for a compressed form of the file, as Go's client does when it may, and keeps what
/// is in it; other encodings, `x-gzip` among them, it keeps as they come. Some servers mark stored files so whatever
/// they are asked for.
fn is_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

/// In seconds since 1970.
fn last_modified(headers: &HeaderMap) -> Option<i64> {
    let time = httpdate::parse_http_date(headers.get(LAST_MODIFIED)?.to_str().ok()?).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let cases = [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes */10", None),
            ("lines 5-9/10", None),
            ("bytes 5-9", None),
            ("bytes 5-9/x", None),
        ];
        for (text, expected) in cases {
            let found = content_range(&HeaderValue::from_static(text));
            let expected = expected.map(|(start, size)| ContentRange { start, size });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn only_strong_tags_tell_that_bytes_are_the_same() {
        assert!(is_strong(&HeaderValue::from_static("\"a\"")));
        assert!(!is_strong(&HeaderValue::from_static("W/\"a\"")));
    }

    #[test]
    fn dates_in_all_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let headers = HeaderMap::from_iter([(LAST_MODIFIED, HeaderValue::from_static(text))]);
            assert_eq!(last_modified(&headers), Some(784_111_777), "{text}");
        }
    }
}
