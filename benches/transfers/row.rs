//! The transfers that are compared.

use std::process::Command;

use anyhow::{Context as _, Result};
use onlay_benches::measure::succeed;

use crate::options::Options;
use crate::site::Ends;

/// A registry of ECR; its endpoint is the front's.
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// `curl -T` of the blob, to the place of an upload that was begun before.
    CurlUpload,
    /// `onlay copy` of the layout whose image has that blob.
    OnlayPush,
    /// `crane push` of the same.
    CranePush,
    /// `onlay copy` of eight layers from registry to registry.
    OnlayCopy,
    /// `crane copy` of the same.
    CraneCopy,
    /// `onlay copy` of sixty manifests to ECR's manners, which take ten a second.
    OnlayPaced,
}

impl Row {
    /// The rows whose programs are there.
    pub(crate) fn measurable(options: &Options) -> Vec<Self> {
        let mut rows = vec![
            Self::CurlUpload,
            Self::OnlayPush,
            Self::OnlayCopy,
            Self::OnlayPaced,
        ];
        if options.crane.is_some() {
            rows.extend([Self::CranePush, Self::CraneCopy]);
        }
        rows
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CurlUpload => "curl -T, one blob",
            Self::OnlayPush => "onlay copy, a layout with that blob",
            Self::CranePush => "crane push, the same",
            Self::OnlayCopy => "onlay copy, eight layers from registry to registry",
            Self::CraneCopy => "crane copy, the same",
            Self::OnlayPaced => "onlay copy, sixty manifests, ten a second allowed",
        }
    }

    /// What runs. For curl the upload is begun here, which is not measured.
    pub(crate) fn command(self, ends: &Ends<'_>, options: &Options) -> Result<Command> {
        let mut command = Command::new(match self {
            Self::CurlUpload => &options.curl,
            Self::OnlayPush | Self::OnlayCopy | Self::OnlayPaced => &options.onlay,
            Self::CranePush | Self::CraneCopy => options.crane.as_ref().context("no crane")?,
        });
        match self {
            Self::CurlUpload => {
                let url = format!("{}&digest={}", begin_upload(ends, options)?, ends.blob_digest);
                command.args(["--silent", "--show-error", "--fail", "--output", "/dev/null"]);
                command.args(["-H", "Content-Type: application/octet-stream", "-T"]);
                command.arg(ends.blob).arg(url);
            }
            Self::OnlayPush => {
                let source = format!("oci:{}:1", ends.layout.display());
                command.args(["copy", &source, &ends.destination()]);
            }
            Self::CranePush => {
                command.args(["push"]).arg(ends.layout).arg(ends.destination());
            }
            // crane copies no referrers either.
            Self::OnlayCopy => {
                command.args(["copy", "--no-referrers", &ends.image, &ends.destination()]);
            }
            Self::OnlayPaced => {
                let source = format!("oci:{}:1", ends.many.display());
                let destination = format!("{ECR}/{}:1", ends.repository);
                let endpoint = format!("{ECR}=http://{}/", ends.ecr.host());
                command.args(["copy", &source, &destination, "--registry-endpoint", &endpoint]);
                command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
                command.env("AWS_SECRET_ACCESS_KEY", "secret");
                command.env("AWS_ENDPOINT_URL_ECR", ends.ecr.api_url());
            }
            Self::CraneCopy => {
                command.args(["copy", &ends.image, &ends.destination()]);
            }
        }
        Ok(command)
    }
}

/// Begins an upload and gives its place.
fn begin_upload(ends: &Ends<'_>, options: &Options) -> Result<String> {
    let mut begin = Command::new(&options.curl);
    begin.args(["--silent", "--show-error", "--fail", "--include", "-X", "POST"]);
    begin.arg(format!(
        "http://{}/v2/{}/blobs/uploads/",
        ends.host, ends.repository
    ));
    let answer = succeed(&mut begin)?;
    let headers = answer.lines().filter_map(|line| line.split_once(": "));
    let mut places = headers.filter(|(name, _)| name.eq_ignore_ascii_case("location"));
    let (_, place) = places
        .next()
        .context("the registry gave no place for the upload")?;
    Ok(place.trim().to_owned())
}
