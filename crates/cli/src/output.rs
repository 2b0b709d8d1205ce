//! Standard output and the files that scripts read: data only.

use std::path::Path;

use onlay_build::Built;
use onlay_oci::Descriptor;
use onlay_push::{Copied, LeftOut, Plan, PlannedBlob, Pushed, Step};
use onlay_store::Destination;
use serde_json::{Value, json};

use crate::options::OutputFormat;
use crate::terminal::print;

/// Where an image was published, and what became of its blobs.
pub(crate) struct Published {
    /// The destination as it is named, with its tag.
    pub destination: String,
    /// What the push brought about.
    pub pushed: Pushed,
}

impl Published {
    pub(crate) fn new(destination: &Destination, pushed: Pushed) -> Self {
        Self {
            destination: destination.to_string(),
            pushed,
        }
    }
}

/// Prints what publishing would do: for each destination its name with the digest, and below it a line for each blob.
pub(crate) fn print_plans(plans: &[Plan], format: OutputFormat) -> anyhow::Result<()> {
    match format {
        OutputFormat::Text => plans
            .iter()
            .flat_map(plan_lines)
            .try_for_each(|line| print(&line)),
        OutputFormat::Json => {
            let plans: Vec<Value> = plans.iter().map(plan_value).collect();
            print(&json!({ "plans": plans }).to_string())
        }
    }
}

fn plan_lines(plan: &Plan) -> Vec<String> {
    let summary = match plan.unchanged {
        true => "has it already".to_owned(),
        false => format!("{} bytes to send", plan.bytes()),
    };
    let first = format!("{}@{}: {summary}", plan.destination, plan.digest);
    let blobs = plan.blobs.iter().map(|blob| {
        let (step, from) = step_words(&blob.step);
        let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
        let Descriptor { digest, size, .. } = &blob.descriptor;
        format!("  {step:<7} {digest} {size} bytes{from}")
    });
    let manifests = plan
        .manifests
        .iter()
        .map(|manifest| format!("  put     {} {} bytes", manifest.digest, manifest.size));
    [first].into_iter().chain(blobs).chain(manifests).collect()
}

fn plan_value(plan: &Plan) -> Value {
    let blob = |blob: &PlannedBlob| {
        let (step, from) = step_words(&blob.step);
        let Descriptor { digest, size, .. } = &blob.descriptor;
        json!({ "digest": digest.to_string(), "size": size, "step": step, "from": from })
    };
    json!({
        "name": plan.destination.to_string(),
        "digest": plan.digest.to_string(),
        "unchanged": plan.unchanged,
        "bytes": plan.bytes(),
        "blobs": plan.blobs.iter().map(blob).collect::<Vec<_>>(),
        "manifests": plan.manifests.iter().map(|manifest| manifest.digest.to_string()).collect::<Vec<_>>(),
    })
}

/// What becomes of a blob, in a word, and where it comes from.
fn step_words(step: &Step) -> (&'static str, Option<String>) {
    match step {
        Step::Present => ("present", None),
        Step::Mount { from } => ("mount", Some(from.to_string())),
        Step::Stream { from } => ("stream", Some(from.clone())),
        Step::Upload => ("upload", None),
        Step::Foreign => ("foreign", None),
    }
}

/// Prints one line for each destination: its name with its tag, and the digest.
pub(crate) fn print_text(built: &Built, published: &[Published]) -> anyhow::Result<()> {
    if published.is_empty() {
        return print(&built.root.descriptor().digest.to_string());
    }
    published.iter().try_for_each(print_published)
}

/// Prints the name of a destination with its tag, and the digest.
pub(crate) fn print_published(Published { destination, pushed }: &Published) -> anyhow::Result<()> {
    print(&format!("{destination}@{}", pushed.digest))
}

/// Prints one JSON document.
pub(crate) fn print_json(built: &Built, published: &[Published]) -> anyhow::Result<()> {
    let destinations: Vec<Value> = published.iter().map(destination).collect();
    let descriptor = built.root.descriptor();
    let document = json!({
        "digest": descriptor.digest.to_string(),
        "mediaType": descriptor.media_type.to_string(),
        "size": descriptor.size,
        "images": built.images.iter().map(image).collect::<Vec<_>>(),
        "destinations": destinations,
    });
    print(&document.to_string())
}

fn image(image: &onlay_build::BuiltImage) -> Value {
    let made = image
        .made
        .iter()
        .map(|(layer, _)| json!({ "digest": layer.digest.to_string(), "size": layer.size }));
    json!({
        "platform": image.platform.clone().normalised().to_string(),
        "digest": image.image.manifest.descriptor().digest.to_string(),
        "config": image.image.manifest.config().digest.to_string(),
        "newLayers": made.collect::<Vec<_>>(),
    })
}

/// A destination, with what became of its blobs.
pub(crate) fn destination(published: &Published) -> Value {
    let transfers = &published.pushed.transfers;
    json!({
        "name": published.destination,
        "digest": published.pushed.digest.to_string(),
        "unchanged": published.pushed.unchanged,
        "blobs": {
            "present": transfers.present,
            "mounted": transfers.mounted,
            "copied": transfers.copied.0,
            "copiedBytes": transfers.copied.1,
            "uploaded": transfers.uploaded.0,
            "uploadedBytes": transfers.uploaded.1,
        },
    })
}

/// Prints what a copy has brought about as one JSON document.
pub(crate) fn print_copied(published: &Published, copied: &Copied) -> anyhow::Result<()> {
    let mut destination = destination(published);
    let (present, new) = copied.belongings;
    destination["referrers"] = json!({ "present": present, "copied": new });
    destination["leftOut"] = copied.left_out.iter().map(left_out).collect();
    let document = json!({
        "digest": copied.root.digest.to_string(),
        "mediaType": copied.root.media_type.to_string(),
        "size": copied.root.size,
        "destinations": [destination],
    });
    print(&document.to_string())
}

/// Something that was not copied.
pub(crate) fn left_out(left_out: &LeftOut) -> Value {
    json!({
        "digest": left_out.descriptor.digest.to_string(),
        "mediaType": left_out.descriptor.media_type.to_string(),
        "artifactType": left_out.descriptor.artifact_type(),
        "reason": left_out.reason.to_string(),
    })
}

/// Writes `--iidfile`: the digest of the configuration of one image, of the index of several.
pub(crate) fn write_iidfile(path: &Path, built: &Built) -> std::io::Result<()> {
    let digest = match &built.images[..] {
        [image] => image.image.manifest.config().digest.to_string(),
        _ => built.root.descriptor().digest.to_string(),
    };
    fs_err::write(path, digest)
}

/// Writes `--metadata-file` with the keys that BuildKit uses; `names` are those that the image has got.
pub(crate) fn write_metadata(path: &Path, built: &Built, names: &[String]) -> std::io::Result<()> {
    let descriptor = built.root.descriptor();
    let mut metadata = json!({
        "containerimage.digest": descriptor.digest.to_string(),
        "containerimage.descriptor": {
            "mediaType": descriptor.media_type.to_string(),
            "digest": descriptor.digest.to_string(),
            "size": descriptor.size,
        },
    });
    if let [image] = &built.images[..] {
        metadata["containerimage.config.digest"] = json!(image.image.manifest.config().digest.to_string());
    }
    if !names.is_empty() {
        metadata["image.name"] = json!(names.join(","));
    }
    fs_err::write(path, format!("{metadata:#}\n"))
}
