//! A client that can be killed: a process of its own.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A process with one connection: it sends its stdin, and writes received bytes to its stdout.
#[derive(Debug)]
pub struct Process(pub Child, ChildStdin, ChildStdout);

impl Process {
    pub fn start(to: SocketAddr) -> Self {
        let mut command = Command::new("socat");
        let mut child = command
            .args(["-", &format!("TCP:{to}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self(child, stdin, stdout)
    }
}

impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2.read(buffer)
    }
}

impl Write for Process {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
