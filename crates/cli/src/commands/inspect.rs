use clap::Args;
use onlay_base::{Base, BaseImage};
use onlay_oci::{Descriptor, Document, Index, IndexEntryKind, PlatformSelection};
use onlay_store::Location;
use serde_json::{Value, json};

use crate::look::{LookOptions, one_line, size};
use crate::terminal::{print, print_bytes};

/// Show what an image is
///
/// Of an index its images, which takes no more than the index itself; of one image, or of those chosen with --platform,
/// the configuration and the layers, too. No layer is read.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
    /// docker-archive:FILE
    pub(super) image: Location,

    /// The platforms whose images are shown: `all`, or a list such as linux/amd64,linux/arm64
    #[arg(long, value_name = "LIST|all")]
    platform: Option<PlatformSelection>,

    /// Print the manifest or index as it is, byte for byte
    #[arg(long, conflicts_with_all = ["config", "format"])]
    raw: bool,

    /// Print the configuration as it is, byte for byte; of an index with --platform
    #[arg(long, conflicts_with = "format")]
    config: bool,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

impl Inspect {
    /// Shows the image.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let looked = self.look.open(&self.image).await?;
        let base = &looked.base;
        let images = match (&self.platform, base.is_index(), self.raw) {
            (Some(selection), ..) => base.platforms(selection).await?,
            (None, false, false) => base.platforms(&PlatformSelection::All).await?,
            (None, ..) => Vec::new(),
        };
        if self.raw {
            return print_bytes(match &images[..] {
                [image] => image.manifest.bytes(),
                _ => base.document().bytes(),
            });
        }
        if self.config {
            return match &images[..] {
                [image] => print_bytes(&image.configuration.to_bytes()?),
                _ => anyhow::bail!(
                    "`{}` has several images; choose one with `--platform`",
                    base.name()
                ),
            };
        }
        if self.look.is_json() {
            return print(&value(base, &images)?.to_string());
        }
        let mut lines = index_lines(base);
        for image in &images {
            lines.push(String::new());
            lines.extend(image_lines(image)?);
        }
        print(&lines.join("\n"))
    }
}

fn index_lines(base: &Base) -> Vec<String> {
    let root = base.document().descriptor();
    let mut lines = vec![
        field("Name", base.name()),
        field("Digest", &root.digest.to_string()),
        field("Media type", root.media_type.as_str()),
    ];
    if let Document::Index(index) = base.document() {
        for entry in index.manifests() {
            let what = entry_kind(entry);
            lines.push(field(&what, &format!("{} ({})", entry.digest, size(entry.size))));
        }
    }
    lines
}

/// What an entry of an index is: a platform, or in words.
fn entry_kind(entry: &Descriptor) -> String {
    match Index::kind(entry) {
        IndexEntryKind::Image(platform) => platform.to_string(),
        IndexEntryKind::Attestation => "attestation".to_owned(),
        IndexEntryKind::Nested => "index".to_owned(),
        IndexEntryKind::Unknown => "unknown".to_owned(),
    }
}

fn image_lines(image: &BaseImage) -> anyhow::Result<Vec<String>> {
    let (manifest, configuration) = (&image.manifest, &image.configuration);
    let runtime = |name: &str| configuration.runtime_member::<Value>(name);
    let mut lines = vec![
        field("Platform", &image.platform.clone().normalised().to_string()),
        field("Manifest", &manifest.descriptor().digest.to_string()),
        field("Configuration", &manifest.config().digest.to_string()),
    ];
    if let Some(created) = configuration.created()? {
        lines.push(field("Created", &created.to_string()));
    }
    for name in [
        "User",
        "WorkingDir",
        "Entrypoint",
        "Cmd",
        "Shell",
        "StopSignal",
        "Healthcheck",
        "OnBuild",
    ] {
        match runtime(name)? {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(text)) => lines.push(field(name, &text)),
            Some(other) => lines.push(field(name, &other.to_string())),
        }
    }
    for (name, member) in [("Port", "ExposedPorts"), ("Volume", "Volumes")] {
        if let Some(Value::Object(set)) = runtime(member)? {
            lines.extend(set.keys().map(|key| field(name, key)));
        }
    }
    if let Some(Value::Array(variables)) = runtime("Env")? {
        lines.extend(
            variables
                .iter()
                .filter_map(|variable| Some(field("Env", variable.as_str()?))),
        );
    }
    if let Some(Value::Object(labels)) = runtime("Labels")? {
        let label = |(key, value): (&String, &Value)| {
            field("Label", &format!("{key}={}", value.as_str().unwrap_or_default()))
        };
        lines.extend(labels.iter().map(label));
    }
    let layers = manifest.layers().iter();
    lines.extend(layers.map(|layer| field("Layer", &format!("{} ({})", layer.digest, size(layer.size)))));
    let total = manifest.layers().iter().map(|layer| layer.size).sum();
    lines.push(field("Size", &size(total)));
    Ok(lines)
}

/// A name and a value, in columns.
fn field(name: &str, value: &str) -> String {
    let (name, value) = (
        one_line(format!("{name}:").as_bytes()),
        one_line(value.as_bytes()),
    );
    format!("{name:<16} {value}")
}

fn value(base: &Base, images: &[BaseImage]) -> anyhow::Result<Value> {
    let root = base.document().descriptor();
    let image = |image: &BaseImage| {
        anyhow::Ok(json!({
            "platform": image.platform.clone().normalised().to_string(),
            "digest": image.manifest.descriptor().digest.to_string(),
            "configurationDigest": image.manifest.config().digest.to_string(),
            "configuration": serde_json::from_slice::<Value>(&image.configuration.to_bytes()?)?,
            "layers": image.manifest.layers(),
        }))
    };
    let manifests = match base.document() {
        Document::Index(index) => Some(index.manifests()),
        Document::Manifest(_) => None,
    };
    Ok(json!({
        "name": base.name(),
        "digest": root.digest.to_string(),
        "mediaType": root.media_type.as_str(),
        "size": root.size,
        "manifests": manifests,
        "images": images.iter().map(image).collect::<Result<Vec<_>, _>>()?,
    }))
}
