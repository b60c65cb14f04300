//! The framing of a SASL exchange inside the link stage. It has no message headers, only length words, data and a flag. This crate
//! skips the data by its length and never keeps it. Source: spice-server, `red-stream.cpp`, `red_sasl_*`.
//!
//! | | from | bytes |
//! | ---: | --- | --- |
//! | 1 | client | u32 = 2, the mechanism word |
//! | 2 | server | u32 length, the list of mechanisms (`,DIGEST-MD5,` since 0.14.1) |
//! | 3 | client | u32 length 1…[`MAX_NAME`], the mechanism's name |
//! | 4 | client | u32 length 0…[`MAX_DATA`], the first data |
//! | 5 | server | u32 length, data, then u8: 0 continue, 1 complete |
//! | 6 | client | after a 0: as 4, then 5 again |
//! | 7 | server | after a 1: u32 0 = accepted; or u32 1, u32 length, text, close |
//! | 8 | server | u32 link result, inside the security layer where one was negotiated |
//!
//! A connection without TLS always has a security layer from step 8 on, in both directions: frames of a *big-endian* u32 length
//! and that many bytes. The result is then encrypted and can't be read.

/// The longest mechanism name, in bytes (`SASL_MAX_MECHNAME_LEN`).
pub const MAX_NAME: u32 = 100;
/// The most data in one step, in bytes (`SASL_DATA_MAX_LEN`).
pub const MAX_DATA: u32 = 1024 * 1024;
/// The largest accepted frame of a security layer, in bytes. This crate's own bound: mechanisms negotiate at most 16 MiB − 1.
pub const MAX_LAYER_FRAME: u32 = (1 << 24) - 1;

/// What the four bytes after an accepted exchange are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AfterAccept {
    /// The link result in clear: no security layer.
    Result(crate::LinkErrorCode),
    /// The big-endian length of a security layer's first frame, in bytes.
    Layer(u32),
}

impl AfterAccept {
    /// Distinguishes the two. A result is a small little-endian number: its last three bytes are zero. The length of a frame is a
    /// big-endian number below 2²⁴ and not 0: its first byte is zero and another one is not.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        match bytes {
            [_, 0, 0, 0] => Self::Result(crate::LinkErrorCode(bytes[0] as u32)),
            _ => Self::Layer(u32::from_be_bytes(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkErrorCode;

    #[test]
    fn result_and_frame_are_distinguished() {
        for code in LinkErrorCode::ALL {
            assert_eq!(AfterAccept::from_bytes(code.0.to_le_bytes()), AfterAccept::Result(*code));
        }
        for length in [1, 20, 255, 256, MAX_LAYER_FRAME] {
            assert_eq!(AfterAccept::from_bytes(length.to_be_bytes()), AfterAccept::Layer(length));
        }
    }
}
