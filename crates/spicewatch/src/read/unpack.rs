//! Compressed captures, unpacked while they are read.
//!
//! | first bytes | format | decoder |
//! | --- | --- | --- |
//! | `1F 8B` | gzip, any number of members | flate2 |
//! | `28 B5 2F FD` | zstd, any number of frames | ruzstd |
//! | `FD 37 7A 58 5A 00` | xz, any number of streams | lzma-rust2 |
//! | `04 22 4D 18` | lz4 frames | `lz4_flex` |
//! | `42 5A 68` | bzip2, any number of streams | bzip2 |
//! | `50 4B 03 04` | zip with one member, stored or deflated | flate2 |
//!
//! What a decoder keeps is bounded by its format and by [`MAX_WINDOW`]; how much comes out, by [`MAX_RATIO`].

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use std::io::{self, Read};

/// Bytes at a file's start that tell its format.
pub(super) const MAGIC: usize = 6;
/// The largest window or dictionary of a decoder, in bytes: what `zstd --long` and `xz -9e` need.
const MAX_WINDOW: u64 = 128 << 20;
/// A file that expands to more than this many times its size is no capture: each of its packets has a header with a time, which does not compress.
const MAX_RATIO: u64 = 4096;
/// Bytes that may come out before the ratio counts.
const FREE: u64 = 64 << 20;

/// Whether a file with these first bytes is compressed.
pub(super) fn is_packed(start: &[u8]) -> bool {
    matches!(
        start,
        [0x1f, 0x8b, ..]
            | [0x28, 0xb5, 0x2f, 0xfd, ..]
            | [0xfd, b'7', b'z', b'X', b'Z', 0]
            | [0x04, 0x22, 0x4d, 0x18, ..]
            | [b'B', b'Z', b'h', ..]
            | [b'P', b'K', 3, 4, ..]
    )
}

/// What a compressed file with these first bytes contains.
pub(super) fn unpack(start: &[u8], file: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let packed = Counted { reader: file, read: 0 };
    let decoder: Decoder = match start {
        [0x1f, 0x8b, ..] => Decoder::Gzip(MultiGzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Decoder::Zstd(Box::new(Zstd { frame: None, source: Some(packed) })),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let limit = u32::try_from(MAX_WINDOW >> 10).unwrap_or(u32::MAX) * 2;
            Decoder::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, limit)))
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Decoder::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(packed))),
        [b'B', b'Z', b'h', ..] => Decoder::Bzip2(bzip2::read::MultiBzDecoder::new(packed)),
        [b'P', b'K', 3, 4, ..] => Decoder::Zip(Zip::open(packed)?),
        _ => return Ok(packed.reader),
    };
    Ok(Box::new(Unpacked { decoder, written: 0 }))
}

/// A decoder, and how much has come out of it.
struct Unpacked {
    decoder: Decoder,
    written: u64,
}

enum Decoder {
    Gzip(MultiGzDecoder<Counted>),
    Zstd(Box<Zstd>),
    Xz(Box<lzma_rust2::XzReader<Counted>>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<Counted>>),
    Bzip2(bzip2::read::MultiBzDecoder<Counted>),
    Zip(Zip),
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // lzma-rust2 0.25 takes a read into an empty buffer, which returns 0, for the end of a block.
        if buffer.is_empty() {
            return Ok(0);
        }
        let (n, packed) = match &mut self.decoder {
            Decoder::Gzip(decoder) => (decoder.read(buffer)?, decoder.get_ref().read),
            Decoder::Zstd(decoder) => (decoder.read(buffer)?, decoder.packed()),
            Decoder::Xz(decoder) => (decoder.read(buffer)?, decoder.inner().read),
            // The decoder returns 0 at the end of each frame.
            Decoder::Lz4(decoder) => loop {
                let before = decoder.get_ref().read;
                let n = decoder.read(buffer)?;
                if n > 0 || decoder.get_ref().read == before {
                    break (n, before);
                }
            },
            Decoder::Bzip2(decoder) => (decoder.read(buffer)?, decoder.get_ref().read),
            Decoder::Zip(decoder) => (decoder.read(buffer)?, decoder.packed()),
        };
        self.written += n as u64;
        if self.written > FREE && self.written / MAX_RATIO > packed {
            return Err(invalid(&format!("expands to more than {MAX_RATIO} times its size: it is no capture")));
        }
        Ok(n)
    }
}

/// Counts what is read of a file.
struct Counted {
    reader: Box<dyn Read>,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.read += n as u64;
        Ok(n)
    }
}

type ZstdFrame = ruzstd::decoding::StreamingDecoder<Peeked, ruzstd::decoding::FrameDecoder>;

/// zstd: one frame after the other.
struct Zstd {
    frame: Option<Box<ZstdFrame>>,
    source: Option<Counted>,
}

/// A source of which the first byte was read already.
struct Peeked {
    first: Option<u8>,
    source: Counted,
}

impl Read for Peeked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (self.first, buffer.first_mut()) {
            (Some(byte), Some(slot)) => {
                *slot = byte;
                self.first = None;
                Ok(1)
            }
            _ => self.source.read(buffer),
        }
    }
}

impl Zstd {
    fn packed(&self) -> u64 {
        let source = self.frame.as_ref().map(|frame| &frame.get_ref().source).or(self.source.as_ref());
        source.map_or(0, |source| source.read)
    }

    /// Begins the next frame; whether there is one.
    fn next_frame(&mut self) -> io::Result<bool> {
        let Some(mut source) = self.source.take() else { return Ok(false) };
        let mut first = [0];
        if source.read(&mut first)? == 0 {
            self.source = Some(source);
            return Ok(false);
        }
        let source = Peeked { first: Some(first[0]), source };
        let frame =
            ZstdFrame::new_with_max_window_size(source, MAX_WINDOW).map_err(|error| invalid(&error.to_string()))?;
        self.frame = Some(Box::new(frame));
        Ok(true)
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let n = frame.read(buffer)?;
                if n > 0 || buffer.is_empty() {
                    return Ok(n);
                }
            }
            if let Some(frame) = self.frame.take() {
                self.source = Some(frame.into_inner().source);
            }
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

/// The only member of a zip file.
struct Zip {
    member: Member,
}

enum Member {
    Deflated(DeflateDecoder<Counted>),
    Stored(io::Take<Counted>),
}

impl Zip {
    /// Reads the local header.
    ///
    /// | offset | bytes | field |
    /// | ---: | ---: | --- |
    /// | 0 | 4 | signature |
    /// | 6 | 2 | flags: bit 0 encrypted, bit 3 sizes follow the data |
    /// | 8 | 2 | method: 0 stored, 8 deflated |
    /// | 18 | 4 | compressed size |
    /// | 26 | 2 | length of the name |
    /// | 28 | 2 | length of the extra field |
    fn open(mut file: Counted) -> io::Result<Self> {
        let mut header = [0; 30];
        file.read_exact(&mut header)?;
        let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let (flags, method) = (number(6), number(8));
        let skip = u64::from(number(26)) + u64::from(number(28));
        io::copy(&mut file.by_ref().take(skip), &mut io::sink())?;
        let size = u64::from(number(18)) | u64::from(number(20)) << 16;
        let member = match method {
            _ if flags & 1 != 0 => return Err(invalid("the zip member is encrypted; unpack it first")),
            8 => Member::Deflated(DeflateDecoder::new(file)),
            0 if flags & 8 == 0 => Member::Stored(file.take(size)),
            method => return Err(invalid(&format!("the zip member has compression method {method}; unpack it first"))),
        };
        Ok(Self { member })
    }

    fn packed(&self) -> u64 {
        match &self.member {
            Member::Deflated(decoder) => decoder.get_ref().read,
            Member::Stored(decoder) => decoder.get_ref().read,
        }
    }
}

impl Read for Zip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.member {
            Member::Deflated(decoder) => decoder.read(buffer),
            Member::Stored(decoder) => decoder.read(buffer),
        }
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zstd frame of blocks that repeat one byte: 128 KiB for each four bytes.
    #[test]
    fn a_file_that_expands_without_end_is_refused() {
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
        for _ in 0..1200 {
            bomb.extend([0x02, 0x00, 0x10, 0x00]);
        }
        let start = bomb[..MAGIC].to_vec();
        assert!(is_packed(&start));
        let mut content = unpack(&start, Box::new(io::Cursor::new(bomb))).unwrap();
        let (mut buffer, mut read) = (vec![0; 1 << 16], 0);
        let error = loop {
            match content.read(&mut buffer) {
                Ok(0) => panic!("it ended after {read} bytes"),
                Ok(n) => read += n as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "expands to more than 4096 times its size: it is no capture");
        assert!(read <= FREE + (1 << 16), "{read}");
    }
}
