use std::path::PathBuf;

/// Times RUN lines, interpreted and executed
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// The files of a Debian, as a tar archive
    #[arg(long, value_name = "FILE", default_value = "target/tools/debian.tar")]
    pub(crate) debian: PathBuf,
    /// How often each row is measured; the table has the medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// onlay
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/onlay")]
    pub(crate) onlay: PathBuf,
}
