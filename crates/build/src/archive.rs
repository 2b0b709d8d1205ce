//! Archives that ADD unpacks and that contexts come in: told by their content, never by their name.

use std::io::{self, BufReader, Read};

use onlay_context::{SNIFF_LENGTH, StdinKind, TarCompression, sniff};

const BUFFER_SIZE: usize = 64 * 1024;
const BZIP2_MAGIC: &[u8] = b"BZh";
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
const LONGEST_MAGIC: usize = 6;

/// Uncompresses gzip, bzip2, xz and zstd; anything else comes as it is.
///
/// # Errors
/// The first bytes could not be read.
pub(crate) fn decompressed(mut raw: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    (&mut raw).take(LONGEST_MAGIC as u64).read_to_end(&mut start)?;
    let is = |magic: &[u8]| start.starts_with(magic);
    let (bzip2, xz) = (is(BZIP2_MAGIC), is(XZ_MAGIC));
    let whole = BufReader::with_capacity(BUFFER_SIZE, io::Cursor::new(start).chain(raw));
    Ok(if bzip2 {
        Box::new(bzip2::bufread::MultiBzDecoder::new(whole))
    } else if xz {
        Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(whole))
    } else {
        Box::new(onlay_layer::decompressor(whole)?)
    })
}

/// Tells whether bytes are a tar archive, compressed or not: the first header must be a valid one.
///
/// What merely looks compressed, or is empty, or all zeros, is an ordinary file to ADD.
///
/// # Errors
/// The bytes could not be read.
pub(crate) fn is_tar(raw: Box<dyn Read + Send>) -> io::Result<bool> {
    let mut header = Vec::new();
    let uncompressed = decompressed(raw)?;
    match uncompressed.take(SNIFF_LENGTH as u64).read_to_end(&mut header) {
        Ok(_) if sniff(&header) == StdinKind::Tar(TarCompression::None) => Ok(true),
        // Bytes behind a magic number that do not decompress are no archive.
        Ok(_) | Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tar() -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_path("a").unwrap();
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &b"x"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn boxed(bytes: Vec<u8>) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(bytes))
    }

    #[test]
    fn archives_are_told_by_content() {
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&tar()).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&tar()).unwrap();
        let archives = [
            tar(),
            gzip(&tar()),
            bzip2.finish().unwrap(),
            xz.finish().unwrap(),
            zstd::encode_all(&tar()[..], 1).unwrap(),
        ];
        for archive in archives {
            assert!(is_tar(boxed(archive.clone())).unwrap());
            let mut plain = Vec::new();
            decompressed(boxed(archive))
                .unwrap()
                .read_to_end(&mut plain)
                .unwrap();
            assert_eq!(plain, tar());
        }
    }

    #[test]
    fn other_files_are_no_archives() {
        let damaged = [b"BZh9".to_vec(), vec![1; 600]].concat();
        for file in [
            vec![],
            vec![0; 2048],
            gzip(b"text"),
            b"short".to_vec(),
            vec![b'x'; 2048],
            damaged,
        ] {
            assert!(!is_tar(boxed(file)).unwrap());
        }
    }
}
