//! The code points of the link stage.

use crate::open_code::open_code;

open_code! {
    /// `SPICE_CHANNEL_*` of spice-protocol's enums.h: byte 4 of the link message.
    ChannelType(u8) {
        /// The session itself: mouse mode, agent, migration, and the list of the other channels.
        MAIN = 1, "main";
        /// Drawing commands, streams, surfaces.
        DISPLAY = 2, "display";
        /// Keyboard and mouse.
        INPUTS = 3, "inputs";
        /// The pointer's shape and position.
        CURSOR = 4, "cursor";
        /// Sound to the client.
        PLAYBACK = 5, "playback";
        /// Sound from the client.
        RECORD = 6, "record";
        /// Obsolete since spice-server 0.12.
        TUNNEL = 7, "tunnel";
        /// A smart-card reader.
        SMARTCARD = 8, "smartcard";
        /// One redirected USB device.
        USBREDIR = 9, "usbredir";
        /// A named byte stream.
        PORT = 10, "port";
        /// A folder that the client shares over WebDAV.
        WEBDAV = 11, "webdav";
    }
}

open_code! {
    /// `SPICE_LINK_ERR_*` of spice-protocol's enums.h: the `error` field of a [`LinkReply`](crate::LinkReply) and the link result.
    LinkErrorCode(u32) {
        /// Success.
        OK = 0, "ok";
        /// spice-server never sends this value as a link error. The word that refuses a SASL exchange has it.
        ERROR = 1, "error";
        /// The first four bytes are not `REDQ`.
        INVALID_MAGIC = 2, "invalid magic";
        /// Sizes, counts or offsets that do not fit each other, or an unknown auth mechanism.
        INVALID_DATA = 3, "invalid data";
        /// The major version is not 2.
        VERSION_MISMATCH = 4, "version mismatch";
        /// The channel requires TLS.
        NEED_SECURED = 5, "need secured";
        /// The channel requires a connection without TLS.
        NEED_UNSECURED = 6, "need unsecured";
        /// The server refused the ticket.
        PERMISSION_DENIED = 7, "permission denied";
        /// No session has the connection id of the link message.
        BAD_CONNECTION_ID = 8, "bad connection id";
        /// The channel disappeared between the reply and the result.
        CHANNEL_NOT_AVAILABLE = 9, "channel not available";
    }
}

open_code! {
    /// `SPICE_COMMON_CAP_AUTH_*`: the four bytes that a client with `AUTH_SELECTION` sends after the reply.
    AuthMechanism(u32) {
        /// A ticket: the password, encrypted with the reply's RSA key.
        SPICE = 1, "spice";
        /// A SASL exchange.
        SASL = 2, "sasl";
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::ToString};

    #[test]
    fn code_prints_its_name_or_its_number() {
        assert_eq!(format!("{} {:?}", ChannelType::INPUTS, ChannelType::INPUTS), "inputs ChannelType(3 inputs)");
        assert_eq!(format!("{} {:?}", ChannelType(99), ChannelType(99)), "99 ChannelType(99)");
        assert_eq!(format!("{:<9}|{:>4}", ChannelType::MAIN, ChannelType(99)), "main     |  99");
        assert_eq!(LinkErrorCode(7), LinkErrorCode::PERMISSION_DENIED);
        assert_eq!(ChannelType::ALL.len(), 11);
    }

    #[test]
    fn code_is_read_from_its_name_or_its_number() {
        for value in 0..=u8::MAX {
            assert_eq!(ChannelType(value).to_string().parse(), Ok(ChannelType(value)));
        }
        assert_eq!("2".parse(), Ok(ChannelType::DISPLAY));
        assert_eq!("bad connection id".parse(), Ok(LinkErrorCode::BAD_CONNECTION_ID));
        for text in ["", "Main", "256", "-1"] {
            assert!(text.parse::<ChannelType>().is_err(), "{text}");
        }
        assert_eq!("tls".parse::<AuthMechanism>().unwrap_err().to_string(), "expected spice, sasl, or a number");
    }
}
