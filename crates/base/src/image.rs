use onlay_oci::{Descriptor, DiffId, ImageConfiguration, Manifest, Platform};

/// The image of one platform: what instructions that change no file need to know, and all of it.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// What it is for, as the index says, else as the configuration does.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its configuration.
    pub configuration: ImageConfiguration,
}

impl BaseImage {
    /// Pairs each layer with its diff id, base layer first.
    pub fn layers(&self) -> impl Iterator<Item = (&Descriptor, &DiffId)> {
        self.manifest.layers().iter().zip(self.configuration.diff_ids())
    }
}
