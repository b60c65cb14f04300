//! The capabilities' numbers and names, from spice-protocol's protocol.h.

use core::fmt;

use crate::{
    ChannelType,
    caps::{Capability, ChannelList, CommonList},
    open_code::open_code,
};

/// An open code that is a capability of the given list.
macro_rules! capabilities {
    ($($list:ident: $(#[$doc:meta])* $type:ident { $($(#[$bit_doc:meta])* $name:ident = $bit:literal;)+ })+) => {
        $(
            open_code! { $(#[$doc])* $type(u32) { $($(#[$bit_doc])* $name = $bit;)+ } }

            impl crate::caps::sealed::Sealed for $type {}

            impl Capability for $type {
                type List = $list;

                fn bit(self) -> u32 {
                    self.0
                }
            }
        )+
    };
}

capabilities! {
    CommonList:
    /// A capability of the common list: what an end supports in the link stage itself.
    CommonCap {
        /// The client names its auth mechanism after the reply.
        AUTH_SELECTION = 0;
        /// Tickets.
        AUTH_SPICE = 1;
        /// SASL.
        AUTH_SASL = 2;
        /// Data headers of six bytes instead of eighteen.
        MINI_HEADER = 3;
    }

    ChannelList:
    /// A capability of [`ChannelType::MAIN`].
    MainCap {
        /// The client can be moved to another host while connected.
        SEMI_SEAMLESS_MIGRATE = 0;
        /// The server sends the VM's name and UUID.
        NAME_AND_UUID = 1;
        /// Agent tokens come with the connected message.
        AGENT_CONNECTED_TOKENS = 2;
        /// Migration that carries the channels' state.
        SEAMLESS_MIGRATE = 3;
    }

    ChannelList:
    /// A capability of [`ChannelType::DISPLAY`].
    DisplayCap {
        /// Streams whose frames differ in size.
        SIZED_STREAM = 0;
        /// Several monitors on one surface.
        MONITORS_CONFIG = 1;
        /// Composite drawing.
        COMPOSITE = 2;
        /// Surfaces of eight bits of alpha.
        A8_SURFACE = 3;
        /// The client reports on streams.
        STREAM_REPORT = 4;
        /// LZ4 images.
        LZ4_COMPRESSION = 5;
        /// The client names the compression that it prefers.
        PREF_COMPRESSION = 6;
        /// Scanouts by a file descriptor.
        GL_SCANOUT = 7;
        /// More codecs than MJPEG.
        MULTI_CODEC = 8;
        /// MJPEG.
        CODEC_MJPEG = 9;
        /// VP8.
        CODEC_VP8 = 10;
        /// H.264.
        CODEC_H264 = 11;
        /// The client names the codecs that it prefers.
        PREF_VIDEO_CODEC_TYPE = 12;
        /// VP9.
        CODEC_VP9 = 13;
        /// H.265.
        CODEC_H265 = 14;
        /// Scanouts with a modifier and several planes (spice-protocol 0.14.5, spice-server 0.16).
        GL_SCANOUT2 = 15;
    }

    ChannelList:
    /// A capability of [`ChannelType::INPUTS`].
    InputsCap {
        /// Raw scan codes.
        KEY_SCANCODE = 0;
    }

    ChannelList:
    /// A capability of [`ChannelType::PLAYBACK`].
    PlaybackCap {
        /// CELT 0.5.1.
        CELT_0_5_1 = 0;
        /// Volume messages.
        VOLUME = 1;
        /// Latency messages.
        LATENCY = 2;
        /// Opus.
        OPUS = 3;
    }

    ChannelList:
    /// A capability of [`ChannelType::RECORD`].
    RecordCap {
        /// CELT 0.5.1.
        CELT_0_5_1 = 0;
        /// Volume messages.
        VOLUME = 1;
        /// Opus.
        OPUS = 2;
    }

    ChannelList:
    /// A capability of [`ChannelType::USBREDIR`], [`PORT`](ChannelType::PORT) and [`WEBDAV`](ChannelType::WEBDAV), which
    /// spice-server implements as one kind of channel.
    SpicevmcCap {
        /// The data is compressed with LZ4.
        DATA_COMPRESS_LZ4 = 0;
    }
}

/// A capability of a channel's own list, with the channel type that gives the number its meaning. Prints its name, or its number
/// where it has none.
///
/// ```
/// use spice_link::{ChannelType, DisplayCap, caps::CapsBuf};
/// let caps = CapsBuf::<_, 1>::new().with(DisplayCap::COMPOSITE).with(DisplayCap(31));
/// let names: Vec<_> = caps.as_caps().named(ChannelType::DISPLAY).map(|cap| cap.to_string()).collect();
/// assert_eq!(names, ["COMPOSITE", "31"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelCap {
    /// The kind of channel.
    pub channel_type: ChannelType,
    /// The capability's number.
    pub bit: u32,
}

impl ChannelCap {
    /// The name in the protocol's own spelling, if the capability has one.
    pub const fn name(self) -> Option<&'static str> {
        self.channel_type.capability_name(self.bit)
    }
}

impl fmt::Display for ChannelCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.bit, f),
        }
    }
}

impl ChannelType {
    /// The name of capability `bit` of this channel's own list, if it has one.
    pub const fn capability_name(self, bit: u32) -> Option<&'static str> {
        match self {
            Self::MAIN => MainCap(bit).name(),
            Self::DISPLAY => DisplayCap(bit).name(),
            Self::INPUTS => InputsCap(bit).name(),
            Self::PLAYBACK => PlaybackCap(bit).name(),
            Self::RECORD => RecordCap(bit).name(),
            Self::USBREDIR | Self::PORT | Self::WEBDAV => SpicevmcCap(bit).name(),
            _ => None,
        }
    }

    /// Every capability with a name that this channel's own list can have, in ascending order.
    pub fn capabilities(self) -> impl Iterator<Item = ChannelCap> {
        // The protocol numbers them without gaps.
        (0..).map(move |bit| ChannelCap { channel_type: self, bit }).take_while(|cap| cap.name().is_some())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn names_depend_on_the_channel() {
        assert_eq!(CommonCap(3).name(), Some("MINI_HEADER"));
        assert_eq!(ChannelType::PLAYBACK.capability_name(2), Some("LATENCY"));
        assert_eq!(ChannelType::RECORD.capability_name(2), Some("OPUS"));
        assert_eq!(ChannelType::CURSOR.capability_name(0), None);
        assert_eq!(ChannelType::DISPLAY.capability_name(12), Some("PREF_VIDEO_CODEC_TYPE"));
        assert_eq!("NAME_AND_UUID".parse(), Ok(MainCap::NAME_AND_UUID));
    }

    #[test]
    fn capabilities_of_a_channel_are_numbered_without_gaps() {
        let counts = ChannelType::ALL.iter().map(|channel| channel.capabilities().count()).collect::<Vec<_>>();
        let [main, display, inputs, playback, record, vmc] = [
            MainCap::ALL.len(),
            DisplayCap::ALL.len(),
            InputsCap::ALL.len(),
            PlaybackCap::ALL.len(),
            RecordCap::ALL.len(),
            SpicevmcCap::ALL.len(),
        ];
        assert_eq!(counts, [main, display, inputs, 0, playback, record, 0, 0, vmc, vmc, vmc]);
    }
}
