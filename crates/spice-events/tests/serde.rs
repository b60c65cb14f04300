//! The JSON form of the outputs.

use spice_events::{Address, Auth, Config, Endpoints, Family, FlowId, Input, Side, Timestamp, Tracker};

/// Events and anomalies have a stable JSON form. Changing it breaks users, so that the test spells it out.
#[test]
fn outputs_serialize_as_plain_objects() {
    let mut tracker = Tracker::new(Config::new());
    let end = |port| Address::from(([127, 0, 0, 1].into(), port));
    let endpoints = Endpoints { server: end(5900), client: end(58500) };
    let at = Timestamp { seconds: 7, microseconds: 8 };
    tracker.handle(at, FlowId(1), Input::Opened { endpoints, tls: false, readable: true });
    tracker.handle(at, FlowId(1), Input::Bytes { from: Side::Client, data: b"GEX " });
    let mut outputs = Vec::new();
    while let Some(output) = tracker.poll() {
        outputs.push(serde_json::to_value(&output).unwrap());
    }
    let connection = r#"{
        "server": {"host": "127.0.0.1", "port": "5900", "family": "ipv4"},
        "client": {"host": "127.0.0.1", "port": "58500", "family": "ipv4"},
        "tls": false
    }"#;
    let at = r#"{"seconds": 7, "microseconds": 8}"#;
    let text = r#"expected the magic \"REDQ\", found \"GEX \" (spice-server answers 2, invalid magic)"#;
    let expected = [
        format!(r#"{{"event": {{"at": {at}, "flow": 1, "connection": {connection}, "kind": "connected"}}}}"#),
        format!(
            r#"{{"anomaly": {{"at": {at}, "flow": 1, "connection": {connection}, "place": ["client", 0],
                "kind": {{"name": "unreadable", "text": "{text}"}}}}}}"#
        ),
    ];
    let expected = expected.map(|json| serde_json::from_str::<serde_json::Value>(&json).unwrap());
    assert_eq!(outputs, expected);
}

/// `Auth` and `Family` are read from the words that `Display` writes.
#[test]
fn settings_are_read_as_they_are_written() {
    for auth in Auth::ALL {
        assert_eq!(serde_json::from_str::<Auth>(&format!("\"{auth}\"")).unwrap(), auth);
    }
    for family in Family::ALL {
        assert_eq!(serde_json::from_str::<Family>(&format!("\"{family}\"")).unwrap(), family);
    }
    assert!(serde_json::from_str::<Auth>("\"ticket\"").is_err());
}
