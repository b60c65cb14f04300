//! Who is connected to a QEMU: reads the lines of its QMP socket from standard input, and prints a line for each session
//! that starts or ends: `cargo run --example who < events.qmp`

use std::{
    error::Error,
    io::{self, BufRead as _},
    time::SystemTime,
};

use spice_events::qmp_schema::{self, EventMessage};
use spice_sessions::{Config, Input, QmpEvents, Record, Sessions, Source, VmId};

fn main() -> Result<(), Box<dyn Error>> {
    // Ids are only as unique as the seed: a program that keeps records takes 16 random bytes.
    let mut sessions = Sessions::new(Config::new(Source::Follow, [0; 16]));
    let mut qemu = QmpEvents::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let now = SystemTime::now().into();
        // Greetings, answers, and lines that are no JSON.
        let Ok(message) = qmp_schema::from_slice::<EventMessage<'_>>(line.as_bytes()) else { continue };
        for event in qemu.handle(now, &message) {
            sessions.handle(event.at, VmId::default(), Input::Event(&event));
        }
        print(&mut sessions);
    }
    sessions.flush();
    print(&mut sessions);
    for record in sessions.live(SystemTime::now().into()) {
        println!("still connected: {}", client(&record));
    }
    Ok(())
}

fn print(sessions: &mut Sessions) {
    while let Some(record) = sessions.poll() {
        let reason = record.event.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        println!("{:?}: {}{reason}", record.event.action, client(&record));
    }
}

fn client(record: &Record) -> String {
    record.client.address.clone().unwrap_or_else(|| "a local client".to_owned())
}
