//! A real QEMU and its sockets: QMP for commands, qtest for what a guest would do to the hardware.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// Longest wait for an answer or an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running QEMU, and all event lines that it has sent. The environment variable `QEMU` names another program than
/// `qemu-system-x86_64`.
pub(crate) struct Vm {
    child: Child,
    qmp: BufReader<UnixStream>,
    qtest: Option<BufReader<UnixStream>>,
    /// Event lines, without their ends.
    pub(crate) events: Vec<String>,
    /// The number of lines that `wait` has looked at.
    waited: usize,
    pub(crate) greeting: String,
}

impl Vm {
    /// Starts QEMU in this folder, where its sockets go, and negotiates.
    pub(crate) fn start(folder: &Path, args: &str) -> anyhow::Result<Self> {
        for socket in ["qmp", "qtest"] {
            let _ = std::fs::remove_file(folder.join(socket));
        }
        let program = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
        let child = Command::new(program)
            .current_dir(folder)
            .args("-display none -nodefaults -qmp unix:qmp,server=on,wait=off".split(' '))
            .args(args.split_ascii_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("qemu-system-x86_64 does not start: `cargo xtask setup` installs it")?;
        let mut vm = Self {
            child,
            qmp: BufReader::new(connect(&folder.join("qmp"))?),
            qtest: None,
            events: Vec::new(),
            waited: 0,
            greeting: String::new(),
        };
        vm.greeting = vm.line()?;
        if args.contains("-qtest ") {
            vm.qtest = Some(BufReader::new(connect(&folder.join("qtest"))?));
        }
        vm.run(r#"{"execute": "qmp_capabilities"}"#)?;
        Ok(vm)
    }

    /// Runs a command that succeeds, and gives what it returns.
    pub(crate) fn run(&mut self, command: &str) -> anyhow::Result<Value> {
        let reply = self.try_run(command)?;
        let value = reply.get("return").cloned();
        value.with_context(|| format!("{command}: {reply}"))
    }

    /// Runs a command, and gives the reply.
    pub(crate) fn try_run(&mut self, command: &str) -> anyhow::Result<Value> {
        self.qmp.get_mut().write_all(command.as_bytes())?;
        loop {
            let line = self.line()?;
            let message: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
            // A reply, and nothing else: QEMU has been seen to greet twice.
            if message.get("return").is_some() || message.get("error").is_some() {
                return Ok(message);
            }
            if message.get("event").is_some() {
                self.events.push(line);
            }
        }
    }

    /// Runs a command without arguments.
    pub(crate) fn execute(&mut self, command: &str) -> anyhow::Result<Value> {
        self.run(&format!(r#"{{"execute": "{command}"}}"#))
    }

    /// Waits for an event later than the one that was last waited for, whose line has this text in it.
    pub(crate) fn wait(&mut self, text: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(line) = self.events.get(self.waited) {
                self.waited += 1;
                if line.contains(text) {
                    return Ok(());
                }
            }
            ensure!(Instant::now() < deadline, "no event with {text} came: {:#?}", self.events);
            let line = self.line().with_context(|| format!("while waiting for {text}: {:#?}", self.events))?;
            self.events.push(line);
        }
    }

    /// Speaks to the hardware: `outb 0x70 0x0`.
    pub(crate) fn hardware(&mut self, command: &str) -> anyhow::Result<String> {
        let qtest = self.qtest.as_mut().context("QEMU was started without qtest")?;
        qtest.get_mut().write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            ensure!(qtest.read_line(&mut line)? > 0, "qtest closed at {command}");
            if line.starts_with("IRQ") {
                continue;
            }
            ensure!(line.starts_with("OK"), "{command}: {line}");
            return Ok(line.trim_end().to_owned());
        }
    }

    /// What QEMU says until it ends.
    pub(crate) fn quit(mut self) -> anyhow::Result<Vec<String>> {
        let _ = self.try_run(r#"{"execute": "quit"}"#);
        while let Ok(line) = self.line() {
            if line.contains("\"event\"") {
                self.events.push(line);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "QEMU does not quit");
            sleep(Duration::from_millis(20));
        }
        Ok(std::mem::take(&mut self.events))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.qmp.read_line(&mut line)? == 0 {
            bail!("QEMU closed its QMP socket");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn connect(socket: &Path) -> anyhow::Result<UnixStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| socket.display().to_string());
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}
