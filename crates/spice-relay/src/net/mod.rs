//! Addresses, listeners, sockets, the PROXY protocol and TLS.

mod accept_failures;
mod address;
pub(crate) mod http_connect;
mod listen;
mod network;
pub mod proxy_protocol;
mod socket;
pub mod tls;

pub use address::{NetAddress, check_socket_path};
pub use listen::{Accepted, Listener, bind_each};
pub use network::Network;
pub use socket::{PeerEnd, Socket, TcpOptions, Transport};
