//! What refers to a manifest: the registry's own list, the one under a tag, and lists that lie.

use std::collections::BTreeMap;

use bytes::Bytes;
use onlay_oci::{Descriptor, Digest, Document, Family, Index, MediaType};
use onlay_registry::{ClientOptions, DigestTags, Profile, RegistryError, RepositoryClient};
use onlay_testkit::{FrontAuth, Misbehaviour};
use serde_json::json;

use crate::case::{Case, soon};

const SIGNATURE: &str = "application/vnd.example.signature";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn referrer(artifact_type: &str, number: u32) -> Descriptor {
    let bytes = format!("{artifact_type} {number}");
    let mut descriptor = Descriptor::of(MediaType::Manifest(Family::Oci), bytes.as_bytes());
    descriptor
        .other
        .insert("artifactType".to_owned(), artifact_type.into());
    descriptor
}

fn list(referrers: &[Descriptor]) -> Vec<u8> {
    let index = Index::assemble(Family::Oci, referrers.to_vec(), &BTreeMap::new());
    index.unwrap().bytes().to_vec()
}

fn page(referrers: &[Descriptor], next: Option<&str>) -> Misbehaviour {
    let mut headers = vec![("Content-Type".to_owned(), INDEX.to_owned())];
    headers.extend(next.map(|next| ("Link".to_owned(), format!("<{next}>; rel=\"next\""))));
    Misbehaviour::Answer {
        status: 200,
        headers,
        body: list(referrers),
    }
}

async fn put_list(repository: &RepositoryClient, subject: &Digest, bytes: &[u8]) {
    let descriptor = Descriptor::of(MediaType::Index(Family::Oci), bytes);
    let tag = subject.referrers_tag();
    repository
        .put_manifest(tag.as_str(), &descriptor, bytes)
        .await
        .unwrap();
}

/// A manifest that refers to `subject`, with what it is made of; the registry wants that to be there.
async fn push_signature(case: &Case, subject: &Descriptor, number: u32) -> Document {
    let config = case.store("a", &Bytes::from_static(b"{}")).await;
    let layer = case.store("a", &Bytes::from(number.to_string())).await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": SIGNATURE,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest.to_string(), "size": 2 },
        "layers": [layer],
        "subject": subject,
        "annotations": { "number": number.to_string() },
    });
    let document = Document::parse(manifest.to_string().into_bytes(), None).unwrap();
    let descriptor = document.descriptor();
    let digest = descriptor.digest.to_string();
    let repository = case.straight("a");
    repository
        .put_manifest(&digest, &descriptor, document.bytes())
        .await
        .unwrap();
    document
}

fn digests(referrers: &[Descriptor]) -> Vec<Digest> {
    referrers.iter().map(|referrer| referrer.digest.clone()).collect()
}

#[tokio::test]
async fn a_registry_without_lists_is_asked_once_and_then_for_the_tag() {
    let case = Case::new();
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    let kept = [referrer(SIGNATURE, 1), referrer("x/sbom", 2)];
    // Lists need their entries to be there in a real registry, so the front keeps this one.
    let tag = one.referrers_tag();
    case.inject(9, "GET", &format!("/manifests/{tag}"), page(&kept, None));
    let repository = case.repository("a");
    assert_eq!(
        digests(&repository.referrers(&one, None).await.unwrap()),
        digests(&kept)
    );
    assert_eq!(repository.referrers(&other, None).await.unwrap(), []);
    let signatures = repository.referrers(&one, Some(SIGNATURE)).await.unwrap();
    assert_eq!(digests(&signatures), [kept[0].digest.clone()]);
    assert_eq!(case.exchanges(), ["GET 404", "GET 200", "GET 404", "GET 200"]);
    assert_eq!(case.requests("GET", "/referrers/").len(), 1);
}

#[tokio::test]
async fn the_registrys_own_list_is_read_page_by_page() {
    let case = Case::new();
    let subject = Digest::of(b"subject");
    let all: Vec<Descriptor> = (0..4).map(|number| referrer(SIGNATURE, number)).collect();
    let sbom = referrer("x/sbom", 9);
    // What stands on two pages is one referrer; a registry need not filter.
    let second = [all[1].clone(), all[2].clone(), sbom, all[3].clone()];
    case.inject(1, "GET", "cursor=2", page(&second, None));
    case.inject(
        1,
        "GET",
        "/referrers/",
        page(&all[..2], Some("/v2/a/referrers/x?cursor=2")),
    );
    let found = case
        .repository("a")
        .referrers(&subject, Some(SIGNATURE))
        .await
        .unwrap();
    assert_eq!(digests(&found), digests(&all));
    let requests = case.front.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    let expected = format!("/v2/a/referrers/{subject}?artifactType=application%2Fvnd.example.signature");
    assert_eq!(requests[0].path, expected);
}

#[tokio::test]
async fn a_profile_saves_the_question() {
    let case = Case::with(FrontAuth::Registry, ClientOptions::default());
    let profiles = [(
        case.front.host().to_owned(),
        "standard,referrers=tag".parse::<Profile>().unwrap(),
    )];
    let options = ClientOptions {
        profiles: profiles.into(),
        ..ClientOptions::default()
    };
    let client = onlay_registry::Client::new(options).unwrap();
    let repository = crate::case::repository(&client, case.front.host(), "a");
    assert_eq!(repository.referrers(&Digest::of(b"x"), None).await.unwrap(), []);
    let known = DigestTags::known(["v1".parse().unwrap()]);
    let found = repository.referrers_with(&Digest::of(b"x"), None, &known).await;
    assert_eq!(found.unwrap(), []);
    let requests = case.front.requests();
    assert_eq!(requests.len(), 1, "what is known is not asked: {requests:?}");
    assert!(requests[0].path.contains("/manifests/sha256-"));
}

#[tokio::test]
async fn lists_that_lead_astray_are_refused() {
    let case = Case::new();
    let ask = async |link: &str| {
        let subject = Digest::of(link.as_bytes());
        let path = format!("/referrers/{subject}");
        case.inject(1, "GET", &path, page(&[referrer(SIGNATURE, 1)], Some(link)));
        soon(case.repository("a").referrers(&subject, None)).await
    };
    let elsewhere = ask("http://127.0.0.1:1/v2/a/referrers/x").await;
    assert!(
        matches!(elsewhere, Err(RegistryError::Forbidden { .. })),
        "{elsewhere:?}"
    );
    let metadata = ask("http://169.254.169.254/latest/").await;
    assert!(
        matches!(metadata, Err(RegistryError::Forbidden { .. })),
        "{metadata:?}"
    );
    assert_eq!(case.front.requests().len(), 2);

    case.inject(100_000, "GET", "round", page(&[], Some("/v2/a/referrers/round")));
    let endless = ask("/v2/a/referrers/round").await;
    assert!(matches!(endless, Err(RegistryError::Pages { .. })), "{endless:?}");
}

#[tokio::test]
async fn lists_that_are_none_are_refused() {
    let case = Case::new();
    let ask = async |misbehaviour: Misbehaviour| {
        let subject = Digest::of(format!("{misbehaviour:?}").as_bytes());
        case.inject(1, "GET", &format!("/referrers/{subject}"), misbehaviour);
        soon(case.repository("a").referrers(&subject, None)).await
    };
    let answer = |body: Vec<u8>| Misbehaviour::Answer {
        status: 200,
        headers: vec![("Content-Type".to_owned(), INDEX.to_owned())],
        body,
    };
    let large = ask(answer(vec![b' '; 5 << 20])).await;
    assert!(matches!(large, Err(RegistryError::TooLarge { .. })), "{large:?}");
    let broken = ask(answer(b"{".to_vec())).await;
    assert!(
        matches!(broken, Err(RegistryError::Document { .. })),
        "{broken:?}"
    );
    // The pages of a registry's web interface are no list, and say nothing: the tag decides.
    let web = Misbehaviour::Answer {
        status: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html>".to_vec(),
    };
    assert_eq!(ask(web).await.unwrap(), []);
    assert_eq!(case.requests("GET", "/manifests/sha256-").len(), 1);
}

/// `OCI-Subject` says that the registry keeps the list. ECR said so without keeping it (sigstore-js 1183).
#[tokio::test]
async fn a_list_under_a_tag_is_kept_where_the_registry_keeps_none() {
    let case = Case::new();
    let subject = Descriptor::of(MediaType::Manifest(Family::Oci), b"subject");
    let first = push_signature(&case, &subject, 1).await;
    let second = push_signature(&case, &subject, 2).await;
    let described = [&first, &second].map(|document| document.as_referrer().unwrap().unwrap().1);
    let digest = &subject.digest;
    let repository = case.repository("a");
    repository.add_referrers(digest, &described[..1]).await.unwrap();
    assert_eq!(case.exchanges(), ["GET 404", "GET 404", "PUT 201", "HEAD 200"]);

    // What somebody else has written there stays, to the byte.
    let text = String::from_utf8(list(&described[..1])).unwrap();
    let text = text.replacen('{', r#"{"x-unknown":1.50,"#, 1);
    put_list(&case.straight("a"), digest, text.as_bytes()).await;
    repository.add_referrers(digest, &described).await.unwrap();
    let listed = repository.referrers(digest, None).await.unwrap();
    assert_eq!(listed, described);
    assert_eq!(listed[1].artifact_type(), Some(SIGNATURE));
    assert_eq!(listed[1].annotations["number"], "2");
    let (document, _) = repository
        .pull_manifest(digest.referrers_tag().as_str())
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(document.bytes()).contains(r#""x-unknown":1.50"#));

    case.front.clear_requests();
    repository.add_referrers(digest, &described).await.unwrap();
    assert_eq!(
        case.exchanges(),
        ["GET 200"],
        "what is listed is not written again"
    );
}

#[tokio::test]
async fn a_list_that_was_overwritten_meanwhile_is_written_again() {
    let case = Case::new();
    let subject = Descriptor::of(MediaType::Manifest(Family::Oci), b"subject");
    let mine = push_signature(&case, &subject, 1).await;
    let described = mine.as_referrer().unwrap().unwrap().1;
    let repository = case.repository("a");
    // The first is answered as a registry does that heeds If-Match, the second by one that loses it.
    case.inject(1, "PUT", "/manifests/sha256-", Misbehaviour::answer(412, &[]));
    case.inject(1, "PUT", "/manifests/sha256-", Misbehaviour::answer(201, &[]));
    soon(repository.add_referrers(&subject.digest, &[described]))
        .await
        .unwrap();
    assert_eq!(case.requests("PUT", "/manifests/").len(), 3);
    assert_eq!(
        repository.referrers(&subject.digest, None).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_registry_that_keeps_lists_needs_no_tag() {
    let case = Case::new();
    case.inject(9, "GET", "/referrers/", page(&[], None));
    let subject = Digest::of(b"subject");
    let repository = case.repository("a");
    repository
        .add_referrers(&subject, &[referrer(SIGNATURE, 1)])
        .await
        .unwrap();
    assert_eq!(case.exchanges(), ["GET 200"]);
}

#[tokio::test]
async fn tags_made_of_digests_are_found_in_one_request() {
    let case = Case::new();
    let subject = Descriptor::of(MediaType::Manifest(Family::Oci), b"subject");
    let signature = push_signature(&case, &subject, 1).await;
    let described = signature.as_referrer().unwrap().unwrap().1;
    let repository = case.repository("a");
    repository
        .add_referrers(&subject.digest, &[described])
        .await
        .unwrap();
    case.front.clear_requests();
    let tags = repository.digest_tags().await.unwrap();
    assert_eq!(tags.has(&subject.digest.referrers_tag()), Some(true));
    assert_eq!(tags.has(&Digest::of(b"other").referrers_tag()), Some(false));
    assert_eq!(case.exchanges(), ["GET 200"]);

    // Where tags may not be listed, nothing is known, and nothing has failed.
    let forbidden = Misbehaviour::answer(403, &[]);
    case.inject(9, "GET", "/tags/list", forbidden);
    assert_eq!(repository.digest_tags().await.unwrap(), DigestTags::unknown());
}
