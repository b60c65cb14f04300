//! A machine's QMP socket in a page: `cargo run --example minimal -- /tmp/vm.qmp`, then `qmp-shell /tmp/vm.qmp`.
//!
//! The machine can be stopped and continued. It tells its listeners so in events, as QEMU does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use qmp_server::qmp_schema::Event;
use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, EventInfo, EventMessage, Listener, Object, Server, Service, Version};

/// The machine's state, and the server that it publishes changes to.
#[derive(Default)]
struct Machine {
    paused: AtomicBool,
    server: OnceLock<Server>,
}

impl Machine {
    fn pause(&self, paused: bool) {
        if self.paused.swap(paused, Ordering::SeqCst) != paused {
            self.publish(if paused { Event::Stop } else { Event::Resume });
        }
    }

    fn status(&self) -> Object<'static> {
        let paused = self.paused.load(Ordering::SeqCst);
        Object::new().with("running", !paused).with("status", if paused { "paused" } else { "running" })
    }

    fn publish(&self, event: Event<'_>) {
        if let Some(server) = self.server.get() {
            server.publish_event(&EventMessage { timestamp: Some(SystemTime::now().into()), event });
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "vm.qmp".to_owned());
    let machine = Arc::new(Machine::default());
    let pause = |name, paused| {
        let machine = Arc::clone(&machine);
        Command::new(name, move |_| {
            machine.pause(paused);
            Ok(())
        })
    };
    let query_status = {
        let machine = Arc::clone(&machine);
        let status = Struct::new().required("running", Type::Bool).required("status", Type::of(["running", "paused"]));
        Command::new("query-status", move |_| Ok(machine.status())).returns(status)
    };
    let service = Service::builder(Version::new(0, 1, 0, "minimal"))
        .command(pause("stop", true))
        .command(pause("cont", false))
        .command(query_status)
        .events(["STOP", "RESUME", "POWERDOWN"].into_iter().filter_map(EventInfo::of))
        .build();

    let listener = Listener::unix(&path)?;
    let server = machine.server.get_or_init(|| Server::new(service));
    println!("listening on {}; Enter ends the machine", listener.address());
    server.listen(listener);

    tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
    machine.publish(Event::Powerdown);
    let end = server.shutdown(Duration::from_secs(2)).await;
    println!("{} clients were sent everything, {} were cut off", end.flushed, end.cut_off);
    Ok(())
}
