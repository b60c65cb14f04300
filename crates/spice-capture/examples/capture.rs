//! Prints the events of a capture, one in each line: `cargo run --example capture -- FILE [PORT ...]`
//!
//! Every connection to one of the ports counts as SPICE. Without ports, connections are recognised by their first bytes.
//! `examples/main-channel.pcap` is a file to try it with.

use spice_capture::{Capture, Config, Output};
use std::{error::Error, fs::File, io::Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("expected a capture file")?;
    let mut config = Config::new();
    for port in args {
        config = config.port(port.parse()?);
    }
    let mut out = std::io::stdout().lock();
    let mut line = Vec::new();
    let mut written = Ok(());
    let counters = Capture::new(config).read(File::open(path)?, |output| match output {
        Output::Event(event) if written.is_ok() => {
            line.clear();
            event.write_to(&mut line);
            line.push(b'\n');
            written = out.write_all(&line);
        }
        Output::Event(_) => {}
        other => eprintln!("{other}"),
    })?;
    written?;
    eprintln!("{} packets, {} connections, {} events", counters.packets, counters.connections, counters.events);
    Ok(())
}
