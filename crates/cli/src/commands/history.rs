use clap::Args;
use onlay_base::BaseImage;
use onlay_oci::{Platform, Timestamp};
use onlay_store::Location;
use serde_json::{Value, json};

use crate::look::{LookOptions, one_line, size};
use crate::terminal::print;

/// Show how an image was made
///
/// One line for each entry of its history, the newest first, with the size of the layer that it made, as stored.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
    /// docker-archive:FILE
    pub(super) image: Location,

    /// The platform whose image is meant [default: of an index that of this machine]
    #[arg(long)]
    platform: Option<Platform>,

    /// Show each entry whole
    #[arg(long)]
    no_trunc: bool,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

/// How much of an entry is shown, in characters.
const WIDTH: usize = 100;

/// An entry, and the layer that it made.
struct Line {
    created: Option<Timestamp>,
    created_by: String,
    comment: Option<String>,
    layer: Option<(String, u64)>,
}

impl History {
    /// Shows the history.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let looked = self.look.open(&self.image).await?;
        let lines = lines(&looked.image(self.platform.as_ref()).await?);
        if self.look.is_json() {
            let entries: Vec<Value> = lines.iter().map(value).collect();
            return print(&json!({ "name": self.image.to_string(), "history": entries }).to_string());
        }
        print(&format!("{:<20} {:>8} {}", "CREATED", "SIZE", "CREATED BY"))?;
        lines.iter().try_for_each(|line| print(&self.line(line)))
    }

    fn line(&self, line: &Line) -> String {
        let mut text = one_line(line.created_by.as_bytes());
        if let Some((end, _)) = text.char_indices().nth(WIDTH).filter(|_| !self.no_trunc) {
            text.truncate(end);
            text.push_str("...");
        }
        // Whole seconds are enough for people.
        let seconds = |created: Timestamp| Timestamp::from_seconds(created.seconds()).ok();
        let created = line.created.and_then(seconds);
        let created = created.map_or_else(|| "-".to_owned(), |created| created.to_string());
        let size = line
            .layer
            .as_ref()
            .map_or_else(|| "-".to_owned(), |(_, bytes)| size(*bytes));
        format!("{created:<20} {size:>8} {text}")
    }
}

/// The newest first. Layers beyond the history stand before it, without an entry.
fn lines(image: &BaseImage) -> Vec<Line> {
    let mut layers = image.manifest.layers().iter().rev();
    let mut layer = || {
        let layer = layers.next()?;
        Some((layer.digest.to_string(), layer.size))
    };
    let entries: Vec<_> = image.configuration.history().collect();
    let mut lines: Vec<Line> = entries
        .into_iter()
        .rev()
        .map(|entry| Line {
            created: entry.created,
            created_by: entry.created_by.clone().unwrap_or_default(),
            comment: entry.comment.clone(),
            layer: if entry.empty_layer { None } else { layer() },
        })
        .collect();
    while let Some(made) = layer() {
        lines.push(Line {
            created: None,
            created_by: String::new(),
            comment: None,
            layer: Some(made),
        });
    }
    lines
}

fn value(line: &Line) -> Value {
    json!({
        "created": line.created.map(|created| created.to_string()),
        "createdBy": line.created_by,
        "comment": line.comment,
        "layer": line.layer.as_ref().map(|(digest, size)| json!({ "digest": digest, "size": size })),
    })
}
