//! Hunts for messages that a server answers wrongly, and prints the findings: `cargo run --example hunt [HOST:PORT]`
//!
//! Without an address the server is a function: spice-link's acceptor, which here forgets the upper bound of a message's size. Put
//! your own server in its place.

use spice_testkit::{
    hunt::{Answered, Hunt, OverTcp},
    model::ModelHost,
    spice_link::LinkAcceptor,
};
use std::{error::Error, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let hunt = Hunt::new().cases(2000);
    let report = match std::env::args().nth(1) {
        Some(address) => hunt.run(OverTcp::new(address.parse()?)?)?,
        None => hunt.run(|bytes: &[u8]| Ok(my_server(bytes)))?,
    };
    for finding in &report.findings {
        println!("{finding}\n");
    }
    println!("{} messages, {} kinds of findings", report.asked, report.findings.len());
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Answers the first message of a client that then sends no more.
fn my_server(bytes: &[u8]) -> Answered {
    let size = bytes.get(12..16).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    if bytes.starts_with(b"REDQ\x02\0\0\0") && size > 4096 {
        // Waits for a message that is too long.
        return Answered::default();
    }
    let (mut host, mut out) = (ModelHost::new(&[]), [0; 1024]);
    let turn = LinkAcceptor::new().read(&mut host, bytes, &mut out);
    Answered::from(out[..turn.written].to_vec())
}
