use reqwest::StatusCode;

/// Whether the same request may succeed a little later. 501 and 505 are about the request, the other 5xx about the
/// server, those of content networks (520 and up) included.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 429 => true,
        501 | 505 => false,
        code => code >= 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (code, retryable) in [
            (404, false),
            (403, false),
            (408, true),
            (429, true),
            (500, true),
            (501, false),
            (503, true),
            (522, true),
        ] {
            assert_eq!(
                is_retryable(StatusCode::from_u16(code).unwrap()),
                retryable,
                "{code}"
            );
        }
    }
}
