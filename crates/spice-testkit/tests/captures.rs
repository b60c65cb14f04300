//! The committed captures are what their manifests say, as far as that shows without reading a packet.

use spice_testkit::{
    captures::{self, MAX_FILE},
    events::EventLine,
};

#[test]
fn every_capture_is_small_and_has_its_lines() {
    let captures = captures::all().unwrap();
    assert!(!captures.is_empty());
    for capture in captures {
        let size = capture.bytes().unwrap().len();
        assert!(size <= MAX_FILE, "{}: {size} bytes", capture.name);
        let qmp = String::from_utf8(capture.qmp().unwrap()).unwrap();
        assert!(qmp.ends_with("\r\n") && !qmp.replace("\r\n", "").contains(['\r', '\n']), "{}", capture.name);
        for line in capture.spice_events().unwrap() {
            let event = EventLine::parse(&line).unwrap_or_else(|| panic!("{}: {line}", capture.name));
            let [_, server_port, ..] = event.connection().unwrap();
            let ports = capture.manifest.ports.iter().chain(&capture.manifest.tls_ports);
            assert!(ports.clone().any(|port| port.to_string() == server_port), "{}: {line}", capture.name);
        }
    }
}

#[cfg(feature = "battery")]
mod with_the_lab {
    use std::collections::BTreeMap;

    use spice_testkit::{
        captures,
        lab::{
            battery::{ACCEPTED, Case, NO_SELECTION, REFUSED, SASL},
            scenarios,
        },
    };

    #[test]
    fn every_scenario_has_its_capture_and_every_capture_its_scenario() {
        let mut scenarios: Vec<_> = scenarios::all().map(|scenario| scenario.name.to_owned()).collect();
        scenarios.extend(scenarios::WITH_NEWER_QEMU.iter().map(|name| scenarios::newer_name(name)));
        scenarios.sort();
        let captures: Vec<_> = captures::all().unwrap().into_iter().map(|capture| capture.name).collect();
        assert_eq!(captures, scenarios);
    }

    #[test]
    fn the_server_answered_each_case_by_hand_as_expected() {
        let batteries = [
            ("refused", REFUSED),
            ("refused-qemu-11.1", REFUSED),
            ("accepted", ACCEPTED),
            ("sasl-by-hand", SASL),
            ("sasl-by-hand-qemu-11.1", SASL),
        ];
        for (name, cases) in batteries {
            let links = captures::load(name).unwrap().manifest.links;
            let cases: BTreeMap<_, _> =
                cases.iter().chain([&NO_SELECTION]).map(|case: &Case| (case.name, case)).collect();
            assert!(links.len() + 1 >= cases.len(), "{name}: {} links, {} cases", links.len(), cases.len());
            for link in links {
                let expected = cases[link.case.as_str()].expected();
                assert!(expected.is(&link), "{name}, {}: expected {expected:?}, the server sent {link:?}", link.case);
            }
        }
    }
}
