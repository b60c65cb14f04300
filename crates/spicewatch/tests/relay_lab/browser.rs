//! Chromium, over the WebDriver protocol of its driver.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use spice_testkit::lab::{Process, Scratch};

use super::{Lines, PATIENCE};

/// The name of a member that holds an element's id (WebDriver, "web element identifier").
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys, as WebDriver numbers them.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const TAB: &str = "\u{e004}";
pub const DOWN: &str = "\u{e015}";

/// A browser with one page. Both processes end on drop.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    session: String,
    _driver: Process,
    _profile: Scratch,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        let profile = Scratch::new().unwrap();
        // The driver takes a port of IPv6, and ends if another process has the same port of IPv4.
        let (driver, port) = (0..20).find_map(|_| start_driver()).expect("a port for the driver");
        // A build machine runs as root, where Chromium has no sandbox, and may have a small /dev/shm.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.join("profile").display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self { port, session: String::new(), _driver: driver, _profile: profile };
        let session = browser.send("POST", "/session", Some(&wanted));
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// Runs a script in the page, and returns what it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The number that the script returns.
    #[track_caller]
    pub fn number(&self, expression: &str) -> u64 {
        self.run(&format!("return {expression}")).as_u64().unwrap_or_else(|| panic!("no number: {expression}"))
    }

    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).textContent", json!(selector));
        self.run(&script).as_str().unwrap().to_owned()
    }

    /// Clicks as a person does: it must be visible, and nothing may be above it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}));
        let element = found[ELEMENT].as_str().unwrap();
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Types at the keyboard, wherever the focus is.
    #[track_caller]
    pub fn type_keys(&self, keys: &str) {
        let presses: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": presses}]}));
    }

    /// Runs a command of Chromium's DevTools.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// What the page has logged and what has failed in it since the last call.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// Writes a picture of the page.
    #[track_caller]
    pub fn picture(&self, path: &Path) {
        let picture = self.send("GET", &format!("/session/{}/screenshot", self.session), None);
        let decode =
            Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(std::fs::File::create(path).unwrap()).spawn();
        let mut decode = decode.unwrap();
        decode.stdin.take().unwrap().write_all(picture.as_str().unwrap().as_bytes()).unwrap();
        assert!(decode.wait().unwrap().success());
    }

    #[track_caller]
    fn post(&self, command: &str, body: &Value) -> Value {
        self.send("POST", &format!("/session/{}/{command}", self.session), Some(body))
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(4 * PATIENCE)).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let (mut stream, mut length, mut line) = (BufReader::new(stream), 0, String::new());
        while !matches!(line.as_str(), "\r\n") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "{path}: no answer");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let failure = &answer["value"]["error"];
        assert!(failure.is_null(), "{method} {path} {body}: {failure}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }
}

/// The driver, and its port.
#[track_caller]
fn start_driver() -> Option<(Process, u16)> {
    let mut command = Command::new("chromedriver");
    let mut driver = Process::spawn(command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
    let lines = Lines::follow(driver.child().stdout.take().unwrap());
    let port = lines.wait("port of the driver", |lines| {
        let port = |line: &String| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok();
        let is_over = lines.iter().any(|line| line.contains("Exiting"));
        lines.iter().find_map(port).map(Some).or(is_over.then_some(None))
    })?;
    Some((driver, port))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser when its session ends.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = write!(
                stream,
                "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}
