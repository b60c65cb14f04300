//! A VMM's QMP socket in a page: `cargo run --example minimal -- /tmp/vm.qmp`, then `qmp-shell /tmp/vm.qmp`.
//!
//! The machine can be stopped and continued, and says so in events, as QEMU's does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, Listener, Object, Server, Service, Value, Version};

/// What the machine has: a state, and where it tells of changes once the server is there.
#[derive(Default)]
struct Machine {
    paused: AtomicBool,
    server: OnceLock<Server>,
}

impl Machine {
    fn pause(&self, paused: bool) {
        if self.paused.swap(paused, Ordering::SeqCst) != paused
            && let Some(server) = self.server.get()
        {
            server.publish(&event(if paused { "STOP" } else { "RESUME" }));
        }
    }

    fn status(&self) -> Object {
        let paused = self.paused.load(Ordering::SeqCst);
        Object::new().with("running", !paused).with("status", if paused { "paused" } else { "running" })
    }
}

/// A command that does something with the machine.
fn command(
    machine: &Arc<Machine>,
    name: &'static str,
    run: impl Fn(&Machine) -> Value + Send + Sync + 'static,
) -> Command {
    let machine = Arc::clone(machine);
    Command::new(name, move |_| Ok(run(&machine)))
}

fn event(name: &str) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let timestamp = Object::new().with("seconds", now.as_secs()).with("microseconds", now.subsec_micros());
    Value::from(Object::new().with("event", name).with("timestamp", timestamp)).to_bytes()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "vm.qmp".to_owned());
    let machine = Arc::new(Machine::default());
    let nothing = || Value::from(Object::new());
    let set = |name, paused| {
        command(&machine, name, move |machine| {
            machine.pause(paused);
            nothing()
        })
    };
    let status = Struct::new().required("running", Type::Bool).required("status", Type::of(["running", "paused"]));
    let service = Service::builder(Version::new(0, 1, 0, "minimal"))
        .command(set("stop", true))
        .command(set("cont", false))
        .command(command(&machine, "query-status", |machine| machine.status().into()).returns(status))
        .event("STOP", Struct::new())
        .event("RESUME", Struct::new())
        .event("SHUTDOWN", Struct::new())
        .build();

    let listener = Listener::unix(&path)?;
    let server = machine.server.get_or_init(|| Server::new(service));
    println!("listening on {}; end with Enter", listener.address());
    server.listen(listener);

    tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
    server.publish(&event("SHUTDOWN"));
    let end = server.shutdown(Duration::from_secs(2)).await;
    println!("{} clients told, {} cut off", end.flushed, end.cut_off);
    Ok(())
}
