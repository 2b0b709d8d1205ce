use std::io::{self, Write};

use onlay_oci::Compression;

use crate::gzip::ParallelGzip;

/// How a new layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionOptions {
    /// The format.
    pub compression: Compression,
    /// The level in the format's own scale: gzip 1 to 9, zstd 1 to 19; part of what decides the digest.
    pub level: u32,
    /// How many threads may compress at a time; does not change the output.
    pub threads: usize,
}

impl CompressionOptions {
    /// gzip at its usual level, which is what every engine and registry takes.
    pub fn gzip(threads: usize) -> Self {
        Self {
            compression: Compression::Gzip,
            level: 6,
            threads,
        }
    }

    /// zstd at its usual level; the image becomes OCI.
    pub fn zstd() -> Self {
        Self {
            compression: Compression::Zstd,
            level: 3,
            threads: 1,
        }
    }
}

/// Compresses what is written into it.
pub struct Compressor<W: Write>(Encoder<W>);

enum Encoder<W: Write> {
    Plain(W),
    Gzip(ParallelGzip<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Starts compressing into `out`.
    ///
    /// # Errors
    /// The zstd encoder could not be set up.
    pub fn new(out: W, options: CompressionOptions) -> io::Result<Self> {
        Ok(Self(match options.compression {
            Compression::None => Encoder::Plain(out),
            Compression::Gzip => {
                Encoder::Gzip(ParallelGzip::new(out, options.level.clamp(1, 9), options.threads))
            }
            Compression::Zstd => {
                let level = i32::try_from(options.level.clamp(1, 19)).unwrap_or(3);
                Encoder::Zstd(zstd::Encoder::new(out, level)?)
            }
        }))
    }

    /// Writes what is left and gives the writer back.
    ///
    /// # Errors
    /// The writer failed.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Encoder::Plain(out) => Ok(out),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Encoder::Plain(out) => out.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Encoder::Plain(out) => out.flush(),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}
