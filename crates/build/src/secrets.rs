use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What is lent to commands that ask for it with `RUN --mount`, and never becomes part of an image.
#[derive(Clone, Debug, Default)]
pub struct Lent {
    /// Secrets by their id.
    pub secrets: BTreeMap<String, SecretBytes>,
    /// The sockets of SSH agents by their id.
    pub agents: BTreeMap<String, PathBuf>,
    /// The directory where cache mounts are kept from one build to the next; without one they are empty each time.
    pub caches: Option<PathBuf>,
}

/// Bytes that must not be seen: they print as `[redacted]`.
#[derive(Clone)]
pub struct SecretBytes(Arc<[u8]>);

impl SecretBytes {
    /// Takes bytes into custody.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Gives them to the one command that asks.
    pub(crate) fn reveal(&self) -> &Arc<[u8]> {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
