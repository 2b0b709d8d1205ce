//! A base of realistic size, for benches.

use crate::entry::{Entry, dir, file, symlink};
use crate::image::{Image, Platform};
use crate::layer::Layer;
use crate::layout::{Descriptor, Layout};
use crate::rootfs;
use std::path::PathBuf;

/// A `linux/amd64` image of a given size: the same bytes for the same values.
///
/// A small root filesystem and [`LargeBase::DATA_LAYERS`] layers of many files, half of them noise and half text.
#[derive(Debug, Clone)]
pub struct LargeBase {
    /// The size of all blobs as stored, in units of 2^20 bytes, to within a few percent.
    pub megabytes: usize,
    /// As in [`TestBase`](crate::TestBase).
    pub busybox: Option<PathBuf>,
}

impl LargeBase {
    /// How many layers share the size.
    pub const DATA_LAYERS: usize = 4;

    /// Makes the image. All of it is held in memory, uncompressed: about twice its size.
    pub fn image(&self) -> Image {
        let mut image = Image::new(Platform::amd64())
            .with_config(r#"{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["sh"]}"#)
            .layer(self.rootfs());
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        for number in 0..Self::DATA_LAYERS {
            image = image.layer(data_layer(
                number,
                (self.megabytes << 20) / Self::DATA_LAYERS,
                &mut noise,
            ));
        }
        image
    }

    /// Writes the image into `layout` and tags it.
    pub fn write(&self, layout: &Layout, tag: &str) -> Descriptor {
        let manifest = layout.write_image(&self.image());
        layout.tag(&manifest, tag);
        manifest
    }

    fn rootfs(&self) -> Layer {
        let mut entries = vec![
            symlink("bin", "usr/bin"),
            dir("dev"),
            dir("etc"),
            file("etc/group", rootfs::GROUP_WITH_APP),
            file("etc/passwd", rootfs::PASSWD_WITH_APP),
            dir("proc"),
            dir("root").with_mode(0o700),
            dir("sys"),
            dir("tmp").with_mode(0o1777),
            dir("usr"),
            dir("usr/bin"),
        ];
        entries.extend(rootfs::busybox("usr/bin", self.busybox.as_deref()));
        Layer::new(&entries)
    }
}

/// How many files are in a directory.
const FILES_PER_DIRECTORY: usize = 64;

fn data_layer(number: usize, stored_size: usize, noise: &mut Noise) -> Layer {
    let mut entries: Vec<Entry> = vec![
        dir("usr"),
        dir("usr/share"),
        dir(&format!("usr/share/data-{number}")),
    ];
    let mut left = stored_size;
    for index in 0.. {
        if left == 0 {
            break;
        }
        let directory = format!("usr/share/data-{number}/{:03}", index / FILES_PER_DIRECTORY);
        if index % FILES_PER_DIRECTORY == 0 {
            entries.push(dir(&directory));
        }
        let size = (1024 + noise.next() as usize % (64 * 1024)).min(left);
        entries.push(file(
            &format!("{directory}/{index:05}"),
            half_compressible(size, noise),
        ));
        left -= size;
    }
    Layer::new(&entries)
}

/// `size` bytes of noise, which no compressor shortens, and as many of text, which disappear.
fn half_compressible(size: usize, noise: &mut Noise) -> Vec<u8> {
    let text = b"the quick brown fox jumps over the lazy dog; "
        .iter()
        .copied()
        .cycle()
        .take(size);
    let mut content: Vec<u8> = (0..size.div_ceil(8))
        .flat_map(|_| noise.next().to_le_bytes())
        .collect();
    content.truncate(size);
    content.extend(text);
    content
}

/// `size` bytes that no compressor shortens, others for each seed.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ (seed << 32));
    let mut bytes = Vec::with_capacity(size.next_multiple_of(8));
    while bytes.len() < size {
        bytes.extend(noise.next().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Marsaglia's xorshift64: no quality needed but that gzip finds no pattern.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
