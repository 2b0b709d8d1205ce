use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use onlay_oci::Compression;

/// The uncompressed bytes of a layer.
///
/// The compression is told from the first bytes, not from the media type, which is often wrong. Several gzip members
/// or zstd frames behind each other are one stream. The compressed stream is read to its end, so that whoever verifies
/// it gets to see all of it.
pub struct Decompressor<R: Read> {
    compression: Compression,
    stream: Stream<R>,
}

enum Stream<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(zstd::Decoder<'static, BufReader<R>>),
}

const BUFFER_SIZE: usize = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A skippable frame may come first, as in zstd:chunked layers; the low four bits of its first byte are free.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Opens a layer's bytes for reading without compression.
///
/// # Errors
/// Reading the first bytes failed, or the zstd decoder could not be set up.
pub fn decompressor<R: Read>(compressed: R) -> io::Result<Decompressor<R>> {
    let mut buffered = BufReader::with_capacity(BUFFER_SIZE, compressed);
    let compression = sniff(peek(&mut buffered)?);
    let stream = match compression {
        Compression::None => Stream::Plain(buffered),
        Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(buffered))),
        Compression::Zstd => Stream::Zstd(zstd::Decoder::with_buffer(buffered)?),
    };
    Ok(Decompressor { compression, stream })
}

/// The first bytes; a network may give them one by one, so what comes first is waited for once, which is at least the
/// magic number in practice and always for readers that fill the buffer.
fn peek<R: Read>(buffered: &mut BufReader<R>) -> io::Result<&[u8]> {
    buffered.fill_buf()
}

fn sniff(start: &[u8]) -> Compression {
    if start.starts_with(&GZIP_MAGIC) {
        Compression::Gzip
    } else if start.starts_with(&ZSTD_MAGIC) || start.get(1..4) == Some(&ZSTD_SKIPPABLE) {
        Compression::Zstd
    } else {
        Compression::None
    }
}

impl<R: Read> Decompressor<R> {
    /// How the layer is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(reader) => reader.read(buffer),
            Stream::Gzip(decoder) => decoder.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
