//! `Link`: where the next page of a list is.

use onlay_http::Origin;
use reqwest::header::{HeaderMap, LINK};
use url::Url;

use crate::RegistryError;
use crate::transport::place;

/// The next page, if there is one. The address is the registry's to make and is taken as it is, but never to another
/// origin: a list has no business there, and the credentials neither.
///
/// Source: RFC 8288; registry.md §3 no. 10.
pub(crate) fn next_page(page: &Url, headers: &HeaderMap) -> Result<Option<Url>, RegistryError> {
    let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    let Some(target) = links.flat_map(targets).next() else {
        return Ok(None);
    };
    match page.join(target) {
        Ok(next) if Origin::of(&next) == Origin::of(page) => Ok(Some(next)),
        Ok(next) => Err(RegistryError::Forbidden {
            place: place(page),
            target: place(&next),
        }),
        Err(_) => Err(RegistryError::Answer {
            method: reqwest::Method::GET,
            place: place(page),
            what: "address of the next page",
        }),
    }
}

/// The targets in one header whose relation is `next`.
fn targets(link: &str) -> impl Iterator<Item = &str> {
    link.split('<').skip(1).filter_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let mut parameters = parameters.split([';', ',']).map(str::trim);
        parameters
            .any(|parameter| is_next(parameter).unwrap_or(false))
            .then_some(target)
    })
}

fn is_next(parameter: &str) -> Option<bool> {
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim().trim_matches('"');
    let relations = &mut value.split_ascii_whitespace();
    Some(name.trim().eq_ignore_ascii_case("rel") && relations.any(|name| name.eq_ignore_ascii_case("next")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_of_the_same_origin() {
        let page: Url = "https://r.example/v2/a/referrers/x?n=1".parse().unwrap();
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, link.parse().unwrap());
            next_page(&page, &headers).map(|next| next.map(String::from))
        };
        let expected = |path: &str| Some(format!("https://r.example{path}"));
        assert_eq!(
            next("</v2/b?c=,;>; rel=\"next\"").unwrap(),
            expected("/v2/b?c=,;")
        );
        assert_eq!(
            next("<?last=1>; rel=next").unwrap(),
            expected("/v2/a/referrers/x?last=1")
        );
        let two = "</v2/first>; rel=\"first\", </v2/next>; title=\"x\"; rel=\"next last\"";
        assert_eq!(next(two).unwrap(), expected("/v2/next"));
        assert_eq!(next("</v2/b>; rel=\"prev\"").unwrap(), None);
        assert_eq!(next("nonsense").unwrap(), None);
        for elsewhere in [
            "https://r.example:444/",
            "http://r.example/",
            "//other.example/v2/",
        ] {
            let refused = next(&format!("<{elsewhere}>; rel=\"next\""));
            assert!(
                matches!(refused, Err(RegistryError::Forbidden { .. })),
                "{elsewhere}"
            );
        }
    }
}
