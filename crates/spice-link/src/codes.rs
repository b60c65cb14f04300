//! The code points of the link stage. What a peer sends is an open number with named constants, never an enum:
//! a value that nobody knows yet is carried on, and only printed differently.

use core::fmt;

/// An open code: the constants, `name()`, `ALL`, and a `Debug`/`Display` that show the name, or the number where there is none.
macro_rules! open_code {
    ($(#[$doc:meta])* $type:ident($int:ty) { $($(#[$const_doc:meta])* $const:ident = $value:literal, $name:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub $int);

        impl $type {
            $($(#[$const_doc])* pub const $const: Self = Self($value);)+

            /// Every value that has a name here.
            pub const ALL: &'static [Self] = &[$(Self::$const),+];

            /// The name in the protocol's own spelling, where the value has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({}"), self.0)?;
                match self.name() {
                    Some(name) => write!(f, " {name})"),
                    None => f.write_str(")"),
                }
            }
        }
    };
}

open_code! {
    /// `SPICE_CHANNEL_*` of spice-protocol's enums.h: byte 4 of the link message.
    ChannelType(u8) {
        /// The session itself: mouse mode, agent, migration, and the list of the other channels.
        MAIN = 1, "main";
        /// Drawing commands, streams, surfaces.
        DISPLAY = 2, "display";
        /// Keyboard and mouse.
        INPUTS = 3, "inputs";
        /// The pointer's shape and place.
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
        /// A folder that is shared over WebDAV.
        WEBDAV = 11, "webdav";
    }
}

open_code! {
    /// `SPICE_LINK_ERR_*` of spice-protocol's enums.h: the `error` field of a [`LinkReply`](crate::LinkReply) and the link result.
    LinkErrorCode(u32) {
        /// Success.
        OK = 0, "ok";
        /// spice-server never sends it as a link error; a refused SASL exchange starts with this value.
        ERROR = 1, "error";
        /// The first four bytes are not `REDQ`.
        INVALID_MAGIC = 2, "invalid magic";
        /// Sizes, counts or offsets that do not fit, or an unknown auth mechanism.
        INVALID_DATA = 3, "invalid data";
        /// The major version is not 2.
        VERSION_MISMATCH = 4, "version mismatch";
        /// The channel wants TLS.
        NEED_SECURED = 5, "need secured";
        /// The channel wants no TLS.
        NEED_UNSECURED = 6, "need unsecured";
        /// The ticket was refused.
        PERMISSION_DENIED = 7, "permission denied";
        /// No session has the connection id of the link message.
        BAD_CONNECTION_ID = 8, "bad connection id";
        /// The channel went away between the reply and the result.
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
    use std::format;

    #[test]
    fn a_code_prints_its_name_or_its_number() {
        assert_eq!(format!("{} {:?}", ChannelType::INPUTS, ChannelType::INPUTS), "inputs ChannelType(3 inputs)");
        assert_eq!(format!("{} {:?}", ChannelType(99), ChannelType(99)), "99 ChannelType(99)");
        assert_eq!(LinkErrorCode(7), LinkErrorCode::PERMISSION_DENIED);
        assert_eq!(ChannelType::ALL.len(), 11);
    }
}
