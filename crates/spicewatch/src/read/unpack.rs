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

use flate2::{bufread::DeflateDecoder, read::MultiGzDecoder};
use std::{
    error::Error,
    io::{self, BufReader, Read},
};

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
            Decoder::Gzip(decoder) => {
                let behind = |error: io::Error| match error.kind() {
                    io::ErrorKind::InvalidInput if self.written > 0 => {
                        invalid("what follows the gzip data is not gzip")
                    }
                    _ => error,
                };
                (decoder.read(buffer).map_err(behind)?, decoder.get_ref().read)
            }
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
        let frame = ZstdFrame::new_with_max_window_size(source, MAX_WINDOW).map_err(|error| early_end(&error))?;
        self.frame = Some(Box::new(frame));
        Ok(true)
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let n = frame.read(buffer).map_err(|error| early_end(&error))?;
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
    /// Its size is behind its data.
    has_descriptor: bool,
}

enum Member {
    Deflated(DeflateDecoder<BufReader<Counted>>),
    Stored(io::Take<BufReader<Counted>>),
    /// How many bytes the file has up to its end.
    Ended(u64),
}

/// The header in front of a member.
///
/// | offset | bytes | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | signature |
/// | 6 | 2 | flags: bit 0 encrypted, bit 3 sizes follow the data |
/// | 8 | 2 | method: 0 stored, 8 deflated |
/// | 18 | 4 | compressed size |
/// | 26 | 2 | length of the name |
/// | 28 | 2 | length of the extra field |
struct LocalHeader {
    flags: u16,
    method: u16,
    size: u64,
    name: Vec<u8>,
    extra: u64,
}

impl LocalHeader {
    const SIGNATURE: &[u8] = b"PK\x03\x04";

    /// `None` if there is another structure, or nothing.
    fn read(mut file: impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; 30];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        if !header.starts_with(Self::SIGNATURE) {
            return Ok(None);
        }
        let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let mut name = vec![0; number(26).into()];
        file.read_exact(&mut name)?;
        let size = u64::from(number(18)) | u64::from(number(20)) << 16;
        Ok(Some(Self { flags: number(6), method: number(8), size, name, extra: number(28).into() }))
    }

    /// Folders, and what macOS adds.
    fn is_no_file(&self) -> bool {
        self.name.ends_with(b"/") || self.name.starts_with(b"__MACOSX/")
    }
}

impl Zip {
    fn open(file: Counted) -> io::Result<Self> {
        let mut file = BufReader::new(file);
        loop {
            let Some(header) = LocalHeader::read(&mut file)? else { return Err(invalid("the zip file has no member")) };
            let LocalHeader { flags, method, size, extra, .. } = header;
            io::copy(&mut file.by_ref().take(extra), &mut io::sink())?;
            let has_descriptor = flags & 8 != 0;
            if header.is_no_file() && !has_descriptor {
                io::copy(&mut file.by_ref().take(size), &mut io::sink())?;
                continue;
            }
            let member = match method {
                _ if flags & 1 != 0 => return Err(invalid("the zip member is encrypted; unpack it first")),
                8 => Member::Deflated(DeflateDecoder::new(file)),
                0 if !has_descriptor => Member::Stored(file.take(size)),
                method => {
                    return Err(invalid(&format!("the zip member has compression method {method}; unpack it first")));
                }
            };
            return Ok(Self { member, has_descriptor });
        }
    }

    fn packed(&self) -> u64 {
        match &self.member {
            Member::Deflated(decoder) => decoder.get_ref().get_ref().read,
            Member::Stored(member) => member.get_ref().get_ref().read,
            Member::Ended(read) => *read,
        }
    }

    /// Looks for another member behind the one that has ended.
    fn end(&mut self) -> io::Result<()> {
        // signature 4, which may be left out, CRC 4, two sizes of 4 or 8
        const DESCRIPTORS: [usize; 4] = [12, 16, 20, 24];
        let packed = self.packed();
        let mut file = match std::mem::replace(&mut self.member, Member::Ended(packed)) {
            Member::Deflated(decoder) => decoder.into_inner(),
            Member::Stored(member) => member.into_inner(),
            Member::Ended(_) => return Ok(()),
        };
        let mut rest = Vec::new();
        file.by_ref().take(MAX_REST).read_to_end(&mut rest)?;
        let places = if self.has_descriptor { &DESCRIPTORS[..] } else { &[0] };
        let next = places.iter().filter_map(|&at| rest.get(at..)).find(|rest| rest.starts_with(LocalHeader::SIGNATURE));
        match next.map(LocalHeader::read).transpose()?.flatten() {
            Some(next) if !next.is_no_file() => Err(invalid(&format!(
                "the zip file has another member, {}, which was not read; unpack it first",
                String::from_utf8_lossy(&next.name)
            ))),
            _ => Ok(()),
        }
    }
}

/// A data descriptor, and a header with the longest name.
const MAX_REST: u64 = 24 + 30 + 0xffff;

impl Read for Zip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.member {
            Member::Deflated(decoder) => decoder.read(buffer)?,
            Member::Stored(member) => member.read(buffer)?,
            Member::Ended(_) => return Ok(0),
        };
        if n == 0 && !buffer.is_empty() {
            self.end()?;
        }
        Ok(n)
    }
}

/// ruzstd wraps the end of the file in errors of its own.
fn early_end(error: &dyn Error) -> io::Error {
    let text = format!("{error:?}");
    if text.contains("UnexpectedEof") {
        return io::Error::new(io::ErrorKind::UnexpectedEof, "the zstd frame is not complete");
    }
    invalid(&error.to_string())
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

    /// A zip file of stored members, or of deflated ones with their sizes behind them.
    fn zip(members: &[(&str, &[u8])], deflates: bool) -> Vec<u8> {
        let mut zip = Vec::new();
        for (name, content) in members {
            let (flags, method): (u16, u16) = if deflates { (8, 8) } else { (0, 0) };
            let size = if deflates { 0 } else { u32::try_from(content.len()).unwrap() };
            zip.extend(LocalHeader::SIGNATURE);
            zip.extend([[20, 0], flags.to_le_bytes(), method.to_le_bytes(), [0; 2], [0; 2]].concat());
            zip.extend([[0; 4], size.to_le_bytes(), size.to_le_bytes()].concat());
            zip.extend([u16::try_from(name.len()).unwrap().to_le_bytes(), [2, 0]].concat());
            zip.extend([name.as_bytes(), b"xx"].concat());
            if deflates {
                let mut encoder = flate2::read::DeflateEncoder::new(*content, flate2::Compression::fast());
                encoder.read_to_end(&mut zip).unwrap();
                zip.extend(b"PK\x07\x08............");
            } else {
                zip.extend(*content);
            }
        }
        zip.extend(b"PK\x01\x02 and so on");
        zip
    }

    #[test]
    fn a_zip_file_with_another_member_is_refused_after_its_first() {
        let capture = ("session.pcap", &b"content"[..]);
        for (members, error) in [
            (&[capture][..], None),
            (&[("folder/", b""), capture], None),
            (&[capture, ("__MACOSX/._session.pcap", b"junk")], None),
            (
                &[capture, ("b.pcap", b"more")],
                Some("the zip file has another member, b.pcap, which was not read; unpack it first"),
            ),
        ] {
            for deflates in [false, true] {
                // The size of a folder is not behind it.
                if deflates && members[0] != capture {
                    continue;
                }
                let zip = zip(members, deflates);
                let mut content = unpack(&zip[..MAGIC], Box::new(io::Cursor::new(zip.clone()))).unwrap();
                let mut read = Vec::new();
                let result = content.read_to_end(&mut read);
                assert_eq!(read, b"content", "{members:?}, {deflates}");
                assert_eq!(result.err().map(|error| error.to_string()).as_deref(), error, "{members:?}, {deflates}");
            }
        }
    }
}
