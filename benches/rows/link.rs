//! Parsing and encoding messages of the link stage.

use std::hint::black_box;

use spice_link::{CapsBuf, ChannelType, LinkMess};

use crate::{Row, bytes::display_mess};

/// Parses the client's header and link message, 42 bytes in one piece.
pub(crate) fn parse() -> Row {
    let bytes = display_mess();
    let row = Row::new("parse header + mess")
        .by("spice-link", move || black_box(&LinkMess::parse(black_box(&bytes))).is_ok())
        // A lower limit for every parser: read the fields, after one check of the length.
        .by("fields by hand", move || {
            let bytes: &[u8; 42] = black_box(&bytes[..]).try_into().ok()?;
            let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            Some((word(0), word(4), word(12), word(16), bytes[20], bytes[21], word(22), word(26), word(30)))
        });
    #[cfg(feature = "peers")]
    let row = {
        use shakenfist_spice_protocol::link::SpiceLinkMess;
        assert!(SpiceLinkMess::parse(&bytes).is_ok(), "it is the work that is timed, not a refusal");
        row.by("shakenfist-spice-protocol", move || SpiceLinkMess::parse(black_box(&bytes)))
    };
    row
}

/// Encodes the same message.
pub(crate) fn encode() -> Row {
    let (common, channel) = (CapsBuf::<_, 1>::from_words([0x9]), CapsBuf::<_, 1>::from_words([0x1052]));
    let mut out = [0; 42];
    let row = Row::new("write header + mess").by("spice-link", move || {
        let (common_caps, channel_caps) = (black_box(&common).as_caps(), black_box(&channel).as_caps());
        let mess = LinkMess {
            connection_id: black_box(0xa345_6789),
            channel_type: ChannelType::DISPLAY,
            channel_id: 1,
            common_caps,
            channel_caps,
        };
        let written = mess.encode(&mut out);
        black_box(&out);
        written
    });
    #[cfg(feature = "peers")]
    let row = row.by("shakenfist-spice-protocol", {
        let mess = shakenfist_spice_protocol::link::SpiceLinkMess::parse(&display_mess()).expect("a message like any");
        move || black_box(&mess).serialize()
    });
    row
}
