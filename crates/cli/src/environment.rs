//! Every environment variable that onlay reads, and the only place where it reads them. (AWS's own are read by its SDK,
//! which `onlay-ecr` sets up on this crate's behalf.)

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]

use std::path::PathBuf;

/// Where listings are kept between runs.
pub(crate) const CACHE_DIR: &str = "ONLAY_CACHE_DIR";
/// The build's time in seconds since 1970.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The directory of Docker's `config.json`.
pub(crate) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// Docker's `config.json` itself.
pub(crate) const DOCKER_AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";
/// The file of credentials that containers' tools read and write.
pub(crate) const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// Where containers' tools keep credentials until the user's session ends.
pub(crate) const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// The one file about mirrors, as containers' tools read it.
pub(crate) const CONTAINERS_REGISTRIES_CONF: &str = "CONTAINERS_REGISTRIES_CONF";
/// A file of certificates that are trusted.
pub(crate) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Directories of them, apart by colons.
pub(crate) const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// What the Terraform module tells its job (its codebuild.tf): the images, their lines, where they go, and who asks Docker Hub.
pub(crate) const REPOLIST: &str = "REPOLIST";
/// The lines of each image, as JSON.
pub(crate) const BUILDSTRINGS: &str = "BUILDSTRINGS";
/// What stands in front of repositories.
pub(crate) const NAMESPACE: &str = "NAMESPACE";
/// The region of the account.
pub(crate) const AWS_REGION: &str = "AWS_REGION";
/// The account.
pub(crate) const AWS_ACCOUNT_ID: &str = "AWS_ACCOUNT_ID";
/// A user of Docker Hub.
pub(crate) const DOCKERHUB_USERNAME: &str = "DOCKERHUB_USERNAME";
/// The user's token.
pub(crate) const DOCKERHUB_TOKEN: &str = "DOCKERHUB_TOKEN";
/// The number of a part of the work, and of how many: AWS Batch's array jobs, Kubernetes' indexed Jobs, GitLab's and CircleCI's
/// parallel jobs. The second is whether the first part is number 1.
pub(crate) const PARTS: [(&str, bool, &str); 4] = [
    ("AWS_BATCH_JOB_ARRAY_INDEX", false, "AWS_BATCH_JOB_ARRAY_SIZE"),
    ("JOB_COMPLETION_INDEX", false, "JOB_COMPLETIONS"),
    ("CI_NODE_INDEX", true, "CI_NODE_TOTAL"),
    ("CIRCLE_NODE_INDEX", false, "CIRCLE_NODE_TOTAL"),
];

/// The socket of the user's SSH agent.
pub(crate) const SSH_AUTH_SOCK: &str = "SSH_AUTH_SOCK";
/// The proxy for plain HTTP, in either case.
pub(crate) const HTTP_PROXY: &str = "HTTP_PROXY";
/// The proxy for TLS, in either case.
pub(crate) const HTTPS_PROXY: &str = "HTTPS_PROXY";
/// The proxy for what has none of its own, in either case.
pub(crate) const ALL_PROXY: &str = "ALL_PROXY";
/// What is spoken to without a proxy, in either case.
pub(crate) const NO_PROXY: &str = "NO_PROXY";

/// Variables that credentials come from, or are found by: this crate's, and those of AWS's SDK.
pub(crate) const CREDENTIALS: &[&str] = &[
    DOCKER_AUTH_CONFIG,
    REGISTRY_AUTH_FILE,
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Reads a variable; unset, empty and not UTF-8 are all none.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a variable that holds a path; unset and empty are both none.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Reads a variable as it is, for what the user names it for; `None` if it is not set.
pub(crate) fn bytes(name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// Tells whether a program of this name is in one of the directories of `PATH`.
pub(crate) fn has_program(name: &str) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(name).is_file())
}

/// The cache directory: `ONLAY_CACHE_DIR`, `XDG_CACHE_HOME/onlay`, `HOME/.cache/onlay`, else none.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    path(CACHE_DIR)
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("onlay")))
        .or_else(|| Some(path("HOME")?.join(".cache").join("onlay")))
}

/// Where large spools go: `TMPDIR`, else the system's place, if it can be written; else the cache.
pub(crate) fn temporary_directory() -> Option<PathBuf> {
    path("TMPDIR")
        .or_else(|| Some(PathBuf::from("/tmp")))
        .filter(|path| path.is_dir())
        .or_else(cache_directory)
}

/// Docker's configuration file: `DOCKER_CONFIG/config.json`, else `HOME/.docker/config.json`.
pub(crate) fn docker_config() -> Option<PathBuf> {
    let directory = path(DOCKER_CONFIG).or_else(|| Some(path("HOME")?.join(".docker")))?;
    Some(directory.join("config.json"))
}

/// Reads one of the variables for proxies: the lower-case name counts before the upper-case one.
pub(crate) fn proxy_text(name: &str) -> Option<String> {
    // Under CGI, `HTTP_PROXY` is a header that anybody may send (CVE-2016-5385).
    let is_forgeable = name == HTTP_PROXY && std::env::var_os("REQUEST_METHOD").is_some();
    text(&name.to_ascii_lowercase()).or_else(|| text(name).filter(|_| !is_forgeable))
}

/// Where the user's configuration files are: `XDG_CONFIG_HOME`, else `HOME/.config`.
pub(crate) fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))
}
