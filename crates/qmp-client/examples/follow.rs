//! Prints the events of a QEMU across its restarts: `cargo run --example follow -- unix:/run/vm.qmp`.

use qmp_client::{EventStream, Options, Update};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: follow unix:PATH | tcp:HOST:PORT")?;
    let mut events = EventStream::new(address.parse()?, Options::default());
    loop {
        match events.next().await {
            Update::Connected { version, may_have_missed: true } => {
                println!("connected to {version}; events may be missing");
            }
            Update::Connected { version, .. } => println!("connected to {version}"),
            Update::Spice(Some(spice)) => println!("{} channels", spice.channels.map_or(0, |channels| channels.len())),
            Update::Spice(None) => println!("no SPICE server"),
            Update::Event(event) => println!("{event}"),
            Update::Disconnected { error, retry_in } => println!("disconnected: {error}; retry in {retry_in:?}"),
            _ => {}
        }
    }
}
