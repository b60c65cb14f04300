//! A small HTTP client.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
};

use super::{Lines, PATIENCE};

/// Where a program serves HTTP.
#[derive(Clone, Debug)]
pub enum Site {
    Unix(PathBuf),
    Tcp(String),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and the header fields, in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The `code` of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Site {
    pub fn connect(&self) -> Box<dyn Stream> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        }
    }

    /// Sends these bytes, and reads until the end.
    #[track_caller]
    pub fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A connection that is closed on unread bytes may be reset after its answer.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        // Of version 1.0, so that the body has no chunks.
        self.raw(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    }

    /// The lines of `/v1/events` after its head.
    #[track_caller]
    pub fn events(&self, last_id: Option<&str>) -> Lines {
        let mut stream = self.connect();
        let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n{last}\r\n").unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while !matches!(line.as_str(), "\r\n") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the answer ends before its body");
        }
        Lines::follow(stream)
    }
}
