use url::Url;

/// A URL as it may be shown: without user and password, and without the query, where signatures and tokens stand.
pub(crate) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// The same for a text that is no URL.
pub(crate) fn redacted(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let shown = &text[..end];
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}{}", &shown[..scheme + 3], &shown[at + 1..]),
        _ => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let cases = [
            ("https://u:p@a.example:8443/x?sig=1#f", "https://a.example:8443/x"),
            ("http://a.example/", "http://a.example/"),
            ("https://[::1]:1/x%20y", "https://[::1]:1/x%20y"),
        ];
        for (url, shown) in cases {
            assert_eq!(place(&Url::parse(url).unwrap()), shown);
        }
        assert_eq!(redacted("https://u:p@a b/x?sig=1"), "https://a b/x");
        assert_eq!(redacted("no url"), "no url");
    }
}
