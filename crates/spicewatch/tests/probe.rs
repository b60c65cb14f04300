//! `probe` at servers that want to keep it, or to act on the terminal.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// A server sends its answer byte by byte, each within the patience.
#[test]
fn patience_is_for_the_whole_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 100]);
                for byte in b"REDQ\x02\0\0\0\x02\0\0\0\xb2\0\0\0".iter().chain(&[0; 178]) {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(300));
                }
            });
        }
    });
    let start = Instant::now();
    let output =
        Command::new(env!("CARGO_BIN_EXE_spicewatch")).args(["probe", &address, "--patience", "1"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the answer took longer than 1 seconds"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
