//! Lists of tags of any length, and lists that lie.

use onlay_registry::RegistryError;
use onlay_testkit::Misbehaviour;
use serde_json::json;

use crate::case::{Case, soon};

fn page(tags: &[&str], next: Option<&str>) -> Misbehaviour {
    let link = next.map(|next| ("Link".to_owned(), format!("<{next}>; rel=\"next\"")));
    Misbehaviour::Answer {
        status: 200,
        headers: link.into_iter().collect(),
        body: json!({ "name": "a", "tags": tags }).to_string().into_bytes(),
    }
}

async fn tags(case: &Case) -> Result<Vec<String>, RegistryError> {
    let tags = soon(case.repository("a").tags()).await?;
    Ok(tags.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn pages_are_followed_as_the_registry_links_them() {
    let case = Case::new();
    case.inject(
        1,
        "GET",
        "/tags/list?n=1000",
        page(&["1", "2"], Some("/v2/a/tags/list?cursor=%2Bx==")),
    );
    case.inject(
        1,
        "GET",
        "/v2/a/tags/list?cursor=%2Bx==",
        page(&["2", "latest"], Some("?last=2")),
    );
    case.inject(1, "GET", "/v2/a/tags/list?last=2", page(&[], None));
    assert_eq!(tags(&case).await.unwrap(), ["1", "2", "latest"]);
    assert_eq!(case.exchanges(), ["GET 200"; 3]);
}

#[tokio::test]
async fn a_cursor_that_has_expired_starts_the_list_over_once() {
    let case = Case::new();
    let first = || page(&["1", "2"], Some("?cursor=a"));
    case.inject(2, "GET", "/tags/list?n=", first());
    case.inject(1, "GET", "cursor=a", Misbehaviour::answer(405, &[]));
    case.inject(1, "GET", "cursor=a", page(&["3"], None));
    assert_eq!(tags(&case).await.unwrap(), ["1", "2", "3"]);

    case.inject(2, "GET", "/tags/list?n=", first());
    case.inject(2, "GET", "cursor=a", Misbehaviour::answer(405, &[]));
    let failed = tags(&case).await.unwrap_err();
    assert!(matches!(failed, RegistryError::Status { .. }), "{failed}");
}

#[tokio::test]
async fn lists_without_end_and_elsewhere_are_refused() {
    let case = Case::new();
    case.front.inject(onlay_testkit::Fault::always(
        "GET",
        "/tags/list?",
        page(&["1"], Some("?again")),
    ));
    let endless = tags(&case).await.unwrap_err();
    assert!(matches!(endless, RegistryError::Pages { .. }), "{endless}");

    let case = Case::new();
    case.inject(
        1,
        "GET",
        "/tags/list?",
        page(&["1"], Some("http://127.0.0.1:1/v2/a/tags/list")),
    );
    let elsewhere = tags(&case).await.unwrap_err();
    assert!(
        matches!(elsewhere, RegistryError::Forbidden { .. }),
        "{elsewhere}"
    );

    let case = Case::new();
    case.inject(1, "GET", "/tags/list?", page(&["1", "\u{1b}[2J"], None));
    let no_tag = tags(&case).await.unwrap_err();
    assert!(matches!(no_tag, RegistryError::Answer { .. }), "{no_tag}");
}

#[tokio::test]
async fn a_real_registry_lists_its_tags_and_misses_a_repository() {
    let case = Case::new();
    let missing = tags(&case).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    let bytes =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let index = onlay_oci::Descriptor::of(onlay_oci::MediaType::Index(onlay_oci::Family::Oci), bytes);
    for tag in ["1.0", "latest"] {
        case.straight("a").put_manifest(tag, &index, bytes).await.unwrap();
    }
    let mut found = tags(&case).await.unwrap();
    found.sort();
    assert_eq!(found, ["1.0", "latest"]);
}
