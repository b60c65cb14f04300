//! A relay that prints the events of a SPICE server as QEMU would: `cargo run --example print_events -- LISTEN UPSTREAM`
//!
//! For example `:5900 127.0.0.1:5930` or `unix:/tmp/vm.spice unix:/run/vm.spice`. Ctrl-C shuts it down gracefully.

use std::{error::Error, sync::Arc, time::Duration};

use spice_relay::{
    Relay,
    observe::{EventObserver, EventSink},
    spice_events::{Anomaly, ChannelEvent, Config},
};

/// Prints events to stdout, and anomalies to stderr.
struct Print;

impl EventSink for Print {
    fn event(&self, event: &ChannelEvent) {
        println!("{event}");
    }

    fn anomaly(&self, anomaly: &Anomaly) {
        eprintln!("{anomaly}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("expected two addresses: the one to listen on, and the SPICE server's".into());
    };
    let relay = Relay::builder(upstream.parse::<spice_relay::net::NetAddress>()?).listen(listen.parse()?).bind()?;
    let mut relay = relay.start(Arc::new(EventObserver::new(Config::new(), Print)))?;
    tokio::signal::ctrl_c().await?;
    let left = relay.drain(Duration::from_secs(10)).await;
    eprintln!("{left} connections were still open");
    Ok(())
}
