//! A TCP proxy that prints a SPICE server's events as QEMU would: `cargo run --example proxy -- LISTEN UPSTREAM`
//!
//! It shows what the tracker needs: when a connection was accepted, the bytes of both directions, and when the server closed. It uses
//! two threads for each connection and has no limits; the crate `spice-relay` has a relay for production.

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Mutex,
    thread,
    time::SystemTime,
};

use spice_events::{Config, Endpoints, FlowId, Input, Output, Side, Tracker};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("expected two addresses: where to listen, and the SPICE server's".into());
    };
    let listener = TcpListener::bind(listen)?;
    let watch = Watch(Mutex::new(Tracker::new(Config::new())));
    thread::scope(|scope| {
        for (id, client) in (1..).zip(listener.incoming()) {
            let client = client?;
            let (watch, upstream) = (&watch, &upstream);
            scope.spawn(move || {
                if let Err(error) = serve(watch, FlowId(id), &client, upstream) {
                    eprintln!("connection {id}: {error}");
                }
            });
        }
        Ok(())
    })
}

/// One connection, from accept to its last byte.
fn serve(watch: &Watch, flow: FlowId, client: &TcpStream, upstream: &str) -> io::Result<()> {
    let endpoints = Endpoints { server: client.local_addr()?, client: client.peer_addr()? }.into();
    watch.tell(flow, Input::Opened { endpoints, tls: false, readable: true });
    let over = || watch.tell(flow, Input::Closed { by: Some(Side::Server) });
    let server = TcpStream::connect(upstream).inspect_err(|_| over())?;
    thread::scope(|scope| {
        let up =
            scope.spawn(|| copy(client, &server, |data| watch.tell(flow, Input::Bytes { from: Side::Client, data })));
        let down = copy(&server, client, |data| watch.tell(flow, Input::Bytes { from: Side::Server, data }));
        // QEMU sends SPICE_DISCONNECTED when it closes the socket, whatever the client still does.
        over();
        let up = up.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
        down.and(up)
    })
}

/// Copies one direction to its end. The bytes are forwarded before they are shown, so that the tracker delays nothing.
fn copy(mut from: &TcpStream, mut to: &TcpStream, show: impl Fn(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer).and_then(|read| to.write_all(&buffer[..read]).map(|()| read)) {
            Ok(0) => {
                // The peer may be gone already.
                let _ = to.shutdown(Shutdown::Write);
                return Ok(());
            }
            Ok(read) => show(&buffer[..read]),
            Err(error) => {
                // The other direction ends with this one.
                for end in [from, to] {
                    let _ = end.shutdown(Shutdown::Both);
                }
                return Err(error);
            }
        }
    }
}

/// The tracker with a clock.
struct Watch(Mutex<Tracker>);

impl Watch {
    fn tell(&self, flow: FlowId, input: Input<'_>) {
        let Ok(mut tracker) = self.0.lock() else { return };
        tracker.handle(SystemTime::now().into(), flow, input);
        while let Some(output) = tracker.poll() {
            match output {
                Output::Event(event) => println!("{event}"),
                Output::Anomaly(anomaly) => eprintln!("{anomaly}"),
            }
        }
    }
}
