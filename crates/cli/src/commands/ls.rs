use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use clap::Args;
use onlay_layer::{ImagePath, LastLink, Node};
use onlay_oci::Platform;
use onlay_store::Location;

use crate::look::files::ImageFiles;
use crate::look::{LookOptions, list, one_line};
use crate::terminal::print;

/// List the files of an image
///
/// No more layers are read than it takes to know, each at most once; what was learnt of them is kept. With --format json
/// each line is an object.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
    /// docker-archive:FILE
    pub(super) image: Location,

    /// What to list, as a process in the image would name it
    #[arg(default_value = "/")]
    path: OsString,

    /// List what is in directories below, too, by whole paths
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Show mode, owner, group, size, time and where links lead
    #[arg(short, long)]
    long: bool,

    /// The platform whose image is meant [default: of an index that of this machine]
    #[arg(long)]
    platform: Option<Platform>,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

impl Ls {
    /// Lists the files.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let looked = self.look.open(&self.image).await?;
        let image = looked.image(self.platform.as_ref()).await?;
        let mut files = ImageFiles::new(&looked, &image);
        if self.recursive {
            files.read_all().await?;
        }
        let path = self.path.as_bytes();
        // As ls: a link to a directory is followed, but not where it is shown at length.
        let last = if self.long {
            LastLink::Keep
        } else {
            LastLink::Follow
        };
        let (place, node) = files.find(path, last).await?;
        let mut found = Vec::new();
        match (node.is_directory(), self.recursive) {
            (false, _) => found.push((path.to_vec(), place, node)),
            (true, false) => {
                for (name, node) in files.children(&place).await? {
                    let path = place.join(&name)?;
                    found.push((name, path, node));
                }
            }
            (true, true) => below(&files, &place, &mut found),
        }
        let lines = found.iter().map(|(name, path, node)| self.line(name, path, node));
        let lines: Vec<String> = lines.collect();
        match lines.is_empty() {
            true => Ok(()),
            false => print(&lines.join("\n")),
        }
    }

    fn line(&self, name: &[u8], path: &ImagePath, node: &Node) -> String {
        match (self.look.is_json(), self.long) {
            (true, _) => list::value(path.as_bytes(), node).to_string(),
            (false, true) => list::long_line(name, node),
            (false, false) => one_line(name),
        }
    }
}

type Found = (Vec<u8>, ImagePath, Arc<Node>);

/// All that is below a directory, each by its path, in bytewise order of names.
fn below(files: &ImageFiles, directory: &ImagePath, found: &mut Vec<Found>) {
    let mut open: Vec<(ImagePath, Arc<Node>)> = Vec::new();
    let push = |directory: &ImagePath, open: &mut Vec<_>| {
        let children = files.tree.children(directory).unwrap_or_default();
        let children = children.into_iter().rev();
        open.extend(children.filter_map(|(name, node)| Some((directory.join(&name).ok()?, node))));
    };
    push(directory, &mut open);
    while let Some((path, node)) = open.pop() {
        let is_directory = node.is_directory();
        found.push((path.as_bytes().to_vec(), path.clone(), node));
        if is_directory {
            push(&path, &mut open);
        }
    }
}
