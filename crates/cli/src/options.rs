//! Options that commands share.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use onlay_oci::{Platform, ReferenceError};
use onlay_store::{Destination, LocationError};

use crate::credentials::CredentialOptions;
use crate::ecr::EcrArguments;
use crate::environment;
use crate::failure::Usage;

/// What decides the result beside lines and base.
#[derive(Debug, Args)]
#[command(next_help_heading = "Image")]
pub(crate) struct ImageOptions {
    /// The build's time: `now`, seconds since 1970 or RFC 3339 [default: SOURCE_DATE_EPOCH, the commit time of a git
    /// checkout as context, else that of the base]
    #[arg(long, value_name = "TIME", allow_hyphen_values(true))]
    pub timestamp: Option<String>,

    /// Add a label, without a history entry; without `=` it is empty
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,

    /// Add an annotation to the manifests, or with `index:` to the index
    #[arg(long, value_name = "[index:]KEY=VALUE")]
    pub annotation: Vec<String>,

    /// How new layers are compressed: gzip at level 6, or zstd at level 3 (which makes the image OCI)
    #[arg(long, value_enum, default_value = "gzip")]
    pub compression: CompressionChoice,

    /// Whose shell and commands RUN lines are read with: the image's own, or onlay's [default: the image's; `apply`
    /// takes onlay's for what the image lacks]
    #[arg(long, value_enum)]
    pub shell: Option<ShellChoice>,

    /// How RUN lines are carried out: interpreted, and executed in the best sandbox that this machine allows where they
    /// cannot be; only interpreted; always executed in one sandbox; or not at all
    #[arg(long, value_enum, default_value = "auto")]
    pub run: RunChoice,
}

/// How RUN lines are carried out.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RunChoice {
    /// Interpreted where possible, else executed
    Auto,
    /// Nothing is executed
    Interpret,
    /// Executed in namespaces, which needs CAP_SYS_ADMIN
    Namespaces,
    /// Executed in a chroot, which needs root
    Chroot,
    /// Executed with system calls caught, which needs nothing
    Ptrace,
    /// RUN is an error
    Never,
}

/// A format for new layers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CompressionChoice {
    /// What every engine takes
    Gzip,
    /// Smaller and faster, for registries and engines that take it
    Zstd,
}

/// Whose shell and commands RUN lines are read with.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ShellChoice {
    /// The image must have them
    Image,
    /// onlay's own stand in, whatever the image has
    Builtin,
}

/// Where the result goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Where to publish: HOST/REPOSITORY[:TAG], oci:DIRECTORY[:TAG], oci-archive:FILE or docker-archive:FILE[:NAME:TAG];
    /// may be given several times
    #[arg(short, long, value_name = "DEST")]
    pub tag: Vec<String>,

    /// Print what publishing would do with each blob, and publish nothing
    #[arg(long)]
    pub dry_run: bool,

    /// What is printed on standard output
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,

    /// Write the digest to a file: of the configuration of one image, or of the index of several
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,

    /// Write what was made to a file, as JSON with BuildKit's `containerimage.*` keys
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
}

impl OutputOptions {
    /// Finds out whether the files for scripts can be written, before anything is published.
    pub(crate) fn check_files(&self) -> Result<(), Usage> {
        for path in [&self.iidfile, &self.metadata_file].into_iter().flatten() {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if path.is_dir() || parent.is_some_and(|parent| !parent.is_dir()) {
                return Err(Usage(format!("`{}` is no place for a file", path.display())));
            }
        }
        Ok(())
    }

    /// What `-t` names, as places to publish at.
    pub(crate) fn destinations(&self) -> Result<Vec<Destination>, Usage> {
        let parse = |text: &String| destination(text).map_err(|error| Usage(format!("`-t {text}`: {error}")));
        self.tag.iter().map(parse).collect()
    }
}

/// Reads a place to publish at. A short name is refused: docker's `-t app` must not publish to Docker Hub.
pub(crate) fn destination(text: &str) -> Result<Destination, String> {
    text.parse().map_err(|error| match error {
        LocationError::Reference(ReferenceError::NoRegistry { .. }) => format!(
            "{error}; write HOST/{text}, or docker.io/{text} for Docker Hub, or give it to Docker on this machine with --load"
        ),
        error => error.to_string(),
    })
}

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One line for each destination
    Text,
    /// One JSON document
    Json,
}

/// How registries are reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryOptions {
    #[command(flatten)]
    pub credentials: CredentialOptions,

    /// Speak plain HTTP to this registry; loopback addresses are spoken to that way by themselves
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,

    /// Speak TLS to this registry although its address is loopback
    #[arg(long, value_name = "HOST")]
    pub tls: Vec<String>,

    /// Reach a registry at another address, such as a proxy; credentials stay those of HOST
    #[arg(long, value_name = "HOST=URL")]
    pub registry_endpoint: Vec<String>,

    /// Take HOST for a registry of this kind: standard, ecr, ecr-public, ghcr, google, azure, artifactory or docker-hub, with
    /// settings of its own behind it: upload=put|patch|BYTES, streams, resumes, mounts, empty-blobs=yes|no,
    /// referrers=probe|tag, tags-per-page=N [default: by the host's name]
    #[arg(long, value_name = "HOST=NAME[,KEY=VALUE..]")]
    pub registry_profile: Vec<String>,

    /// Read images of HOST from a mirror first; of several, in this order, and then from HOST itself
    #[arg(long, value_name = "HOST=MIRROR[/PREFIX]")]
    pub registry_mirror: Vec<String>,

    /// Read mirrors and rewrites from this file, as containers' tools write it [default: CONTAINERS_REGISTRIES_CONF,
    /// registries.conf and registries.conf.d in XDG_CONFIG_HOME/containers or HOME/.config/containers and in
    /// /etc/containers]
    #[arg(long, value_name = "FILE")]
    pub registries_conf: Option<PathBuf>,

    /// Read mirrors from HOST/hosts.toml in this directory, as containerd's tools write them [default:
    /// /etc/containerd/certs.d]
    #[arg(long, value_name = "DIR")]
    pub hosts_dir: Option<PathBuf>,

    /// Trust the authorities in this PEM file too, for every host; may be given several times. SSL_CERT_FILE and
    /// SSL_CERT_DIR do the same; certs.d/HOST of docker and containers is for one host
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,

    /// How long a connection may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub connect_timeout: Duration,

    /// How long an answer may take to begin; what makes a registry compute has more
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub answer_timeout: Duration,

    /// How long a transfer may stand still before it is taken up again
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub idle_timeout: Duration,

    #[command(flatten)]
    pub ecr: EcrArguments,
}

/// A time that something may take: whole seconds, and at least one.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: NonZeroU32 = text
        .parse()
        .map_err(|_| "expected a number of seconds, at least 1".to_owned())?;
    Ok(Duration::from_secs(seconds.get().into()))
}

/// What RUN lines reach of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkChoice {
    /// What this machine reaches
    Default,
    /// The same
    Host,
    /// Nothing
    None,
}

/// How the work is done and shown; none of it changes the result.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub(crate) struct WorkOptions {
    /// Print for each instruction what it needed, what it cost and whether anything was executed
    #[arg(long)]
    pub explain: bool,

    #[command(flatten)]
    pub show: ShowOptions,

    /// Where listings are kept [default: ONLAY_CACHE_DIR, XDG_CACHE_HOME/onlay, HOME/.cache/onlay, else memory only]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Where large layers go until they are published [default: TMPDIR, /tmp]
    #[arg(long, value_name = "DIR")]
    pub tmp_dir: Option<PathBuf>,
}

/// What is shown while the work goes on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub(crate) struct ShowOptions {
    /// What is shown on standard error meanwhile
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressChoice,

    /// Show errors only; what is printed on standard output stays the same
    #[arg(short, long)]
    pub quiet: bool,
}

impl WorkOptions {
    /// Where large layers, downloads and check-outs go.
    pub(crate) fn temporary_directory(&self) -> Option<PathBuf> {
        self.tmp_dir.clone().or_else(environment::temporary_directory)
    }
}

/// What is shown while the work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    /// On a terminal as `tty`, else as `plain`
    Auto,
    /// A line for each instruction
    Plain,
    /// The same lines, and below them one that moves; needs a terminal
    Tty,
    /// Nothing but errors
    #[value(alias = "none")]
    Quiet,
    /// What buildx prints for programs: BuildKit's SolveStatus, one object a line
    Rawjson,
    /// Everything that onlay knows, one object a line: each has an `event`, which is base, step, warning, retry, created,
    /// published or network
    Json,
}

/// The platform of this machine: always Linux, since images of other systems are not built here.
pub(crate) fn host_platform() -> Platform {
    Platform::new("linux", std::env::consts::ARCH)
}
