//! Oracles: functions that take bytes, give them to a part of the project, and panic if it breaks a promise.
//!
//! A fuzz target is two lines that call one. The same functions run on stable over the committed seeds, over what fuzzing
//! has found, and over bytes that proptest draws. Each takes any bytes: those of the wire, or the *choices* of a generator
//! ([`crate::generate`]), as its documentation says.

#![allow(clippy::missing_panics_doc, reason = "a panic is how an oracle speaks")]

#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "capture")]
pub mod decapsulate;
pub mod endpoints;
pub mod link;
pub mod observer;
#[cfg(feature = "capture")]
pub mod prefaces;
#[cfg(feature = "qmp")]
pub mod qmp;
#[cfg(feature = "qmp")]
pub mod qmp_client;
#[cfg(feature = "qmp")]
pub mod qmp_server;
pub mod sasl;
#[cfg(feature = "capture")]
pub mod tls;
pub mod tracker;
pub mod websocket;

/// An oracle by its name, which is that of its fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    /// The target's name.
    pub name: &'static str,
    /// What its bytes are.
    pub takes: Takes,
    /// The oracle.
    pub run: fn(&[u8]),
}

/// What an oracle's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Bytes of the wire or of a file, so that real ones can be handed in.
    Wire,
    /// Choices of a generator.
    Choices,
}

/// Every oracle that has a fuzz target, as far as this build has the features for it.
pub const ALL: &[Oracle] = &[
    Oracle { name: "link_mess", takes: Takes::Wire, run: link::link_mess },
    Oracle { name: "link_reply", takes: Takes::Wire, run: link::link_reply },
    Oracle { name: "caps", takes: Takes::Wire, run: link::caps },
    Oracle { name: "link_observer", takes: Takes::Wire, run: observer::link_observer },
    Oracle { name: "conversation", takes: Takes::Choices, run: observer::conversation },
    Oracle { name: "acceptor", takes: Takes::Choices, run: endpoints::acceptor },
    Oracle { name: "acceptor_vs_connector", takes: Takes::Choices, run: endpoints::acceptor_vs_connector },
    Oracle { name: "observer_vs_endpoints", takes: Takes::Choices, run: endpoints::observer_vs_endpoints },
    Oracle { name: "tracker_ops", takes: Takes::Choices, run: tracker::tracker_ops },
    Oracle { name: "websocket", takes: Takes::Wire, run: websocket::websocket },
    Oracle { name: "sasl", takes: Takes::Choices, run: sasl::sasl },
    #[cfg(feature = "capture")]
    Oracle { name: "tcp_reassembly", takes: Takes::Choices, run: capture::tcp_reassembly },
    #[cfg(feature = "capture")]
    Oracle { name: "capture_file", takes: Takes::Wire, run: capture::capture_file },
    #[cfg(feature = "capture")]
    Oracle { name: "decapsulate", takes: Takes::Wire, run: decapsulate::decapsulate },
    #[cfg(feature = "capture")]
    Oracle { name: "prefaces", takes: Takes::Wire, run: prefaces::prefaces },
    #[cfg(feature = "capture")]
    Oracle { name: "tls_records", takes: Takes::Wire, run: tls::tls_records },
    #[cfg(feature = "qmp")]
    Oracle { name: "qmp_event", takes: Takes::Wire, run: qmp::qmp_event },
    #[cfg(feature = "qmp")]
    Oracle { name: "qmp_stream", takes: Takes::Wire, run: qmp::qmp_stream },
    #[cfg(feature = "qmp")]
    Oracle { name: "qmp_server_session", takes: Takes::Wire, run: qmp_server::qmp_server_session },
    #[cfg(feature = "qmp")]
    Oracle { name: "qmp_client_conversation", takes: Takes::Wire, run: qmp_client::qmp_client_conversation },
];
