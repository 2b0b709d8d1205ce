//! Each manner of ECR's front, driven by curl.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod curl;

use curl::Answer;
use onlay_testkit::{EcrAccount, EcrFront, EcrRepository, sha256};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

const OCTETS: &str = "Content-Type: application/octet-stream";

/// Runs curl as the user AWS with the password `minted-1`.
fn as_aws(front: &EcrFront, method: &str, path: &str, more: &[&str]) -> Answer {
    curl::run(
        &format!("http://{}{path}", front.host()),
        &[&["-u", "AWS:minted-1", "-X", method], more].concat(),
    )
}

fn front_with(account: EcrAccount, repositories: &[&str]) -> EcrFront {
    let front = EcrFront::start(account);
    for name in repositories {
        front.create(name, EcrRepository::default());
    }
    front
}

fn begin(front: &EcrFront, repository: &str, query: &str) -> String {
    let answer = as_aws(
        front,
        "POST",
        &format!("/v2/{repository}/blobs/uploads/{query}"),
        &[],
    );
    answer.says(202, "");
    let place = answer.header("Location").unwrap();
    place[place.find("/v2/").unwrap()..].to_owned()
}

/// Sends a blob by POST and PUT, and gives its digest.
fn push_blob(front: &EcrFront, repository: &str, content: &str) -> String {
    let digest = sha256(content.as_bytes());
    let place = begin(front, repository, "");
    let path = format!("{place}&digest={digest}");
    // As a form it would be the registry's to parse.
    let put = as_aws(front, "PUT", &path, &["-H", OCTETS, "-d", content]);
    put.says(201, "");
    digest
}

fn put_manifest(front: &EcrFront, repository: &str, reference: &str, manifest: &str) -> Answer {
    let media_type = format!("Content-Type: {MANIFEST}");
    let path = format!("/v2/{repository}/manifests/{reference}");
    as_aws(
        front,
        "PUT",
        &path,
        &["-H", &media_type, "--data-binary", manifest],
    )
}

/// An image with one layer of this content, without a tag.
fn image(front: &EcrFront, repository: &str, layer: &str) -> String {
    let config = push_blob(front, repository, "{}");
    let size = layer.len();
    let layer = push_blob(front, repository, layer);
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size }],
    })
    .to_string()
}

fn api(front: &EcrFront, action: &str, body: &Value) -> (u16, Value) {
    let target = format!("X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.{action}");
    let answer = curl::run(&front.api_url(), &["-H", &target, "-d", &body.to_string()]);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn a_repository_must_exist() {
    let front = front_with(EcrAccount::default(), &[]);
    let words = "The repository with name 'a/b' does not exist in the registry with id '123456789012'";
    as_aws(&front, "GET", "/v2/a/b/manifests/1", &[]).says(404, words);
    as_aws(&front, "POST", "/v2/a/b/blobs/uploads/", &[]).says(404, "NAME_UNKNOWN");
    assert_eq!(as_aws(&front, "HEAD", "/v2/a/b/manifests/1", &[]).status, 404);

    let front = front_with(
        EcrAccount {
            create_on_push: true,
            ..EcrAccount::default()
        },
        &[],
    );
    as_aws(&front, "GET", "/v2/a/b/manifests/1", &[]).says(404, "NAME_UNKNOWN");
    begin(&front, "a/b", "");
    assert_eq!(front.repositories(), ["a/b"]);
}

#[test]
fn passwords_expire_with_403_and_no_challenge() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let url = format!("http://{}/v2/a/tags/list", front.host());
    curl::run(&url, &[]).says(401, "UNAUTHORIZED");
    curl::run(&url, &["-u", "AWS:minted-1"]).says(200, "tags");
    front.front().kill_credentials_at(1);
    let expired = curl::run(&url, &["-u", "AWS:minted-1"]);
    expired.says(403, "Your authorization token has expired");
    assert_eq!(expired.header("WWW-Authenticate"), None);
    curl::run(&url, &["-u", "AWS:minted-2"]).says(200, "tags");
}

#[test]
fn only_the_first_patch_counts() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let place = begin(&front, "a", "");
    let octets = ["-H", OCTETS];
    let first = as_aws(&front, "PATCH", &place, &[&octets[..], &["-d", "one"]].concat());
    first.says(201, "");
    let place = first.header("Location").unwrap();
    let place = &place[place.find("/v2/").unwrap()..];
    let second = as_aws(&front, "PATCH", place, &[&octets[..], &["-d", "two"]].concat());
    second.says(201, "");
    let place = second.header("Location").unwrap();
    let both = format!("{place}&digest={}", sha256(b"onetwo"));
    as_aws(&front, "PUT", &both, &[]).says(400, "DIGEST_INVALID");

    let place = begin(&front, "a", "");
    let first = as_aws(&front, "PATCH", &place, &[&octets[..], &["-d", "one"]].concat());
    let place = first.header("Location").unwrap();
    let place = &place[place.find("/v2/").unwrap()..];
    let one = format!("{place}&digest={}", sha256(b"one"));
    as_aws(&front, "PUT", &one, &[]).says(201, "");
}

#[test]
fn blobs_without_a_byte_are_refused() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let place = begin(&front, "a", "");
    let path = format!("{place}&digest={}", sha256(b""));
    as_aws(&front, "PUT", &path, &[]).says(400, "empty");
}

#[test]
fn blobs_are_read_from_another_host_without_a_password() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let digest = push_blob(&front, "a", "content");
    let path = format!("/v2/a/blobs/{digest}");
    let redirect = as_aws(&front, "GET", &path, &[]);
    redirect.says(307, "");
    let place = redirect.header("Location").unwrap();
    assert!(place.contains(front.blobs_host()), "{place}");
    curl::run(place, &[]).says(200, "content");
    curl::run(place, &["-r", "3-"]).says(206, "tent");
    curl::run(place, &["-u", "AWS:minted-1"]).says(400, "Only one auth mechanism allowed");
}

#[test]
fn manifests_are_committed_without_a_location() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let manifest = image(&front, "a", "layer");
    let put = put_manifest(&front, "a", "1", &manifest);
    put.says(201, "");
    assert_eq!(put.header("Location"), None);
    assert_eq!(front.tagged("a", "1"), Some(sha256(manifest.as_bytes())));
    put_manifest(&front, "a", "1", &manifest).says(201, "");
}

#[test]
fn artifacts_are_refused() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let mut manifest: Value = serde_json::from_str(&image(&front, "a", "layer")).unwrap();
    manifest["artifactType"] = json!("application/vnd.example.sbom");
    put_manifest(&front, "a", "1", &manifest.to_string()).says(405, "UNSUPPORTED");
    assert_eq!(front.tagged("a", "1"), None);
}

#[test]
fn immutable_tags_stay_but_for_exclusions() {
    let front = EcrFront::start(EcrAccount::default());
    front.create("a", EcrRepository::immutable(&["latest*"]));
    let (one, other) = (image(&front, "a", "one"), image(&front, "a", "other"));
    for tag in ["1", "latest-1"] {
        put_manifest(&front, "a", tag, &one).says(201, "");
        put_manifest(&front, "a", tag, &one).says(201, "");
    }
    let words = "The image tag '1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable.";
    put_manifest(&front, "a", "1", &other).says(400, words);
    put_manifest(&front, "a", "latest-1", &other).says(201, "");
    assert_eq!(front.tagged("a", "1"), Some(sha256(one.as_bytes())));
}

#[test]
fn tags_come_in_pages_of_at_most_a_thousand() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let manifest = image(&front, "a", "layer");
    for tag in ["1", "2", "3"] {
        put_manifest(&front, "a", tag, &manifest).says(201, "");
    }
    as_aws(&front, "GET", "/v2/a/tags/list?n=1001", &[]).says(405, "maxResults");
    let page = as_aws(&front, "GET", "/v2/a/tags/list?n=2", &[]);
    page.says(200, r#"["1","2"]"#);
    let link = page.header("Link").unwrap();
    let next = &link[1..link.find('>').unwrap()];
    let page = as_aws(&front, "GET", next, &[]);
    page.says(200, r#"["3"]"#);
    assert_eq!(page.header("Link"), None);
}

#[test]
fn what_comes_too_fast_is_refused() {
    let quotas = vec![("BatchGetImage", 2), ("DescribeImages", 1)];
    let front = front_with(
        EcrAccount {
            quotas,
            ..EcrAccount::default()
        },
        &["a"],
    );
    for _ in 0..2 {
        as_aws(&front, "GET", "/v2/a/manifests/1", &[]).says(404, "MANIFEST_UNKNOWN");
    }
    as_aws(&front, "GET", "/v2/a/manifests/1", &[]).says(429, "Rate exceeded");
    // Other actions have quotas of their own.
    as_aws(&front, "GET", "/v2/a/tags/list", &[]).says(200, "");
    let asked = json!({ "repositoryName": "a" });
    assert_eq!(api(&front, "DescribeImages", &asked).0, 200);
    let (status, words) = api(&front, "DescribeImages", &asked);
    assert_eq!((status, &words["__type"]), (400, &json!("ThrottlingException")));
}

#[test]
fn blobs_are_mounted_where_the_account_has_it_and_an_image_names_them() {
    for blob_mounting in [true, false] {
        let account = EcrAccount {
            blob_mounting,
            ..EcrAccount::default()
        };
        let front = front_with(account, &["from", "to"]);
        let digest = sha256(b"layer");
        let manifest = image(&front, "from", "layer");
        let path = format!("/v2/to/blobs/uploads/?mount={digest}&from=from");
        let early = as_aws(&front, "POST", &path, &[]);
        early.says(202, "");
        assert!(early.header("Location").is_some());
        put_manifest(&front, "from", "1", &manifest).says(201, "");
        let expected = if blob_mounting { 201 } else { 202 };
        as_aws(&front, "POST", &path, &[]).says(expected, "");
    }
}

#[test]
fn referrers_are_found() {
    let front = front_with(EcrAccount::default(), &["a"]);
    let subject = image(&front, "a", "layer");
    put_manifest(&front, "a", "1", &subject).says(201, "");
    let mut referrer: Value = serde_json::from_str(&image(&front, "a", "signature")).unwrap();
    let digest = sha256(subject.as_bytes());
    referrer["subject"] = json!({ "mediaType": MANIFEST, "digest": digest, "size": subject.len() });
    let referrer = referrer.to_string();
    put_manifest(&front, "a", &sha256(referrer.as_bytes()), &referrer).says(201, "");
    let found = as_aws(&front, "GET", &format!("/v2/a/referrers/{digest}"), &[]);
    found.says(200, &sha256(referrer.as_bytes()));
}

#[test]
fn the_api_speaks_of_the_same_repositories() {
    let front = front_with(EcrAccount::default(), &[]);
    let template = json!({
        "repositoryName": "a",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{ "filterType": "WILDCARD", "filter": "latest" }],
    });
    let missing = api(&front, "DescribeImages", &json!({ "repositoryName": "a" }));
    assert_eq!(missing.1["__type"], "RepositoryNotFoundException");
    assert_eq!(api(&front, "CreateRepository", &template).0, 200);
    let again = api(&front, "CreateRepository", &template);
    assert_eq!(again.1["__type"], "RepositoryAlreadyExistsException");

    let manifest = image(&front, "a", "layer");
    put_manifest(&front, "a", "1", &manifest).says(201, "");
    let asked = json!({ "repositoryName": "a", "layerDigests": [sha256(b"layer"), sha256(b"none")] });
    let (_, presence) = api(&front, "BatchCheckLayerAvailability", &asked);
    assert_eq!(presence["layers"][0]["layerAvailability"], "AVAILABLE");
    assert_eq!(presence["layers"][1]["layerAvailability"], "UNAVAILABLE");
    let many = vec![sha256(b"none"); 101];
    let asked = json!({ "repositoryName": "a", "layerDigests": many });
    assert_eq!(api(&front, "BatchCheckLayerAvailability", &asked).0, 400);

    let (_, images) = api(&front, "DescribeImages", &json!({ "repositoryName": "a" }));
    assert_eq!(images["imageDetails"][0]["imageTags"], json!(["1"]));
    let (_, token) = api(&front, "GetAuthorizationToken", &json!({}));
    assert_eq!(
        token["authorizationData"][0]["authorizationToken"],
        "QVdTOm1pbnRlZC0x"
    );
    assert_eq!(front.actions().len(), 7);
}
