//! gzip on several threads, with output that depends on the bytes and the level only.
//!
//! The input is cut into blocks of a fixed size. Each is deflated by itself, primed with the 32 KiB before it, and ends
//! on a byte boundary (a sync flush), so that the deflated blocks joined are one deflate stream in one gzip member,
//! which every gunzip reads, busybox's and those that stop after the first member included. pigz works the same way.
//!
//! The compressor is zlib-rs, whose choice of matches does not depend on the processor's features: a test runs it under
//! emulated older ones. (Intel's igzip and older zlib-ng hash with instructions that not every processor has, and give
//! other bytes there.)

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use flate2::{Compress, Compression, FlushCompress, Status};

/// Large enough that what is lost at the edges stays below 0.1 %, small enough that a few in flight are no burden.
/// Part of the recipe: another size gives other bytes.
const BLOCK_SIZE: usize = 1024 * 1024;

/// As far back as deflate can refer.
const WINDOW_SIZE: usize = 32 * 1024;

/// Magic, deflate, no flags, no time, no extra flags, unknown system: the same on every machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A gzip encoder; [`finish`](Self::finish) writes the trailer.
pub(crate) struct ParallelGzip<W: Write> {
    out: W,
    level: u32,
    threads: usize,
    block: Vec<u8>,
    /// The block before the one being filled, for its last 32 KiB.
    previous: Arc<Vec<u8>>,
    in_flight: VecDeque<JoinHandle<io::Result<Deflated>>>,
    checksum: crc32fast::Hasher,
    /// The number of bytes modulo 2^32, as the trailer has it.
    length: u32,
    started: bool,
}

struct Deflated {
    bytes: Vec<u8>,
    checksum: crc32fast::Hasher,
}

#[derive(Clone, Copy, PartialEq)]
enum Position {
    Inside,
    Last,
}

impl<W: Write> ParallelGzip<W> {
    /// Starts an encoder that deflates up to `threads` blocks at a time. Nothing is written yet.
    pub(crate) fn new(out: W, level: u32, threads: usize) -> Self {
        Self {
            out,
            level,
            threads: threads.max(1),
            block: Vec::new(),
            previous: Arc::default(),
            in_flight: VecDeque::new(),
            checksum: crc32fast::Hasher::new(),
            length: 0,
            started: false,
        }
    }

    /// Deflates what is left and writes the trailer.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        while !self.in_flight.is_empty() {
            self.write_oldest()?;
        }
        let block = std::mem::take(&mut self.block);
        let last = deflate(&block, &self.previous, self.level, Position::Last)?;
        self.write_block(&last)?;
        self.out.write_all(&self.checksum.finalize().to_le_bytes())?;
        self.out.write_all(&self.length.to_le_bytes())?;
        Ok(self.out)
    }

    fn start_block(&mut self) -> io::Result<()> {
        while self.in_flight.len() >= self.threads {
            self.write_oldest()?;
        }
        let block = Arc::new(std::mem::take(&mut self.block));
        let previous = std::mem::replace(&mut self.previous, block.clone());
        let level = self.level;
        let worker = std::thread::Builder::new()
            .name("gzip".to_owned())
            .spawn(move || deflate(&block, &previous, level, Position::Inside))?;
        self.in_flight.push_back(worker);
        Ok(())
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some(worker) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let deflated = worker
            .join()
            .map_err(|_| io::Error::other("a compression thread failed"))??;
        self.write_block(&deflated)
    }

    fn write_block(&mut self, deflated: &Deflated) -> io::Result<()> {
        if !self.started {
            self.out.write_all(&HEADER)?;
            self.started = true;
        }
        self.checksum.combine(&deflated.checksum);
        self.out.write_all(&deflated.bytes)
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_SIZE - self.block.len());
        // At most one block is taken at a time, so the cast loses nothing.
        self.length = self.length.wrapping_add(taken as u32);
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK_SIZE {
            self.start_block()?;
        }
        Ok(taken)
    }

    /// Does nothing: a flush in the middle would change the output.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn deflate(block: &[u8], previous: &[u8], level: u32, position: Position) -> io::Result<Deflated> {
    let mut compress = Compress::new(Compression::new(level), false);
    let window = &previous[previous.len().saturating_sub(WINDOW_SIZE)..];
    if !window.is_empty() {
        compress.set_dictionary(window)?;
    }
    let flush = if position == Position::Last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    let mut bytes = Vec::with_capacity(block.len() / 2 + 64);
    loop {
        let consumed = compress.total_in() as usize;
        let status = compress.compress_vec(&block[consumed..], &mut bytes, flush)?;
        let all_in = compress.total_in() as usize == block.len();
        // A sync flush is complete once there was room to spare.
        let flushed = all_in && bytes.len() < bytes.capacity();
        if status == Status::StreamEnd || (position == Position::Inside && flushed) {
            break;
        }
        bytes.reserve(bytes.capacity().max(64));
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(block);
    Ok(Deflated { bytes, checksum })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Compressible, and different in every block.
    fn sample(length: usize) -> Vec<u8> {
        (0..length)
            .map(|index| ((index / 7) ^ (index >> 11)) as u8)
            .collect()
    }

    fn gzip(bytes: &[u8], threads: usize) -> Vec<u8> {
        let mut encoder = ParallelGzip::new(Vec::new(), 6, threads);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn round_trips_at_every_edge() {
        for length in [
            0,
            1,
            BLOCK_SIZE - 1,
            BLOCK_SIZE,
            BLOCK_SIZE + 1,
            3 * BLOCK_SIZE + 17,
        ] {
            let bytes = sample(length);
            let mut decoded = Vec::new();
            // The single-member decoder: the output must be one member.
            flate2::read::GzDecoder::new(&gzip(&bytes, 3)[..])
                .read_to_end(&mut decoded)
                .unwrap();
            assert!(decoded == bytes, "{length}");
        }
    }

    #[test]
    fn threads_and_writes_do_not_change_the_output() {
        let bytes = sample(4 * BLOCK_SIZE + 5);
        let expected = gzip(&bytes, 1);
        assert!(gzip(&bytes, 8) == expected);
        let mut pieces = ParallelGzip::new(Vec::new(), 6, 2);
        for piece in bytes.chunks(4093) {
            pieces.write_all(piece).unwrap();
            pieces.flush().unwrap();
        }
        assert!(pieces.finish().unwrap() == expected);
    }
}
