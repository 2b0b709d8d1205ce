use serde::{Deserialize, Serialize};

/// What a layer says of a file beside its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission, set-id and sticky bits: the lower twelve bits of a mode.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Extended attributes by name, ordered; in practice only `security.capability`.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl Metadata {
    /// Metadata of something that root makes, without extended attributes.
    pub fn root_owned(mode: u32) -> Self {
        Self::owned(mode, 0, 0)
    }

    /// Metadata without extended attributes.
    pub fn owned(mode: u32, uid: u32, gid: u32) -> Self {
        Self {
            mode: mode & 0o7777,
            uid,
            gid,
            xattrs: Vec::new(),
        }
    }
}

/// When a file was last modified, as its layer will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModificationTime {
    /// The build's time, or the constant that stands in where there is none ([`LayerOptions`](crate::LayerOptions)):
    /// so that what onlay makes up is the same on every platform and base.
    Build,
    /// This time, in seconds since 1970.
    Seconds(i64),
}
