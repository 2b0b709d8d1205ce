use std::collections::BTreeMap;
use std::sync::Arc;

use onlay_base::ReadLayer;
use onlay_oci::{Digest, Platform};
use onlay_sandbox::Rung;
use onlay_store::GrowingBlob;

/// Something that happened while an image was built, for whoever shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BuildEvent {
    /// A base was found.
    Base {
        /// Its name.
        name: String,
        /// The digest of its manifest or index.
        digest: Digest,
        /// The platforms that are built.
        platforms: Vec<Platform>,
    },
    /// A stage starts from an image, or from nothing.
    StageBase {
        /// The stage's position in the file, counted from 0.
        stage: usize,
        /// What the lint has to know of the image.
        base: onlay_dockerfile::BaseImage,
    },
    /// A layer of the image has grown beyond 8 MiB and can be read from here on, while the rest of it is made. Of the
    /// layers that one line makes for several platforms it is one: most often they are the same.
    LayerGrows(GrowingBlob),
    /// The sandbox that commands are executed in was found.
    Sandbox {
        /// `chroot (namespaces: unshare: Operation not permitted)`: which, and why no better one.
        description: String,
    },
    /// A command that is executed has printed a line.
    Output {
        /// The platform that the line is carried out for.
        platform: Platform,
        /// Where the line stands.
        place: String,
        /// The line, without its end; a very long one comes in pieces.
        line: Vec<u8>,
    },
    /// An instruction was carried out.
    Step(StepReport),
    /// Something that is probably not what the author wants, or that is left out.
    Warning(String),
}

/// What is known of the images that stages start from, by the stage's position in the file.
pub type StageBases = BTreeMap<usize, onlay_dockerfile::BaseImage>;

/// What one instruction needed, cost and did.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// The platform it was carried out for.
    pub platform: Platform,
    /// Where it stands: `Dockerfile:3`.
    pub place: String,
    /// Its text, continuation lines joined.
    pub text: String,
    /// What it needed to know.
    pub need: Need,
    /// How it was carried out.
    pub how: How,
    /// The layers whose listings were asked for, and what that cost.
    pub layers: Vec<ReadLayer>,
    /// Files of the base that were copied up, and their size in bytes.
    pub copied_up: (usize, u64),
    /// The layer that it made.
    pub layer: Option<StepLayer>,
    /// What a RUN printed.
    pub output: Vec<u8>,
}

/// What an instruction needed to know of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Manifest and configuration.
    Configuration,
    /// Which files are where, too.
    Listings,
    /// The contents of some files, too.
    Files,
    /// All of them.
    RootFilesystem,
}

/// How an instruction was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By editing the configuration.
    Configured,
    /// By putting files into the tree.
    Copied,
    /// By changing the tree of files; nothing was executed.
    Interpreted,
    /// By running it in a sandbox.
    Executed(Rung),
}

/// A layer that an instruction made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLayer {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// How many entries it has.
    pub entries: usize,
}

/// Where events go. Cloning gives another handle to the same place.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(BuildEvent) + Send + Sync>);

impl Events {
    /// Sends events to a function, which is called from any thread and must not block.
    pub fn new(receive: impl Fn(BuildEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    /// Drops all events.
    pub fn none() -> Self {
        Self::new(|_| ())
    }

    pub(crate) fn send(&self, event: BuildEvent) {
        (self.0)(event);
    }
}
