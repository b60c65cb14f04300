//! Prints the events of a QMP socket, or of a file on standard input, as types.
//!
//! ```sh
//! cargo run --example events -- /run/vm.qmp       # QEMU: -qmp unix:/run/vm.qmp,server=on,wait=off
//! cargo run --example events < recorded.qmp
//! ```

use std::{
    io::{self, Read},
    process::ExitCode,
};

use qmp_schema::{Event, EventMessage, Message, io::Messages};

fn main() -> ExitCode {
    let result = match std::env::args().nth(1) {
        None => print(io::stdin().lock()),
        Some(path) => connect(&path).and_then(print),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
fn connect(path: &str) -> io::Result<impl Read + use<>> {
    use io::Write as _;
    use qmp_schema::{Command, Encode as _};

    let mut socket = std::os::unix::net::UnixStream::connect(path)?;
    // Before this, QEMU sends no events.
    socket.write_all(&Command::new("qmp_capabilities").to_vec())?;
    Ok(socket)
}

#[cfg(not(unix))]
fn connect(_: &str) -> io::Result<io::Empty> {
    Err(io::ErrorKind::Unsupported.into())
}

fn print(input: impl Read) -> io::Result<()> {
    for message in Messages::new(input) {
        match message? {
            Ok(Message::Event(message)) => println!("{}", line(&message)),
            Ok(Message::Greeting(greeting)) => eprintln!("QEMU {}", greeting.version.qemu.major),
            Ok(Message::Error(error)) => eprintln!("{error}"),
            Ok(Message::Return(_) | Message::Other(_)) => {}
            // The stream goes on behind what could not be read.
            Err(error) => eprintln!("skipped: {error}"),
        }
    }
    Ok(())
}

fn line(message: &EventMessage<'_>) -> String {
    let seconds = message.timestamp.map_or(0, |at| at.seconds);
    let what = match &message.event {
        Event::SpiceInitialized(spice) => {
            let client = &spice.client;
            format!("channel {} of session {} from {}", client.channel_type, client.connection_id, client.host)
        }
        Event::Shutdown(shutdown) => match &shutdown.reason {
            Some(reason) => format!("shut down: {reason}"),
            None => "shut down".to_owned(),
        },
        Event::Other(other) => format!("{}: not typed, {}", other.name, other.reason),
        event => format!("{event:?}"),
    };
    format!("{seconds} {what}")
}
