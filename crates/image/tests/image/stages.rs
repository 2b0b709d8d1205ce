//! What an image remembers from one instruction to the next.

use onlay_image::{CommandForm, Image, ImageError, MAX_LAYERS};
use onlay_oci::{Compression, Family, Platform};
use serde_json::{Value, json};

use crate::base::{CONFIGURATION, configuration_of, finish, image, image_of, layer, now, pairs, strings};

fn exec(word: &str) -> CommandForm {
    CommandForm::Exec(strings(&[word]))
}

fn cmd(image: &Image) -> Value {
    configuration_of(image)["config"]["Cmd"].clone()
}

#[test]
fn an_entrypoint_clears_the_command_of_the_base_only() {
    let entrypoint_first = image()
        .with_entrypoint(&exec("e"))
        .unwrap()
        .with_cmd(&exec("c"))
        .unwrap();
    assert_eq!(cmd(&entrypoint_first), json!(["c"]));
    let cmd_first = image()
        .with_cmd(&exec("c"))
        .unwrap()
        .with_entrypoint(&exec("e"))
        .unwrap();
    assert_eq!(cmd(&cmd_first), json!(["c"]));
    let next_stage = cmd_first.begin_stage().with_entrypoint(&exec("f")).unwrap();
    assert_eq!(cmd(&next_stage), Value::Null);
    // A CMD that clears counts as one.
    let cleared = image()
        .with_cmd(&CommandForm::Exec(Vec::new()))
        .unwrap()
        .with_entrypoint(&exec("e"))
        .unwrap();
    assert_eq!(cmd(&cleared), Value::Null);
}

#[test]
fn shell_forms_use_the_shell_set_before_them() {
    let bash = image()
        .with_shell(&strings(&["/bin/bash", "-o", "pipefail", "-c"]))
        .unwrap();
    let edited = bash.with_cmd(&CommandForm::Shell("a | b".to_owned())).unwrap();
    assert_eq!(
        cmd(&edited),
        json!(["/bin/bash", "-o", "pipefail", "-c", "a | b"])
    );
    let windows = image_of(&CONFIGURATION.replace("linux", "windows"), Family::Docker);
    assert_eq!(windows.shell().unwrap(), ["cmd", "/S", "/C"]);
}

#[test]
fn a_missing_path_is_seen_at_once_and_written_with_the_first_edit() {
    const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let without = CONFIGURATION.replace(r#""PATH=/bin","#, r#""BARE","#);
    let base = image_of(&without, Family::Oci);
    let expected = pairs(&[("BARE", ""), ("MODE", "slow"), ("PATH", PATH)]);
    assert_eq!(base.env().unwrap(), expected);
    assert_eq!(base.configuration().to_bytes().unwrap()[..], *without.as_bytes());
    let edited = base.with_user("x").unwrap();
    let entries = json!(["BARE", "MODE=slow", format!("PATH={PATH}")]);
    assert_eq!(configuration_of(&edited)["config"]["Env"], entries);

    let windows = image_of(&without.replace("linux", "windows"), Family::Oci)
        .with_user("x")
        .unwrap();
    assert_eq!(
        configuration_of(&windows)["config"]["Env"],
        json!(["BARE", "MODE=slow"])
    );
}

#[test]
fn scratch_is_complete_and_has_lists_not_nulls() {
    let finished = finish(Image::scratch(&Platform::new("linux", "arm64"), None).unwrap());
    let text = std::str::from_utf8(&finished.configuration).unwrap();
    let expected = concat!(
        r#"{"architecture":"arm64","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"#,
        r#""WorkingDir":"/"},"created":"1970-01-01T00:00:00Z","history":[],"os":"linux","#,
        r#""rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    assert_eq!(text, expected);
    let manifest = std::str::from_utf8(finished.manifest.bytes()).unwrap();
    assert!(manifest.ends_with(r#""layers":[]}"#), "{manifest}");
    assert_eq!(finished.manifest.family(), Family::Oci);
    assert_eq!(finished.converted, None);
}

#[test]
fn readers_see_the_base_and_then_the_edits() {
    let base = image();
    assert_eq!(base.user().unwrap(), "app");
    assert_eq!(base.working_dir().unwrap(), "/srv");
    assert_eq!(base.platform().unwrap(), Platform::new("linux", "amd64"));
    assert_eq!(base.created(), now());
    let edited = base.with_user("").unwrap().with_workdir("/x", None).unwrap();
    assert_eq!(edited.user().unwrap(), "");
    assert_eq!(edited.working_dir().unwrap(), "/x");
    let bare = image_of(r#"{"os":"linux","architecture":"amd64"}"#, Family::Oci);
    assert_eq!(bare.working_dir().unwrap(), "/");
    assert_eq!(bare.onbuild().unwrap(), [""; 0]);
}

#[test]
fn one_layer_too_many_is_refused() {
    let fill = |image: Image, count: usize| {
        (0..count).try_fold(image, |image, number| {
            image.with_layer(layer(&number.to_string(), Compression::Gzip), "RUN")
        })
    };
    let full = fill(image(), MAX_LAYERS - 1).unwrap();
    let error = fill(full, 1).unwrap_err();
    assert!(matches!(error, ImageError::TooManyLayers { found: 128, base: 1 }));
    assert!(error.is_helped_by_squashing());
}
