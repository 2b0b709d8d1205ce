use std::collections::BTreeMap;
use std::path::PathBuf;

use onlay_layer::CompressionOptions;
use onlay_oci::{Platform, PlatformSelection, Timestamp};
use onlay_sandbox::{Network, Rung};
use onlay_shell::Tools;

use crate::Lent;

/// What decides the result of a build beside its lines and its base.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Which platforms are built.
    pub platforms: Platforms,
    /// Values for ARGs, by name.
    pub build_arguments: BTreeMap<String, String>,
    /// Labels that are added without a history entry.
    pub labels: Vec<(String, String)>,
    /// Annotations of each manifest; any make the image OCI.
    pub manifest_annotations: BTreeMap<String, String>,
    /// Annotations of the index.
    pub index_annotations: BTreeMap<String, String>,
    /// The build's time, if it has one.
    pub time: Option<Timestamp>,
    /// Whose shell and commands a RUN line is read with.
    pub tools: Tools,
    /// How RUN lines are carried out.
    pub run: RunMode,
    /// How new layers are compressed.
    pub compression: CompressionOptions,
    /// The machine that builds, for the predefined BUILD arguments.
    pub build_platform: Platform,
    /// Where what does not fit into memory may go.
    pub temporary_directory: Option<PathBuf>,
    /// What `RUN --mount` may lend to commands.
    pub lent: Lent,
    /// What commands reach of the network unless their line says.
    pub network: Network,
    /// What becomes of images of the base that the lines cannot be carried out for.
    pub exceptions: Exceptions,
}

/// What becomes of images of the base that the lines cannot be carried out for: by default the build fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// Those of other systems than Linux stay in the index as they are, byte for byte.
    pub keep_other_systems: bool,
    /// Those with lines that would have to be executed, of an architecture that this machine cannot, are left out of the
    /// index.
    pub leave_out_foreign: bool,
    /// Where no index is made, since there is but one image, annotations for it are left out.
    pub index_annotations_need_no_index: bool,
}

/// How RUN lines are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunMode {
    /// Interpreted where that is possible, executed in the best sandbox that there is otherwise.
    #[default]
    Auto,
    /// Interpreted; what cannot be is an error.
    Interpret,
    /// Executed, always, on this rung.
    Execute(Rung),
    /// Not at all: a RUN line is an error.
    Never,
}

/// Which platforms of the base are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// As asked for; each must be there.
    Selected(PlatformSelection),
    /// This machine's from an index; from a single image that one, whatever it is for, with a warning if it differs.
    Host(Platform),
}
