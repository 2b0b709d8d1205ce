use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, bail};
use clap::Args;
use onlay_layer::{BaseFile, Content, LastLink, NodeKind, read_files};
use onlay_oci::Platform;
use onlay_store::Location;

use crate::failure::Usage;
use crate::look::files::ImageFiles;
use crate::look::{LookOptions, list, one_line};
use crate::terminal::{DataOut, print_bytes};

/// Print a file of an image
///
/// Links are followed inside the image. Beside what it takes to find the file, its own layer is read as far as the file
/// goes.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or
    /// docker-archive:FILE
    pub(super) image: Location,

    /// The file, as a process in the image would name it
    path: OsString,

    /// The platform whose image is meant [default: of an index that of this machine]
    #[arg(long)]
    platform: Option<Platform>,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

impl Cat {
    /// Prints the file.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.look.is_json() {
            return Err(Usage("`--format json`: a file is printed as it is".to_owned()).into());
        }
        let looked = self.look.open(&self.image).await?;
        let image = looked.image(self.platform.as_ref()).await?;
        let mut files = ImageFiles::new(&looked, &image);
        let (_, node) = files.find(self.path.as_bytes(), LastLink::Follow).await?;
        let name = one_line(self.path.as_bytes());
        let file = match &node.kind {
            NodeKind::File(Content::Base(file)) => BaseFile::clone(file),
            // What is in the listing itself needs no layer.
            NodeKind::File(Content::Bytes(bytes)) => return print_bytes(bytes),
            _ => bail!("`{name}` is a {}, expected a file", list::kind(&node)),
        };
        let layer = image.layers().find(|(_, diff_id)| **diff_id == *file.layer);
        let (layer, _) = layer.context("the file's layer is not in the image")?;
        let reader = looked.base.source().open_blob(layer).await?;
        let copied = tokio::task::spawn_blocking(move || {
            let mut out = DataOut::new();
            let copied = read_files(reader, &[&file], &mut out);
            out.finish(copied)
        });
        copied
            .await?
            .with_context(|| format!("`{name}` could not be printed"))
    }
}
