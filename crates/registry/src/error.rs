use std::io;
use std::time::Duration;

use onlay_oci::{Digest, DocumentError};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use crate::pull_limit::in_words;
use crate::{ExtensionError, Identity, KeychainError, PullLimit};

/// Why a registry did not do what was asked of it.
///
/// URLs are shown without their query, where signatures and tokens stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It answered with an error.
    #[error("{method} {place}: {}{}", status.as_u16(), said(words))]
    Status {
        /// The method.
        method: Method,
        /// Host and path.
        place: String,
        /// The status.
        status: StatusCode,
        /// The registry's own words.
        words: String,
        /// Who asked; none where credentials do not go, such as behind a redirect.
        identity: Option<Box<Identity>>,
    },
    /// A mirror has another image under a tag than the origin.
    #[error("it has {found}, `{origin}` has {expected}")]
    Stale {
        /// The mirror's.
        found: Digest,
        /// The origin's.
        expected: Digest,
        /// Registry and repository of the origin.
        origin: String,
    },
    /// There was no token to be had. It says nothing about what the token was for.
    #[error("no token for `{}`", identity.registry)]
    Token {
        /// Who asked for it.
        identity: Box<Identity>,
        /// What happened.
        source: Box<RegistryError>,
    },
    /// It could not be reached, or the connection broke, however often it was tried.
    #[error("{method} {place}: no answer{}", times(*attempts))]
    Transport {
        /// The method.
        method: Method,
        /// Host and path.
        place: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        source: reqwest::Error,
    },
    /// It took too long to answer, however often it was tried.
    #[error("{method} {place}: no answer within {} seconds, {attempts} times", limit.as_secs())]
    Timeout {
        /// The method.
        method: Method,
        /// Host and path.
        place: String,
        /// How long was waited each time.
        limit: Duration,
        /// How often it was tried.
        attempts: u32,
    },
    /// It asks to wait for longer than is sensible.
    #[error("{method} {place}: the registry asks to come back in {} seconds", wait.as_secs())]
    ComeBackLater {
        /// The method.
        method: Method,
        /// Host and path.
        place: String,
        /// How long it asks to wait.
        wait: Duration,
    },
    /// As much was pulled as may be for hours. It is not asked for again in this run.
    #[error("{place}: the limit on pulls is reached{}; {}", in_brackets(limit), again(*wait))]
    PullLimit {
        /// Host and path.
        place: String,
        /// What the registry tells of the limit.
        limit: Box<PullLimit>,
        /// When more may be pulled at the latest, where that is known.
        wait: Option<Duration>,
    },
    /// What came is not what was asked for.
    #[error("{place}: expected {expected} ({expected_size} bytes), found {found} ({found_size} bytes)")]
    Mismatch {
        /// Host and path.
        place: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The size that was expected, in bytes.
        expected_size: u64,
        /// The digest of what came.
        found: Digest,
        /// How much came, in bytes.
        found_size: u64,
    },
    /// The header announces another length than the descriptor.
    #[error("{place}: expected {expected} bytes, the registry announces {announced} bytes")]
    Length {
        /// Host and path.
        place: String,
        /// What is expected, in bytes.
        expected: u64,
        /// What is announced, in bytes.
        announced: u64,
    },
    /// The connection broke too often while a blob came.
    #[error("{place}: the transfer stopped at {received} of {expected} bytes, {attempts} times")]
    Interrupted {
        /// Host and path.
        place: String,
        /// How much came, in bytes.
        received: u64,
        /// How much there is, in bytes.
        expected: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// A manifest or configuration beyond reason.
    #[error("{place}: more than {limit} bytes, which no manifest or configuration has")]
    TooLarge {
        /// Host and path.
        place: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// What came is no manifest or index.
    #[error("{place}: not a manifest that can be used")]
    Document {
        /// Host and path.
        place: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// It leads to where nobody may be led.
    #[error("{place}: the registry leads to `{target}`, which is refused")]
    Forbidden {
        /// Host and path of the request.
        place: String,
        /// Where it leads, without its query.
        target: String,
    },
    /// It leads on and on.
    #[error("{place}: more than {limit} redirects")]
    Redirects {
        /// Host and path of the first request.
        place: String,
        /// How many are followed.
        limit: usize,
    },
    /// A list without end.
    #[error("{place}: more than {limit} pages, which no list has")]
    Pages {
        /// Host and path of the first page.
        place: String,
        /// How many are read.
        limit: usize,
    },
    /// Others change the same thing all the time.
    #[error("{place}: others change it at the same time, {attempts} times in a row")]
    Contended {
        /// Host and path.
        place: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// Its answer lacks something, or has something that makes no sense.
    #[error("{method} {place}: the registry's answer has no usable {what}")]
    Answer {
        /// The method.
        method: Method,
        /// Host and path.
        place: String,
        /// What is missing.
        what: &'static str,
    },
    /// The registry takes no blob of no bytes.
    #[error("`{registry}` takes no empty blob (registry profile `{profile}`), and the image has one")]
    EmptyBlob {
        /// The registry.
        registry: String,
        /// The profile that says so.
        profile: &'static str,
    },
    /// The bytes of an upload were not to be had.
    #[error("the bytes for {place} could not be read")]
    Body {
        /// Host and path.
        place: String,
        /// What happened.
        source: io::Error,
    },
    /// A credential could not be looked up.
    #[error("no credential for `{registry}`")]
    Keychain {
        /// The registry.
        registry: String,
        /// What happened.
        source: KeychainError,
    },
    /// What is known of this particular registry could not be made use of.
    #[error("`{registry}` could not be prepared")]
    Extension {
        /// The registry.
        registry: String,
        /// What happened.
        source: ExtensionError,
    },
    /// A file about mirrors forbids to read it.
    #[error("`{name}` is blocked by `{file}`")]
    Blocked {
        /// The image.
        name: String,
        /// The file.
        file: String,
    },
    /// The registry's name does not make an address.
    #[error("`{registry}` is not an address")]
    Address {
        /// The registry.
        registry: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
}

impl RegistryError {
    /// Tells whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Tells whether the connection failed, not the registry's answer.
    pub(crate) fn is_interruption(&self) -> bool {
        match self {
            Self::Token { source, .. } => source.is_interruption(),
            error => matches!(error, Self::Transport { .. } | Self::Timeout { .. }),
        }
    }

    /// Tells whether the registry, or its token endpoint, found something wrong with the request.
    pub(crate) fn is_client_error(&self) -> bool {
        match self {
            Self::Token { source, .. } => source.is_client_error(),
            error => matches!(error, Self::Status { status, .. } if status.is_client_error()),
        }
    }

    /// Who was asking when the registry answered with an error; none where credentials do not go.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Token { identity, .. } => Some(identity),
            Self::Status { identity, .. } => identity.as_deref(),
            _ => None,
        }
    }

    /// Tells whether an answer began and did not come to its end. No answer at all is another thing: that was tried
    /// again already.
    pub(crate) fn is_cut_off(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.is_body() || source.is_decode(),
            // What is sent and not answered is sent more than once.
            Self::Timeout { attempts, .. } => *attempts == 1,
            _ => false,
        }
    }

    /// The same as the last of several attempts, where it says how often it was tried.
    pub(crate) fn after(mut self, tried: u32) -> Self {
        if let Self::Transport { attempts, .. } | Self::Timeout { attempts, .. } = &mut self {
            *attempts = tried;
        }
        self
    }

    /// Tells whether a manifest was refused because a blob that it names is not there.
    pub fn misses_a_blob(&self) -> bool {
        matches!(self, Self::Status { words, .. } if words.contains("BLOB_UNKNOWN"))
    }

    /// Tells whether a tag was refused because it is taken and may not move. Whether what is there is what was sent, only
    /// a look at its digest can tell.
    ///
    /// Source: aws.md §1.3; the sentences are of repositories that are immutable as a whole, today's and yesterday's.
    pub fn is_immutable_tag(&self) -> bool {
        let sentences = [
            "cannot be overwritten because the tag is immutable",
            "because the repository is immutable",
        ];
        let Self::Status { words, .. } = self else {
            return false;
        };
        words.contains("ImageTagAlreadyExistsException")
            || (words.contains("TAG_INVALID") && sentences.iter().any(|sentence| words.contains(sentence)))
    }

    /// Tells whether a manifest was refused for what it is: some registries know no artifacts.
    ///
    /// Source: aws.md §0 no. 4, §5; distribution-spec v1.1 "Error Codes".
    pub fn refuses_the_form(&self) -> bool {
        let Self::Status {
            method,
            status,
            words,
            ..
        } = self
        else {
            return false;
        };
        let doubts = [
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_ACCEPTABLE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        let codes = ["UNSUPPORTED", "MANIFEST_INVALID"];
        let is_named = || codes.iter().any(|code| words.contains(code));
        method == Method::PUT
            && (*status == StatusCode::METHOD_NOT_ALLOWED || doubts.contains(status) && is_named())
    }

    /// Tells whether the registry found what it was sent wrong.
    pub fn is_refusal(&self) -> bool {
        let refusals = [
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::RANGE_NOT_SATISFIABLE,
        ];
        matches!(self, Self::Status { status, .. } if refusals.contains(status))
    }

    /// Tells whether another place may have what this one did not give. One that lies is not passed over: somebody should
    /// know of it.
    pub(crate) fn is_for_others(&self) -> bool {
        match self {
            Self::Token { source, .. } => source.is_for_others(),
            Self::Status { .. }
            | Self::Transport { .. }
            | Self::Timeout { .. }
            | Self::ComeBackLater { .. }
            | Self::PullLimit { .. }
            | Self::Interrupted { .. }
            | Self::Redirects { .. }
            | Self::Answer { .. }
            | Self::Stale { .. }
            | Self::Extension { .. } => true,
            Self::Mismatch { .. }
            | Self::Length { .. }
            | Self::TooLarge { .. }
            | Self::Document { .. }
            | Self::Forbidden { .. }
            | Self::EmptyBlob { .. }
            | Self::Pages { .. }
            | Self::Contended { .. }
            | Self::Body { .. }
            | Self::Keychain { .. }
            | Self::Blocked { .. }
            | Self::Address { .. } => false,
        }
    }

    /// Tells whether the registry wants other credentials, or more rights.
    pub fn is_unauthorized(&self) -> bool {
        let wanted = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        match self {
            Self::Token { source, .. } => source.is_unauthorized(),
            error => matches!(error, Self::Status { status, .. } if wanted.contains(status)),
        }
    }
}

fn times(attempts: u32) -> String {
    match attempts {
        1 => String::new(),
        _ => format!(" after {attempts} attempts"),
    }
}

fn in_brackets(limit: &PullLimit) -> String {
    if *limit == PullLimit::default() {
        String::new()
    } else {
        format!(" ({limit})")
    }
}

fn again(wait: Option<Duration>) -> String {
    let when = wait.map_or_else(|| "later".to_owned(), |wait| format!("within {}", in_words(wait)));
    format!("more may be pulled {when}")
}

fn said(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(" {words}")
    }
}

/// How much of an answer's body is shown, in characters: room for a sentence of ECR's around the longest repository and
/// the longest tag.
const MAX_WORDS: usize = 600;

/// The registry's own words: the specification's error codes, else the beginning of what looks like text.
pub(crate) fn words(body: &[u8]) -> String {
    redacted_words(body, |text| text)
}

/// The same, without what `redact` takes out of it, which must see the whole.
pub(crate) fn redacted_words(body: &[u8], redact: impl Fn(String) -> String) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let text = match serde_json::from_slice::<Errors>(body) {
        Ok(Errors { errors }) => {
            let entries = errors
                .into_iter()
                .map(|Entry { code, message }| format!("{code}: {message}"));
            entries.collect::<Vec<_>>().join("; ")
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    // A hostile registry must not move the cursor of a terminal.
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    redact(text)
        .chars()
        .map(printable)
        .take(MAX_WORDS)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> RegistryError {
        RegistryError::Status {
            method: Method::PUT,
            place: "registry.example/v2/a/manifests/b".to_owned(),
            status: StatusCode::BAD_REQUEST,
            words: words(body.as_bytes()),
            identity: None,
        }
    }

    #[test]
    fn tags_that_may_not_move() {
        let (tag, repository) = ("t".repeat(128), "r".repeat(256));
        let says = |code: &str, message: &str| {
            refused(&format!(
                r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#
            ))
            .is_immutable_tag()
        };
        let taken = format!("The image tag '{tag}' already exists in the '{repository}' repository and");
        assert!(says(
            "TAG_INVALID",
            &format!("{taken} cannot be overwritten because the tag is immutable.")
        ));
        assert!(says(
            "TAG_INVALID",
            &format!("{taken} cannot be overwritten because the repository is immutable.")
        ));
        assert!(says("ImageTagAlreadyExistsException", "x"));
        assert!(!says("TAG_INVALID", "manifest tag did not match URI"));
        assert!(!says(
            "DENIED",
            "cannot be overwritten because the tag is immutable"
        ));
    }

    #[test]
    fn the_registrys_own_words() {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository","detail":{}}]}"#;
        assert_eq!(words(body), "NAME_UNKNOWN: no such repository");
        assert_eq!(words(b"plain \x1b[31m text\n"), "plain  [31m text");
        assert_eq!(words(b""), "");
        assert_eq!(words(&[b'x'; 1000]).len(), MAX_WORDS);
    }
}
