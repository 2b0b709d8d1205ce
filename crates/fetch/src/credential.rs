use base64::Engine;
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;
use url::Url;

/// The user and password of a URL as a header.
///
/// Source: RFC 7617; RFC 3986 "User Information" for the encoding.
pub(crate) fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut header = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// A URL without user, password and fragment: what is sent, and kept.
pub(crate) fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail for URLs that cannot have them, which then have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn user_and_password_become_a_header() {
        let cases = [
            ("https://user:p%40ss@a.example/", Some("Basic dXNlcjpwQHNz")),
            ("https://user@a.example/", Some("Basic dXNlcjo=")),
            ("https://:token@a.example/", Some("Basic OnRva2Vu")),
            ("https://a.example/", None),
        ];
        for (text, expected) in cases {
            let header = basic(&url(text));
            assert_eq!(
                header.as_ref().map(|header| header.to_str().unwrap()),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            bare(&url("https://u:p@a.example/x?y#z")).as_str(),
            "https://a.example/x?y"
        );
    }
}
