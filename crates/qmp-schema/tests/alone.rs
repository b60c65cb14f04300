//! The parts of an event also read and write on their own, without the envelope.

#![allow(clippy::unwrap_used, reason = "a helper's panic fails the test, too")]

use std::fmt::Debug;

use arbitrary::Unstructured;
use qmp_schema::{
    Decode, Encode, ErrorKind, ErrorReply, Event, EventInfo, EventMessage, FdSocketAddress,
    GuestPanicInformationHyperV, GuestPanicInformationS390, GuestPanicInformationSev, GuestPanicInformationTdx,
    InetSocketAddress, RawJson, UnixSocketAddress, VsockSocketAddress, from_slice,
};

/// Writes a value and reads it back.
fn again<'a, T: Decode<'a> + Encode + PartialEq + Debug>(value: &T, text: &'a mut Vec<u8>) -> T {
    value.write_to(text);
    let again = from_slice(text).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_eq!(&again, value);
    again
}

/// Checks the data of an event on its own, and the event that is made from it.
macro_rules! every {
    ($event:expr; $($name:ident)*) => {
        match $event {
            $(Event::$name(data) => assert_eq!(&Event::from(again(data, &mut Vec::new())), $event),)*
            other => assert!(is_its_name(other), "{} has data, and is not listed here", other.name()),
        }
    };
}

/// Checks an event without data.
fn is_its_name(event: &Event<'_>) -> bool {
    let message = EventMessage { timestamp: None, event: event.clone() };
    message.to_vec() == format!(r#"{{"event": "{}"}}"#, event.name()).as_bytes()
}

#[test]
fn event_data_round_trips_alone() {
    for info in EventInfo::all() {
        for seed in 0..64_u8 {
            let choices: Vec<u8> = (0..200_u8).map(|place| place.wrapping_mul(seed).wrapping_add(seed)).collect();
            let event = Event::arbitrary_named(info.name, &mut Unstructured::new(&choices)).unwrap();
            assert_eq!(event.info().map(|info| info.name), Some(info.name));
            every!(&event; Shutdown Reset Watchdog GuestPanicked GuestCrashloaded MemoryFailure JobStatusChange
                BlockImageCorrupted BlockIoError BlockJobCompleted BlockJobCancelled BlockJobError BlockJobReady
                BlockJobPending BlockWriteThreshold QuorumFailure QuorumReportBad DeviceTrayMoved PrManagerStatusChanged
                BlockExportDeleted VserportChange DeviceDeleted DeviceUnplugGuestError MemUnplugError AcpiDeviceOst
                BalloonChange HvBalloonStatusReport MemoryDeviceSizeChange RtcChange CpuPolarizationChange
                VfuClientHangup NicRxFilterChanged FailoverNegotiated UnplugPrimary NetdevStreamConnected
                NetdevStreamDisconnected NetdevVhostUserConnected NetdevVhostUserDisconnected RdmaGidStatusChanged
                SpiceConnected SpiceInitialized SpiceDisconnected VncConnected VncInitialized VncDisconnected Migration
                MigrationPass ColoExit VfioMigration DumpCompleted);
        }
    }
}

/// Checks the members of a case without the discriminator of its union.
fn case<T: for<'a> Decode<'a> + Encode + PartialEq + Debug>(text: &str) {
    let value: T = from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut written = Vec::new();
    again(&value, &mut written);
    assert_eq!(written.len(), text.len(), "the same members, if in QEMU's order: {text}");
}

/// As [`case`], for types that borrow and have optional members.
macro_rules! borrowed {
    ($name:ident, $($text:literal),*) => {
        for text in [$($text),*] {
            let value: $name<'_> = from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            let mut written = Vec::new();
            assert_eq!(again(&value, &mut written).into_owned(), value);
            assert_eq!(written.len(), text.len(), "the same members, if in QEMU's order: {text}");
        }
    };
}

#[test]
fn union_cases_round_trip_alone() {
    borrowed!(
        InetSocketAddress,
        r#"{"host": "::1", "port": "5900", "numeric": true, "to": 5999, "ipv4": false, "ipv6": true, "keep-alive": true, "keep-alive-count": 3, "keep-alive-idle": 60, "keep-alive-interval": 5, "mptcp": false}"#,
        r#"{"host": "vm", "port": "0"}"#
    );
    borrowed!(UnixSocketAddress, r#"{"path": "/run/a", "abstract": false, "tight": true}"#, r#"{"path": ""}"#);
    borrowed!(VsockSocketAddress, r#"{"cid": "3", "port": "1024"}"#);
    borrowed!(FdSocketAddress, r#"{"str": "7"}"#);
    borrowed!(
        GuestPanicInformationTdx,
        r#"{"error-code": 1, "message": "no", "gpa": 4096}"#,
        r#"{"error-code": 0, "message": ""}"#
    );
    borrowed!(
        GuestPanicInformationS390,
        r#"{"core": 0, "psw-mask": 1, "psw-addr": 2, "reason": "disabled-wait"}"#,
        r#"{"core": 0, "psw-mask": 1, "psw-addr": 2, "reason": "news"}"#
    );
    case::<GuestPanicInformationHyperV>(
        r#"{"arg1": 1, "arg2": 2, "arg3": 3, "arg4": 4, "arg5": 18446744073709551615}"#,
    );
    case::<GuestPanicInformationSev>(r#"{"set": 1, "code": 2}"#);
}

#[test]
fn replies_and_raw_values() {
    for text in [
        r#"{"id": 7, "error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}"#,
        r#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#,
    ] {
        let reply: ErrorReply<'_> = from_slice(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(reply.to_vec()).unwrap(), text);
    }
    let raw: RawJson<'_> = from_slice(br#" [1, {"a": null}]"#).unwrap();
    assert_eq!(raw.to_vec(), br#"[1, {"a": null}]"#);
    assert_eq!(String::from(raw), r#"[1, {"a": null}]"#);
    let list: &[&str] = &["a", "b"];
    let mut text = Vec::new();
    Vec::from(list).write_to(&mut text);
    assert_eq!(text, br#"["a", "b"]"#);
}

#[test]
fn errors_state_expectation_and_finding() {
    for (input, said) in [("", "expected"), ("{\"a\" 1}", "found '1'"), ("\"\u{1}\"", "found"), ("[1", "found the end")]
    {
        let error = from_slice::<RawJson<'_>>(input.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    for (kind, said) in [
        (ErrorKind::Depth { limit: 4 }, "expected at most 4 levels of nesting, found more"),
        (ErrorKind::Utf8, "expected UTF-8, found other bytes"),
        (ErrorKind::UnknownEvent, "expected a known event, found another"),
        (ErrorKind::TooLong { limit: 9 }, "expected a message of at most 9 bytes, found a longer one"),
        (ErrorKind::CutOff, "expected the rest of a message, found none"),
        (ErrorKind::Missing { member: "id" }, "expected member 'id', found none"),
    ] {
        assert_eq!(kind.to_string(), said);
    }
}
