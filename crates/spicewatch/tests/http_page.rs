//! The page in a real Chromium: 1,000 live sessions, hostile names, the keyboard.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{env, fmt::Write as _, fs, io::Write as _, net::TcpStream, path::PathBuf};

use relay_lab::{
    Relay,
    browser::{Browser, DOWN, ENTER, ESCAPE, TAB},
    by_hand::{Server, link},
    eventually,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use spice_testkit::lab::{self, Peer, Scratch};

const VMS: usize = 40;
const SESSIONS: usize = 1000;

/// Names that would be markup, a script or a change of direction.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=window.hacked=1>",
    "\"><script>window.hacked=1</script>",
    "';window.hacked=1;//${window.hacked=1}",
    "\u{202e}sti esrever\u{7}",
];

struct Lab {
    server: Server,
    relay: Relay,
    site: String,
    _folder: Scratch,
}

impl Lab {
    fn new() -> Self {
        // Each session takes a descriptor here for the client, and one for the server.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
        let (server, folder) = (Server::new(), Scratch::new().unwrap());
        let mut config = format!(
            "http = \"127.0.0.1:0\"\nhistory = \"sqlite:{}\"\nlog-format = \"json\"\n",
            folder.join("history.db").display()
        );
        let names = (HOSTILE.len()..VMS).map(|number| format!("desk-{number:03}"));
        for name in HOSTILE.iter().map(|name| (*name).to_owned()).chain(names) {
            let (name, upstream) = (json!(name), server.address());
            writeln!(config, "[[vm]]\nname = {name}\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"").unwrap();
        }
        let path = folder.join("relay.toml");
        fs::write(&path, config).unwrap();
        let relay = Relay::start_with(&path);
        let site = relay.log.wait("HTTP", |lines| {
            let line = lines.iter().find(|line| line.contains("serving HTTP"))?;
            Some(serde_json::from_str::<Value>(line).ok()?["address"].as_str()?.to_owned())
        });
        Self { server, relay, site: format!("http://{site}/"), _folder: folder }
    }

    /// A session at this VM.
    fn session(&self, vm: usize, id: u32) -> (TcpStream, TcpStream) {
        link(self.relay.addresses()[vm].parse().unwrap(), &self.server.0, id)
    }
}

/// Where pictures of the page are written, for a person who looks at it: the environment variable PICTURES.
fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = env::var_os("PICTURES") {
        browser.picture(&PathBuf::from(folder).join(format!("{name}.png")));
    }
}

fn set_scheme(browser: &Browser, scheme: &str) {
    let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
    browser.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
}

const ROWS: &str = "document.querySelectorAll('#sessions tbody tr').length";
const FOCUS: &str =
    "return document.activeElement.id || document.activeElement.className || document.activeElement.tagName";

#[test]
fn page_shows_a_thousand_live_sessions_and_is_used_with_the_keyboard() {
    if !lab::have(&[Peer::Chromium]) {
        return;
    }
    let lab = Lab::new();
    let addresses = lab.relay.addresses();
    let open = |number: usize| {
        let id = u32::try_from(number + 1).unwrap();
        link(addresses[number % VMS].parse().unwrap(), &lab.server.0, id)
    };
    let mut sessions: Vec<_> = (0..SESSIONS).map(open).collect();
    // Of one VM, a link is refused.
    let refused = TcpStream::connect(&*addresses[5]).unwrap();
    (&refused).write_all(b"SSH-2.0-client\r\n\r\n").unwrap();
    drop((refused, lab.server.accept()));

    let browser = Browser::start();
    browser.open(&lab.site);
    eventually("all sessions", || browser.text("#now-sum") == "1,000 sessions on 40 VMs");
    assert_eq!(browser.number(ROWS), 1000);
    picture(&browser, "now-light");
    set_scheme(&browser, "dark");
    picture(&browser, "now-dark");
    set_scheme(&browser, "light");

    // What happens is shown by itself. The page notes how late it is.
    browser.run(
        "window.late = []; new MutationObserver(() => window.late.push(Date.now())).observe(document.querySelector('#now-sum'), {childList: true, characterData: true, subtree: true});",
    );
    let before = browser.number("Date.now()");
    sessions.push(lab.session(7, 5000));
    eventually("the new session", || browser.text("#now-sum") == "1,001 sessions on 40 VMs");
    let late = browser.number("window.late[0]").saturating_sub(before);
    println!("with 1,000 live sessions, a new one is on the page after {late} ms");
    sessions.pop();
    eventually("its end", || browser.text("#now-sum") == "1,000 sessions on 40 VMs");

    // Keyboard: search, go to a row, open and close its details.
    browser.type_keys("/");
    assert_eq!(browser.run(FOCUS), "search");
    browser.type_keys("desk-007");
    eventually("the search", || browser.text("#now-sum") == "25 sessions of 1,000 sessions on 40 VMs");
    assert_eq!(browser.number(ROWS), 25);
    browser.type_keys(DOWN);
    browser.type_keys(DOWN);
    assert_eq!(browser.run(FOCUS), "open");
    let second = "document.querySelectorAll('#sessions tbody .open')[1] === document.activeElement";
    assert_eq!(browser.run(&format!("return {second}")), true);
    browser.type_keys(ENTER);
    assert_eq!(browser.run("return document.querySelector('#detail').open"), true);
    assert_eq!(browser.text("#detail h2"), "127.0.0.1 on desk-007");
    assert_eq!(browser.text("#detail tbody th"), "inputs");
    picture(&browser, "detail");
    browser.type_keys(ESCAPE);
    assert_eq!(browser.run("return document.querySelector('#detail').open"), false);
    assert_eq!(browser.run(&format!("return {second}")), true, "the focus is back");
    // A row keeps the focus while others come and go.
    sessions.push(lab.session(7, 5001));
    eventually("the new session", || browser.number(ROWS) == 26);
    assert_eq!(browser.run(FOCUS), "open");
    sessions.pop();
    browser.type_keys("/");
    browser.type_keys(ESCAPE);
    eventually("all rows", || browser.number(ROWS) == 1000);
    // Tab leads on to the first column's button, which sorts.
    browser.type_keys(&format!("{TAB}{ENTER}"));
    assert_eq!(browser.run("return document.querySelector('#sessions th').getAttribute('aria-sort')"), "descending");

    // Hostile names are text.
    browser.type_keys("/");
    browser.type_keys("onerror");
    eventually("the search", || browser.number(ROWS) == 25);
    assert_eq!(browser.text("#sessions tbody .open"), HOSTILE[0]);
    browser.type_keys(ESCAPE);
    eventually("all rows", || browser.number(ROWS) == 1000);
    let names = browser.run("return [...document.querySelectorAll('#sessions .open')].map((row) => row.textContent)");
    let has = |name: &str| names.as_array().unwrap().iter().any(|shown| shown == name);
    assert!(has(HOSTILE[1]) && has(HOSTILE[2]) && has("\\u{202e}sti esrever\\u{7}"));

    // The other views.
    browser.click("nav a[href='#timeline']");
    eventually("the bars", || browser.number("document.querySelectorAll('#lines .bar').length") >= 1000);
    assert_eq!(browser.number("document.querySelectorAll('#lines tbody tr').length"), 40);
    assert_eq!(browser.number("document.querySelectorAll('#lines .refused').length"), 1);
    picture(&browser, "timeline-light");
    browser.click("#week");
    eventually("a week", || {
        browser.run("return document.querySelector('#week').getAttribute('aria-pressed')") == "true"
    });
    browser.click("nav a[href='#failures']");
    eventually("the failure", || browser.text("#fail-sum") == "1 refused link");
    assert_eq!(browser.text("#refused tbody .bad"), "not_spice");
    set_scheme(&browser, "dark");
    picture(&browser, "failures-dark");

    assert_eq!(
        browser.run("return [window.hacked ?? 0, document.querySelectorAll('main img, main script').length]"),
        json!([0, 0])
    );
    assert_eq!(browser.errors(), Vec::<String>::new());
    // A script that is not the page's own does not run: the policy forbids it.
    browser.run("const script = document.createElement('script'); try { script.textContent = 'window.hacked = 1'; document.body.append(script); } catch {}");
    browser.run("try { document.body.setAttribute('onclick', 'window.hacked = 1'); } catch {} document.body.click();");
    assert_eq!(browser.run("return window.hacked ?? 0"), 0);
    drop(sessions);
}

#[test]
fn page_is_named_for_people_who_do_not_see_it_and_recovers_when_the_relay_does() {
    if !lab::have(&[Peer::Chromium]) {
        return;
    }
    let lab = Lab::new();
    let _session = lab.session(6, 1);
    let browser = Browser::start();
    browser.open(&lab.site);
    eventually("the session", || browser.text("#now-sum") == "1 session on 1 VM");
    assert_eq!(browser.text("#link"), "live");
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let has = |role: &str, name: &str| {
        nodes.iter().any(|node| node["role"]["value"] == role && node["name"]["value"] == name)
    };
    for (role, name) in [
        ("navigation", "Views"),
        ("link", "Timeline"),
        ("searchbox", "Search VMs, clients and reasons"),
        ("table", "Live sessions"),
        ("columnheader", "VM"),
        ("rowheader", "desk-006"),
        ("button", "desk-006"),
        ("status", ""),
    ] {
        assert!(has(role, name), "no {role} `{name}`");
    }
    // All text has enough contrast with what is behind it: 4.5 to 1 (WCAG 2.2, 1.4.3).
    for scheme in ["light", "dark"] {
        set_scheme(&browser, scheme);
        let contrasts = browser.run(CONTRASTS);
        for contrast in contrasts.as_array().unwrap() {
            assert!(contrast[1].as_f64().unwrap() >= 4.5, "{scheme}: {contrast}");
        }
        assert!(contrasts.as_array().unwrap().len() >= 5, "{contrasts}");
    }
    assert_eq!(browser.errors(), Vec::<String>::new());
    lab.relay.signal("-KILL");
    eventually("the loss", || browser.text("#link") == "connection lost; trying again");
}

/// The contrast of each kind of text.
const CONTRASTS: &str = r"
const rgb = (text) => text.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
const back = (element) => { for (; element; element = element.parentElement) { const color = rgb(getComputedStyle(element).backgroundColor); if (color.length < 4 || color[3] > 0) return color; } return [255, 255, 255]; };
return ['h1', 'h1 small', 'nav a', 'nav a[aria-current]', '#link', '#now-sum', '#sessions thead button', '#sessions .open', '#sessions td', '#free summary']
  .map((selector) => [selector, document.querySelector(selector)]).filter(([, element]) => element)
  .map(([selector, element]) => { const [a, b] = [light(rgb(getComputedStyle(element).color)), light(back(element))]; return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
";
