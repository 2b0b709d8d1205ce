use onlay_oci::Registry;
use reqwest::header::HeaderValue;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{CredentialSource, Secret};

/// Who a request came from, as far as that may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The registry that was asked, as images name it.
    pub registry: Registry,
    /// Where the credential is from; none if there was none.
    pub source: Option<CredentialSource>,
}

/// What a request is sent with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authorization {
    pub(crate) header: Option<HeaderValue>,
    /// Who that is; none where credentials do not go.
    pub(crate) identity: Option<Identity>,
    /// How often credentials had been renewed.
    pub(crate) generation: u64,
}

impl Authorization {
    /// Takes out of an answer's words what was sent: some registries repeat it.
    pub(crate) fn redact(&self, words: String) -> String {
        redact(words, &self.secrets())
    }

    fn secrets(&self) -> Vec<Secret> {
        let Some((scheme, shown)) = self
            .header
            .as_ref()
            .and_then(|header| header.to_str().ok()?.split_once(' '))
        else {
            return Vec::new();
        };
        let mut secrets = vec![Secret::new(shown)];
        if scheme == "Basic" {
            let text = STANDARD
                .decode(shown)
                .ok()
                .and_then(|text| String::from_utf8(text).ok());
            let password = text.and_then(|text| Some(text.split_once(':')?.1.to_owned()));
            secrets.extend(password.map(Secret::new));
        }
        secrets
    }
}

/// Takes secrets out of a text.
pub(crate) fn redact(text: String, secrets: &[Secret]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.reveal().is_empty())
        .fold(text, |text, secret| text.replace(secret.reveal(), "[redacted]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth;

    #[test]
    fn what_was_sent_is_not_repeated() {
        let with = |header| Authorization {
            header,
            ..Authorization::default()
        };
        let basic = with(auth::basic("tester", &Secret::new("hunter2")));
        let words = "tester:hunter2 sent dGVzdGVyOmh1bnRlcjI=".to_owned();
        assert_eq!(basic.redact(words), "tester:[redacted] sent [redacted]");
        let bearer = with(auth::bearer(&Secret::new("t-1")));
        assert_eq!(bearer.redact("bad t-1".to_owned()), "bad [redacted]");
        assert_eq!(with(None).redact("as it is".to_owned()), "as it is");
        assert_eq!(
            with(auth::basic("", &Secret::new(""))).redact("x".to_owned()),
            "x"
        );
    }
}
