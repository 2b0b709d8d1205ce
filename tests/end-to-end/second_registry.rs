//! Against a registry that shares nothing with CNCF distribution, and follows the specification in its own way.

use onlay_testkit::{ContainerRegistry, Strictness, TestBase, validate_layout};

use crate::onlay::Home;

const PASSWORD: &str = "hunter2";

/// A home whose user is logged in there.
fn logged_in(registry: &ContainerRegistry) -> Home {
    let home = Home::new();
    let login = ["login", registry.host(), "-u", "tester", "--password-stdin"];
    home.run_with_input(&login, PASSWORD).success();
    home
}

#[test]
fn an_image_makes_its_way_there_and_back() {
    let registry = ContainerRegistry::start(PASSWORD);
    let home = logged_in(&registry);
    let base = home.test_base(&TestBase::FULL);
    let form = format!("{}=standard,upload=patch", registry.host());
    let profile = ["--registry-profile", form.as_str()];
    let platform = ["--platform", "linux/amd64"];
    let [vault, copied] = ["vault:1", "copied:1"].map(|name| format!("{}/team/{name}", registry.host()));

    let pushed = home.apply_vault(&base, &[&["-t", &vault], &profile[..], &platform[..]].concat());
    let again = home.apply_vault(&base, &[&["-t", &vault], &profile[..], &platform[..]].concat());
    assert_eq!(pushed.digests(), again.digests());
    let copy = home
        .run(&[&["copy", &vault, &copied], &profile[..]].concat())
        .success();
    assert_eq!(copy.digests(), pushed.digests());
    assert_eq!(
        home.run(&["digest", &copied]).success().stdout.trim(),
        pushed.digests()[0]
    );
    let shown = home.run(&["ls", &copied, "/etc"]).success();
    assert!(shown.stdout.contains("vault"), "{}", shown.stdout);

    let back = ["apply", &copied, "RUN rmdir /etc/vault", "-t", "oci:back:1"];
    home.run(&back).success();
    let report = validate_layout(&home.join("back"), "1", Strictness::LayersAbove(TestBase::LAYERS));
    assert_eq!(report.images.len(), 1);
}

#[test]
fn an_upload_that_it_does_not_take_says_what_to_try() {
    let registry = ContainerRegistry::start(PASSWORD);
    let home = logged_in(&registry);
    let base = home.test_base(&TestBase::FULL);
    let vault = format!("{}/team/vault:1", registry.host());
    let run = home.run(&[
        "apply",
        &base,
        "LABEL a=b",
        "-t",
        &vault,
        "--platform",
        "linux/amd64",
    ]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let hint = format!(
        "hint: a registry that takes blobs in another form wants `--registry-profile {}=standard,upload=patch`",
        registry.host()
    );
    assert!(run.stderr.contains(&hint), "{}", run.stderr);
    assert!(!run.stderr.contains("nothing was published"), "{}", run.stderr);
}
