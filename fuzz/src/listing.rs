use onlay_layer::{CompressionOptions, Compressor, Listing};
use std::io::Write;

/// The first byte of an encoded listing.
const FORMAT: u8 = 1;

/// Decodes a listing as a cache holds it, and as it is inside of the compression, where mutations reach it.
pub fn listing(bytes: &[u8]) {
    for encoded in [bytes.to_vec(), compressed(bytes)] {
        if let Ok(listing) = Listing::decode(&encoded) {
            super::tree::check_listing(&listing);
        }
    }
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = Compressor::new(vec![FORMAT], CompressionOptions::zstd()).unwrap();
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
