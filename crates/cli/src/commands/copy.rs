use clap::{Args, ValueEnum};
use onlay_oci::PlatformSelection;
use onlay_push::{Copied, CopyOptions, OnRefused, TagsInFlight, copy};
use onlay_store::{Destination, Location};

use crate::delivery::tell;
use crate::failure::Usage;
use crate::network::Network;
use crate::options::{OutputFormat, RegistryOptions, ShowOptions, destination};
use crate::output::{self, Published};
use crate::progress::{Notice, Progress};
use crate::session;

/// Copy an image or index as it is, with what refers to it
///
/// Every platform, every byte of every manifest, and so every digest stays. Signatures, SBOMs and
/// attestations go along: what the source lists as referring to the image or to parts of it, and
/// cosign's tags. Where the destination keeps no such lists itself, they are kept for it under
/// tags, and in layouts.
///
///     onlay copy alpine:3.22 HOST/alpine:3.22
///
/// SRC is HOST/REPOSITORY[:TAG][@DIGEST], a name on Docker Hub, oci:DIRECTORY[:TAG],
/// oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME:TAG]; DEST the same without a digest, and
/// with its host. Blobs go straight through, and the tag moves last: whoever finds it finds
/// everything. Where DEST names the image already, nothing is copied but what refers to it and is
/// younger; with --no-referrers that costs one HEAD on each side.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Copy {
    /// What to copy
    #[arg(value_name = "SRC")]
    pub(super) source: Location,

    /// Where to
    #[arg(value_name = "DEST")]
    destination: String,

    /// Platforms to copy: `all`, or a list such as linux/amd64,linux/arm64. Several give a new index, which has another
    /// digest; one gives the image without an index
    #[arg(long, default_value = "all", value_name = "LIST|all")]
    platform: PlatformSelection,

    /// Copy the image alone
    #[arg(long)]
    no_referrers: bool,

    /// What to do when the destination takes no manifest of some kind: fail before the tag moves, or leave out what is no
    /// image and say so
    #[arg(long, value_enum, default_value = "fail")]
    on_refused: RefusedChoice,

    /// What is printed on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,

    #[command(flatten)]
    pub(super) registry: RegistryOptions,
    #[command(flatten)]
    show: ShowOptions,
}

/// What to do when a manifest is refused.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RefusedChoice {
    /// Fail, with nothing under the tag
    Fail,
    /// Leave it out
    Skip,
}

impl Copy {
    /// Copies, and prints what is at the destination now.
    pub(crate) async fn run(self, in_flight: &TagsInFlight) -> anyhow::Result<()> {
        let place = self.place()?;
        let progress = Progress::new(&self.show)?;
        let result = self.copy(&place, &progress, in_flight).await;
        // Errors are printed where it was.
        progress.finish();
        let copied = result?;
        let published = Published::new(&place, copied.pushed.clone());
        match self.format {
            OutputFormat::Text => output::print_published(&published),
            OutputFormat::Json => output::print_copied(&published, &copied),
        }
    }

    /// Where it is copied to.
    pub(super) fn place(&self) -> Result<Destination, Usage> {
        let name = &self.destination;
        destination(name).map_err(|error| Usage(format!("destination `{name}`: {error}")))
    }

    async fn copy(
        &self,
        place: &Destination,
        progress: &Progress,
        in_flight: &TagsInFlight,
    ) -> anyhow::Result<Copied> {
        let client = session::client(
            &self.registry,
            &Network::read(&self.registry.ca_file)?,
            progress.observer(),
        )?;
        let options = CopyOptions {
            platforms: self.platform.clone(),
            referrers: !self.no_referrers,
            on_refused: match self.on_refused {
                RefusedChoice::Fail => OnRefused::Fail,
                RefusedChoice::Skip => OnRefused::Skip,
            },
            in_flight: in_flight.clone(),
        };
        progress.status(format!("copying to {place}"));
        let copied = copy(&client, &self.source, place, &options).await?;
        self.report(place, &copied, progress);
        Ok(copied)
    }

    fn report(&self, place: &Destination, copied: &Copied, progress: &Progress) {
        tell(&Published::new(place, copied.pushed.clone()), progress);
        let (present, new) = copied.belongings;
        if present + new > 0 {
            progress.tell(&Notice::Belongings {
                destination: &place.to_string(),
                present,
                copied: new,
            });
        }
        if copied.unchosen > 0 {
            let (left, digest) = (copied.unchosen, &copied.root.digest);
            let warning = format!(
                "{left} entries of the index were not chosen; {digest} is new or was an entry, and what refers to the whole index stays behind"
            );
            progress.tell(&Notice::Warning(warning));
        }
        if let (Location::DockerArchive { .. }, false) = (place.location(), self.no_referrers) {
            let warning =
                "an archive of Docker's has no place for what refers to an image; nothing was looked for";
            progress.tell(&Notice::Warning(warning.to_owned()));
        }
        for left_out in &copied.left_out {
            progress.tell(&Notice::LeftOut(left_out));
        }
    }
}
