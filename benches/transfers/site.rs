//! The two ends of a transfer: a registry and a layout to read from, a registry to write to.

use std::path::{Path, PathBuf};

use anyhow::Result;
use onlay_testkit::{
    Compression, EcrAccount, EcrFront, Front, FrontAuth, Image, Layer, Layout, LoggedRequest, Platform,
    Registry, noise, upload_layout,
};
use tempfile::TempDir;

/// How many layers the image of the copies has: as many as onlay has in flight.
const LAYERS: usize = 8;

/// How many manifests go to ECR's manners, and how many of them a second may (aws.md 1.2).
pub(crate) const MANIFESTS: u32 = 60;
pub(crate) const MANIFESTS_PER_SECOND: u32 = 10;

/// Two registries, a counting front before each, and a directory that goes when this does.
pub(crate) struct Site {
    from: Front,
    to: Front,
    source: Registry,
    destination: Registry,
    blob: PathBuf,
    blob_digest: String,
    layout: PathBuf,
    many: PathBuf,
    ecr: EcrFront,
    /// Goes last.
    _directory: TempDir,
}

/// What one transfer reads, and where it writes.
#[derive(Debug)]
pub(crate) struct Ends<'a> {
    /// An OCI layout; the image `1` in it has one layer, the blob.
    pub(crate) layout: &'a Path,
    /// The file of that blob.
    pub(crate) blob: &'a Path,
    /// Its digest.
    pub(crate) blob_digest: &'a str,
    /// The image of eight layers, in the first registry.
    pub(crate) image: String,
    /// `127.0.0.1:<port>` of the second registry.
    pub(crate) host: &'a str,
    /// A layout with an index of many images, tagged `1`.
    pub(crate) many: &'a Path,
    /// Where it is copied to.
    pub(crate) ecr: &'a EcrFront,
    /// A repository there.
    pub(crate) repository: String,
}

impl Ends<'_> {
    /// The reference to write.
    pub(crate) fn destination(&self) -> String {
        format!("{}/{}:1", self.host, self.repository)
    }
}

impl Site {
    /// Makes the images, and starts and fills the first registry.
    pub(crate) fn start(megabytes: usize) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("transfers-").tempdir()?;
        let (source, destination) = (Registry::start(), Registry::start());
        let layout = Layout::create(directory.path().join("layout"));
        let blob = plain_layer(megabytes << 20, 0);
        let blob_digest = blob.diff_id();
        let manifest = layout.write_image(&Image::new(Platform::amd64()).layer(blob));
        layout.tag(&manifest, "1");
        let image = (1..=LAYERS)
            .map(|seed| plain_layer((megabytes << 20) / LAYERS, seed as u64))
            .fold(Image::new(Platform::amd64()), Image::layer);
        let eight = Layout::create(directory.path().join("eight"));
        eight.tag(&eight.write_image(&image), "1");
        upload_layout(eight.dir(), "1", source.host(), "eight", "1", None);
        let many = directory.path().join("many");
        write_many(&Layout::create(&many));
        Ok(Self {
            from: Front::start(source.host(), FrontAuth::Registry),
            to: Front::start(destination.host(), FrontAuth::Registry),
            source,
            destination,
            blob: layout.blob_path(&blob_digest),
            blob_digest,
            layout: layout.dir().to_owned(),
            many,
            ecr: EcrFront::start(EcrAccount {
                quotas: vec![("PutImage", MANIFESTS_PER_SECOND)],
                create_on_push: true,
                ..EcrAccount::default()
            }),
            _directory: directory,
        })
    }

    /// The registries themselves, for runs that are timed.
    pub(crate) fn direct(&self, repository: &str) -> Ends<'_> {
        self.ends(self.source.host(), self.destination.host(), repository)
    }

    /// Through the fronts, for the run that is counted.
    pub(crate) fn counted(&self, repository: &str) -> Ends<'_> {
        self.ends(self.from.host(), self.to.host(), repository)
    }

    /// Forgets the requests so far.
    pub(crate) fn clear_requests(&self) {
        self.from.clear_requests();
        self.to.clear_requests();
        self.ecr.clear_requests();
    }

    /// The requests to all ends.
    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        [self.from.requests(), self.to.requests(), self.ecr.requests()].concat()
    }

    fn ends<'a>(&'a self, from: &str, to: &'a str, repository: &str) -> Ends<'a> {
        Ends {
            layout: &self.layout,
            many: &self.many,
            ecr: &self.ecr,
            blob: &self.blob,
            blob_digest: &self.blob_digest,
            image: format!("{from}/eight:1"),
            host: to,
            repository: repository.to_owned(),
        }
    }
}

/// An index of small images, all of the same layer: with itself it is as many manifests as are asked for.
fn write_many(layout: &Layout) {
    let image = |number: u32| {
        let platform = Platform::new("linux", "amd64", Some(&format!("v{number}")));
        Image::new(platform).layer(plain_layer(1024, 0))
    };
    let images: Vec<Image> = (1..MANIFESTS).map(image).collect();
    layout.tag(&layout.write_index(&images), "1");
}

/// A layer that is not compressed, so that nothing but the transfer is measured. No tar: nobody looks inside.
fn plain_layer(size: usize, seed: u64) -> Layer {
    Layer::from_tar(noise(size, seed)).with_compression(Compression::Plain)
}
