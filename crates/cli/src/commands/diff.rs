use std::process::ExitCode;

use clap::Args;
use onlay_base::BaseImage;
use onlay_oci::Platform;
use onlay_store::Location;
use serde_json::{Value, json};

use crate::exit_code;
use crate::look::compare::{self, FileDifference, MemberDifference};
use crate::look::files::ImageFiles;
use crate::look::{LookOptions, Looked, list, one_line};
use crate::terminal::print;

/// Compare two images: configuration and files
///
/// `+` is what only the second has, `-` what only the first has, `~` what differs, and in what: type, mode, owner, size,
/// content, target, device, xattrs. Modification times do not count. Layers that are listed already are not read.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
    /// docker-archive:FILE
    pub(super) first: Location,

    /// The image to compare it with
    pub(super) second: Location,

    /// The platform whose images are meant [default: of an index that of this machine]
    #[arg(long)]
    platform: Option<Platform>,

    /// Compare configurations only, and read no layer
    #[arg(long)]
    config_only: bool,

    /// Exit with 1 if anything differs
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

impl Diff {
    /// Compares the images.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (first, second) = (
            self.look.open(&self.first).await?,
            self.look.open(&self.second).await?,
        );
        let platform = self.platform.as_ref();
        let (before, after) = (first.image(platform).await?, second.image(platform).await?);
        let members = compare::members(&configuration(&before)?, &configuration(&after)?);
        let files = match self.config_only || is_same_layers(&before, &after) {
            true => Vec::new(),
            false => {
                let (before, after) = (tree(&first, &before).await?, tree(&second, &after).await?);
                compare::files(&before.tree, &after.tree)
            }
        };
        match self.look.is_json() {
            true => print(&self.value(&members, &files).to_string())?,
            false => {
                let lines = members.iter().flat_map(member_lines);
                let lines: Vec<String> = lines.chain(files.iter().map(file_line)).collect();
                if !lines.is_empty() {
                    print(&lines.join("\n"))?;
                }
            }
        }
        let differs = !members.is_empty() || !files.is_empty();
        Ok(ExitCode::from(match self.exit_code && differs {
            true => exit_code::FAILED,
            false => exit_code::DONE,
        }))
    }

    fn value(&self, members: &[MemberDifference], files: &[FileDifference]) -> Value {
        let member = |difference: &MemberDifference| json!({ "name": difference.name, "first": difference.before, "second": difference.after });
        let file = |difference: &FileDifference| {
            let path = difference.path.as_bytes();
            let side = |node: &Option<_>| node.as_deref().map(|node| list::value(path, node));
            json!({
                "path": String::from_utf8_lossy(path),
                "differs": difference.aspects(),
                "first": side(&difference.before),
                "second": side(&difference.after),
            })
        };
        json!({
            "first": self.first.to_string(),
            "second": self.second.to_string(),
            "configuration": members.iter().map(member).collect::<Vec<_>>(),
            "files": files.iter().map(file).collect::<Vec<_>>(),
        })
    }
}

fn configuration(image: &BaseImage) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&image.configuration.to_bytes()?)?)
}

fn is_same_layers(before: &BaseImage, after: &BaseImage) -> bool {
    before.configuration.diff_ids() == after.configuration.diff_ids()
}

async fn tree(looked: &Looked, image: &BaseImage) -> anyhow::Result<ImageFiles> {
    let mut files = ImageFiles::new(looked, image);
    files.read_all().await?;
    Ok(files)
}

fn file_line(difference: &FileDifference) -> String {
    let path = one_line(difference.path.as_bytes());
    match (&difference.before, &difference.after) {
        (Some(_), None) => format!("- /{path}"),
        (None, _) => format!("+ /{path}"),
        (Some(_), Some(_)) => format!("~ /{path} ({})", difference.aspects().join(", ")),
    }
}

/// Lists by what is in them, all else by both values.
fn member_lines(difference: &MemberDifference) -> Vec<String> {
    let name = one_line(difference.name.as_bytes());
    let text = |value: &Value| one_line(value.to_string().as_bytes());
    let items = |value: &Option<Value>| match value {
        Some(Value::Array(items)) => Some(items.clone()),
        None => Some(Vec::new()),
        Some(_) => None,
    };
    if let (Some(before), Some(after)) = (items(&difference.before), items(&difference.after)) {
        let is_reordered = || before.iter().all(|item| after.contains(item)) && before.len() == after.len();
        if !is_reordered() {
            let gone = before
                .iter()
                .filter(|item| !after.contains(item))
                .map(|item| ('-', item));
            let new = after
                .iter()
                .filter(|item| !before.contains(item))
                .map(|item| ('+', item));
            return gone
                .chain(new)
                .map(|(sign, item)| format!("{sign} {name} {}", text(item)))
                .collect();
        }
    }
    let sides = [('-', &difference.before), ('+', &difference.after)];
    let lines = sides
        .into_iter()
        .filter_map(|(sign, value)| Some(format!("{sign} {name} {}", text(value.as_ref()?))));
    lines.collect()
}
