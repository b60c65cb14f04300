use arbitrary::{Arbitrary, Result, Unstructured};

use super::rarely;

/// A WebSocket frame, laid out by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Set on the last frame of a message.
    pub fin: bool,
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// What the payload is combined with; clients must, servers must not.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the length field beyond what its value needs: 0, 2 or 8. RFC 6455 wants the shortest; spice-server takes any.
    pub long: u8,
    /// The bytes, before the mask.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The bytes as they go on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![u8::from(self.fin) << 7 | self.opcode & 0xf];
        let len = self.payload.len();
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(short @ 0..=125), _) if self.long == 0 => out.push(masked | short),
            (_, Ok(short)) if self.long <= 2 => {
                out.push(masked | 0x7e);
                out.extend(short.to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        out.extend(self.mask.iter().flatten());
        let mask = self.mask.unwrap_or_default();
        out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }
}

/// One direction's frames: a stream cut into messages and fragments, with control frames in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames(pub Vec<Frame>);

impl Frames {
    /// The frames that carry this stream. A client's are usually masked.
    pub fn carry(u: &mut Unstructured<'_>, stream: &[u8], client: bool) -> Result<Self> {
        let mut frames = Vec::new();
        let mut rest = stream;
        let mut opcode = 2;
        while !rest.is_empty() {
            let len = if rarely(u, 2)? { u.int_in_range(0..=rest.len())? } else { rest.len() };
            let (payload, behind) = rest.split_at(len);
            let fin = !rarely(u, 4)? || behind.is_empty() || frames.len() > 62;
            let mask = if client && !rarely(u, 8)? { Some(u.arbitrary()?) } else { None };
            let long = if rarely(u, 8)? { *u.choose(&[2, 8])? } else { 0 };
            frames.push(Frame { fin, opcode, mask, long, payload: payload.to_vec() });
            opcode = if fin { 2 } else { 0 };
            rest = behind;
            if rarely(u, 8)? {
                frames.push(Frame { fin: true, opcode: 9, mask, long: 0, payload: u.arbitrary::<[u8; 4]>()?.to_vec() });
            }
            if frames.len() > 64 {
                frames.push(Frame { fin: true, opcode: 2, mask, long, payload: rest.to_vec() });
                break;
            }
        }
        Ok(Self(frames))
    }

    /// The bytes as they go on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(Frame::bytes).collect()
    }

    /// What a reader of the stream gets: the data frames' payload.
    pub fn stream(&self) -> Vec<u8> {
        self.0.iter().filter(|frame| frame.opcode <= 2).flat_map(|frame| frame.payload.clone()).collect()
    }
}

impl<'a> Arbitrary<'a> for Frames {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (client, len) = (u.arbitrary()?, u.int_in_range(0..=300)?);
        let stream: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[0]).collect();
        let mut frames = Self::carry(u, &stream, client)?;
        for frame in &mut frames.0 {
            // Text is data too. Control frames of any kind are skipped.
            if rarely(u, 4)? {
                frame.opcode = if frame.opcode <= 2 { u.int_in_range(0..=2)? } else { u.int_in_range(3..=15)? };
            }
            if rarely(u, 64)? {
                // Only a length field of 8 bytes can hold it.
                frame.payload.resize(*u.choose(&[65_535, 65_536])?, 0xee);
            }
        }
        Ok(frames)
    }
}
