use std::path::PathBuf;

use crate::contender::Builder;

/// Times onlay beside other builders on the vault case
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// How often each row is measured; the table has the medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// The size of the base's blobs, in units of 2^20 bytes
    #[arg(long, value_name = "SIZE", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) size_mb: u16,
    /// Where versus.md, versus.svg and the builders' output go
    #[arg(long, value_name = "DIR", default_value = "target/versus")]
    pub(crate) out: PathBuf,
    /// Only these builders
    #[arg(long, value_name = "BUILDER", value_delimiter = ',')]
    pub(crate) only: Vec<Builder>,
    /// onlay
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/onlay")]
    pub(crate) onlay: PathBuf,
    /// Docker's client; by default the first of `docker` and `/usr/bin/docker` that can build
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) docker: Option<PathBuf>,
    /// Docker's daemon
    #[arg(long, value_name = "PROGRAM", default_value = "dockerd")]
    pub(crate) dockerd: PathBuf,
    /// buildah
    #[arg(long, value_name = "PROGRAM", default_value = "buildah")]
    pub(crate) buildah: PathBuf,
    /// crane
    #[arg(long, value_name = "PROGRAM", env = "CRANE", default_value = "crane")]
    pub(crate) crane: PathBuf,
    /// kaniko's executor, a static program
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "KANIKO",
        default_value = "kaniko-executor"
    )]
    pub(crate) kaniko: PathBuf,
}

impl Options {
    /// Tells whether this builder's rows were asked for.
    pub(crate) fn wants(&self, builder: Builder) -> bool {
        self.only.is_empty() || self.only.contains(&builder)
    }
}
