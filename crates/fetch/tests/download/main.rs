//! Downloads from a server that misbehaves as it is told to.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, with the reason"
)]

mod answers;
mod faults;
mod redirects;
mod server;

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use onlay_fetch::{Download, FetchError, FetchOptions, Fetcher};

/// Patience that a test can afford.
fn options(directory: Option<PathBuf>) -> FetchOptions {
    FetchOptions {
        idle_timeout: Duration::from_millis(300),
        attempts: 3,
        first_pause: Duration::from_millis(5),
        temporary_directory: directory,
        ..FetchOptions::default()
    }
}

async fn download(url: &str) -> Result<Download, FetchError> {
    expect(url, None).await
}

async fn expect(url: &str, digest: Option<&str>) -> Result<Download, FetchError> {
    let digest = digest.map(|digest| digest.parse().unwrap());
    Fetcher::new(options(None))?.download(url, digest.as_ref()).await
}

fn bytes(download: &Download) -> Vec<u8> {
    let mut bytes = Vec::new();
    download.content.reader().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The whole chain of an error, as `cli` prints it.
fn chain(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
