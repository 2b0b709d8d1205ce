use std::path::PathBuf;

/// Times onlay's transfers beside those of curl and crane
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// How often each row is measured; the table has the medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// The size of the blob, and of the eight layers together, in units of 2^20 bytes
    #[arg(long, value_name = "SIZE", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(8..=4096))]
    pub(crate) size_mb: u16,
    /// Where transfers.md and the programs' output go
    #[arg(long, value_name = "DIR", default_value = "target/transfers")]
    pub(crate) out: PathBuf,
    /// onlay
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/onlay")]
    pub(crate) onlay: PathBuf,
    /// curl
    #[arg(long, value_name = "PROGRAM", default_value = "curl")]
    pub(crate) curl: PathBuf,
    /// crane; its rows are left out without it
    #[arg(long, value_name = "PROGRAM", env = "CRANE")]
    pub(crate) crane: Option<PathBuf>,
}
