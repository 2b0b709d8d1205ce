use anyhow::bail;
use clap::Args;
use onlay_base::Bases;
use onlay_oci::{Digest, PlatformSelection, Reference};
use onlay_store::Location;
use serde_json::json;

use crate::look::LookOptions;
use crate::session::Session;
use crate::terminal::print;

/// Print the digest of an image
///
/// Of an index its own digest, or with --platform that of one of its images. Without --platform that is one HEAD, which
/// Docker Hub does not count as a pull.
#[derive(Debug, Args)]
pub(crate) struct DigestCommand {
    /// HOST/REPOSITORY[:TAG], a name on Docker Hub, oci:DIRECTORY[:TAG], oci-archive:FILE or docker-archive:FILE
    pub(super) image: Location,

    /// The platforms whose images are meant, one line each: `all`, or a list such as linux/amd64,linux/arm64
    #[arg(long, value_name = "LIST|all")]
    platform: Option<PlatformSelection>,

    #[command(flatten)]
    pub(super) look: LookOptions,
}

impl DigestCommand {
    /// Finds the digest.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let session = self.look.session()?;
        let found = match (&self.platform, &self.image) {
            (None, Location::Registry(reference)) => vec![(head(&session, reference).await?, None)],
            (None, image) => vec![(bases(&session).resolve(image).await?.digest(), None)],
            (Some(selection), image) => {
                let base = bases(&session).resolve(image).await?;
                let digests = base.digests(selection).await?.into_iter();
                digests
                    .map(|(digest, platform)| (digest, Some(platform.normalised().to_string())))
                    .collect()
            }
        };
        if self.look.is_json() {
            let images: Vec<_> = found
                .iter()
                .map(|(digest, platform)| json!({ "digest": digest.to_string(), "platform": platform }))
                .collect();
            return print(&json!({ "name": self.image.to_string(), "images": images }).to_string());
        }
        found
            .iter()
            .try_for_each(|(digest, _)| print(&digest.to_string()))
    }
}

fn bases(session: &Session) -> Bases {
    Bases::new(session.client.clone()).with_cache(session.cache.clone())
}

async fn head(session: &Session, reference: &Reference) -> anyhow::Result<Digest> {
    let repository = session.client.source(reference)?;
    match repository.head_manifest(&reference.identifier()).await? {
        Some(found) => Ok(found.digest),
        None => bail!("`{reference}` is not there"),
    }
}
