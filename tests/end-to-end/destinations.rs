//! Layouts and archives, as sources and as destinations.

use onlay_testkit::{Strictness, TestBase, validate_layout};

use crate::onlay::{Home, VAULT};

#[test]
fn an_archive_is_a_source_and_a_destination() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let in_layout = home.apply_vault(&base, &["-t", "oci:out:v", "-t", "oci-archive:image.tar:v"]);
    let [first, second] = <[String; 2]>::try_from(in_layout.digests()).unwrap();
    assert_eq!(first, second);
    let copied = home
        .run(&["apply", "oci-archive:image.tar:v", "-t", "oci:copy:v"])
        .success();
    assert_eq!(copied.digest(), first, "no instruction, no change");
    validate_layout(&home.join("copy"), "v", Strictness::LayersAbove(TestBase::LAYERS));
}

#[test]
fn other_images_of_a_layout_are_kept() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    home.apply_vault(&base, &["-t", "oci:out:a"]);
    home.run(&["apply", &base, "ENV X=1", "-t", "oci:out:b"])
        .success();
    for tag in ["a", "b"] {
        validate_layout(&home.join("out"), tag, Strictness::LayersAbove(TestBase::LAYERS));
    }
    let ambiguous = home.run(&["apply", "oci:out", "ENV X=2", "-t", "oci:other"]);
    assert_eq!(ambiguous.code, Some(1));
    assert!(
        ambiguous.stderr.contains('a') && ambiguous.stderr.contains('b'),
        "{}",
        ambiguous.stderr
    );
}

#[test]
fn an_archive_of_dockers_holds_one_platform() {
    let home = Home::new();
    let base = home.test_base(&TestBase::READABLE_BY_OLD_TOOLS);
    let several = home.run(&[
        "apply",
        &base,
        "ENV A=1",
        "-t",
        "docker-archive:image.tar:vault:1",
    ]);
    assert_eq!(several.code, Some(1));
    assert!(
        several.stderr.contains("holds one platform"),
        "{}",
        several.stderr
    );
    assert!(!home.join("image.tar").exists(), "nothing is left of what failed");

    home.apply_vault(
        &base,
        &["-t", "docker-archive:image.tar:vault:1", "--platform=linux/amd64"],
    );
    let again = home
        .run(&["apply", "docker-archive:image.tar", "-t", "oci:out:v"])
        .success();
    validate_layout(&home.join("out"), "v", Strictness::NoLayer);
    assert!(!again.digest().is_empty());
}

#[test]
fn files_for_scripts_say_what_was_made() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let arguments = [
        "-t",
        "oci:out:v",
        "--platform=linux/amd64",
        "--iidfile=id",
        "--metadata-file=meta.json",
        "--format=json",
    ];
    let run = home.apply_vault(&base, &arguments);
    let printed: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let metadata: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(home.join("meta.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], printed["digest"]);
    assert_eq!(
        metadata["containerimage.config.digest"].as_str().unwrap(),
        std::fs::read_to_string(home.join("id")).unwrap()
    );
    assert_eq!(printed["destinations"][0]["name"], "oci:out:v");
}

/// Without a destination the image is made all the same, and its digest printed with a warning.
#[test]
fn without_a_destination_nothing_is_published() {
    let home = Home::new();
    let base = home.test_base(&TestBase::FULL);
    let run = home.apply_vault(&base, &[]);
    assert!(run.digest().starts_with("sha256:"));
    assert!(run.stderr.contains("nothing was published"), "{}", run.stderr);
    let dockerfile = home.write("Dockerfile", &format!("FROM base\n{}\n", VAULT.join("\n")));
    let layout = base.replacen("oci:", "oci-layout://", 1);
    let built = home
        .run(&[
            "build",
            "-f",
            &dockerfile,
            "--build-context",
            &format!("base={layout}"),
            "--platform=all",
            "--no-push",
            ".",
        ])
        .success();
    assert_eq!(built.digest(), run.digest());
    assert!(
        !built.stderr.contains("nothing was published"),
        "{}",
        built.stderr
    );
}
