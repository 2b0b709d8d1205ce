//! What holds for every edit of every base.

use onlay_image::{CommandForm, Healthcheck, Image, ImageError};
use onlay_oci::{Compression, Family};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::base::{configuration_of, image_of, layer};

/// Any one edit, with any words.
fn edit(image: Image, kind: u8, word: &str) -> Result<Image, ImageError> {
    let words = [word.to_owned(), "z".to_owned()];
    let pairs = [(word.to_owned(), word.to_owned())];
    match kind {
        0 => image.with_env(&pairs),
        1 => image.with_labels(&pairs),
        2 => image.with_arg(&[(word.to_owned(), None)]),
        3 => image.with_exposed_ports(&words),
        4 => image.with_volumes(&words),
        5 => image.with_user(word),
        6 => image.with_workdir(word, Some(layer(word, Compression::Gzip))),
        7 => image.with_stop_signal(word),
        8 => image.with_healthcheck(&Healthcheck::None),
        9 => image.with_shell(&words),
        10 => image.with_cmd(&CommandForm::Shell(word.to_owned())),
        11 => image.with_entrypoint(&CommandForm::Exec(words.to_vec())),
        12 => image.with_maintainer(word),
        13 => image.with_onbuild(word),
        14 => Ok(image.take_onbuild()?.1),
        _ => image.with_layer(layer(word, Compression::Gzip), word),
    }
}

/// The members whose names start with `x-`, which no instruction knows, as text.
fn unknown(value: &Value) -> Vec<String> {
    let members = value.as_object().unwrap().iter();
    members
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

proptest! {
    #[test]
    fn edits_lose_nothing_that_they_do_not_name(
        names in proptest::collection::btree_set("x-[a-zé\"\\\\<]{0,4}", 0..5),
        value in any::<i64>(),
        edits in proptest::collection::vec((0u8..16, "\\PC{0,6}"), 1..6),
    ) {
        let mut base = json!({"os": "linux", "architecture": "amd64", "config": {"OnBuild": ["RUN a"]}});
        for name in &names {
            base[name] = json!({"deep": [value, null]});
            base["config"][name] = json!([value, {"b": 1, "a": name}]);
        }
        let image = image_of(&base.to_string(), Family::Docker);
        let edited = edits.iter().try_fold(image, |image, (kind, word)| edit(image, *kind, word)).unwrap();
        let after = configuration_of(&edited);
        prop_assert_eq!(unknown(&after), unknown(&base));
        prop_assert_eq!(unknown(&after["config"]), unknown(&base["config"]));

        let of_layers = edited.configuration().history().filter(|entry| !entry.empty_layer).count();
        prop_assert_eq!(of_layers, edited.layers().len());
        prop_assert_eq!(edited.diff_ids().len(), edited.layers().len());
    }
}
