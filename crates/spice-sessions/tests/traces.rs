//! What happened, and the records that follow.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod trace;

use spice_sessions::{Action, Config, Outcome, Reason, Record, Source, Stage};
use trace::{Trace, check, millis};

#[test]
fn client_that_leaves_ends_its_session_with_its_last_channel() {
    check(
        Source::Relay,
        "
        1 open desk 10.0.0.9:4000 > 10.0.0.1:5900
        1 init main 7
        2 open desk 10.0.0.9:4001 > 10.0.0.1:5900
        2 init inputs 7
        1 traffic 170 206
        2 traffic 200 210
        2 traffic 250 220
        2 end client
        2 close
        1 end client
        1 close
        ",
        "
        started s1 vm=desk client=10.0.0.9 id=7
        ended s1 vm=desk client=10.0.0.9 bytes=420/426 channels=main,inputs client_left by=client
        ",
    );
}

#[test]
fn main_channel_says_how_a_session_ended() {
    for (main, inputs, expected) in [
        ("client", "server", "client_left by=client"),
        ("client-reset", "server", "client_reset by=client"),
        ("server", "client", "server_closed by=server"),
        ("server-reset", "client", "server_reset by=server"),
        ("none", "client", "client_left by=client"),
        ("none", "none", "unknown by=unknown"),
        ("idle_timeout", "client", "idle_timeout by=relay"),
        ("peer_vanished", "none", "peer_vanished by=relay"),
        ("drained", "drained", "drained by=relay"),
        ("terminated", "terminated", "terminated by=relay"),
    ] {
        let steps = format!(
            "
            1 open desk a:1 > b:5900
            1 init main 7
            2 open desk a:2 > b:5900
            2 init inputs 7
            1 end {main}
            1 close
            2 end {inputs}
            2 close
            "
        );
        let expected =
            format!("started s1 vm=desk client=a id=7\nended s1 vm=desk client=a channels=main,inputs {expected}");
        check(Source::Relay, &steps, &expected);
    }
}

#[test]
fn new_session_replaces_the_one_that_the_server_ends() {
    let steps = "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open desk a:2 > b:5900
        2 init inputs 7
        3 open desk c:1 > b:5900
        2 end server
        2 close
        1 end server
        1 close
        3 init main 8
        3 end client
        3 close
        ";
    let expected = "
        started s1 vm=desk client=a id=7
        ended s1 vm=desk client=a channels=main,inputs replaced by=server
        started s2 after s1 vm=desk client=c id=8
        ended s2 after s1 vm=desk client=c channels=main client_left by=client
        ";
    check(Source::Relay, steps, expected);
    // Without a VM's name, the address and port of the server identify it.
    check(Source::Read, &steps.replace("desk", "-"), &expected.replace(" vm=desk", ""));
    // QEMU's events do not show who closed.
    let qemu = steps.lines().filter(|line| !line.contains(" end ")).collect::<Vec<_>>().join("\n");
    let expected = expected.replace("client_left by=client", "unknown by=unknown").replace("by=server", "by=unknown");
    check(Source::Follow, &qemu, &expected);
}

#[test]
fn session_whose_last_channel_outlives_the_take_over_is_replaced_too() {
    check(
        Source::Relay,
        "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open desk a:2 > b:5900
        2 init display 7
        3 open desk c:1 > b:5900
        1 end server
        1 close
        3 init main 8
        2 end server
        2 close
        ",
        "
        started s1 vm=desk client=a id=7
        started s2 after s1 vm=desk client=c id=8
        ended s1 vm=desk client=a channels=main,display replaced by=server
        ",
    );
}

#[test]
fn two_sessions_at_a_time_do_not_replace_each_other() {
    check(
        Source::Relay,
        "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open desk c:1 > b:5900
        2 init main 8
        +3000ms
        1 end server
        1 close
        ",
        "
        started s1 vm=desk client=a id=7
        started s2 vm=desk client=c id=8
        ended s1 vm=desk client=a channels=main server_closed by=server
        ",
    );
}

#[test]
fn session_that_leaves_by_itself_is_not_replaced() {
    check(
        Source::Relay,
        "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open desk c:1 > b:5900
        1 end client
        1 close
        2 init main 8
        ",
        "
        started s1 vm=desk client=a id=7
        ended s1 vm=desk client=a channels=main client_left by=client
        started s2 vm=desk client=c id=8
        ",
    );
}

#[test]
fn end_waits_for_the_next_session_only_as_long_as_one_may_come() {
    let start = "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open desk c:1 > b:5900
        1 end server
        1 close
        ";
    let started = "started s1 vm=desk client=a id=7\n";
    let ended = "ended s1 vm=desk client=a channels=main server_closed by=server\n";
    check(Source::Relay, start, started);
    check(Source::Relay, &format!("{start}{}", millis(Config::TAKE_OVER_WAIT)), &format!("{started}{ended}"));
    check(Source::Relay, &format!("{start}flush"), &format!("{started}{ended}"));
    let refused = "refused vm=desk client=c permission_denied by=server at=auth";
    check(
        Source::Relay,
        &format!("{start}2 anomaly result 7\n2 end server\n2 close"),
        &format!("{started}{refused}\n{ended}"),
    );
}

#[test]
fn migrating_client_keeps_its_connection_id() {
    let steps = "
        1 open desk@one a:1 > h1:5900
        1 init main 7
        2 open desk@two a:2 > h2:5900
        2 anomaly migration-target
        2 init main 7
        1 end client
        1 close
        2 end client
        2 close
        ";
    let expected = "
        started s1 vm=desk@one client=a id=7
        started s2 after s1 vm=desk@two client=a id=7
        ended s1 vm=desk@one client=a channels=main migrated by=client
        ended s2 after s1 vm=desk@two client=a channels=main client_left by=client
        ";
    check(Source::Relay, steps, expected);
    let unnamed = |text: &str| {
        ["desk@one", "desk@two"]
            .iter()
            .fold(text.replace(" vm=desk@one", "").replace(" vm=desk@two", ""), |text, vm| text.replace(vm, "-"))
    };
    check(Source::Read, &unnamed(steps), &unnamed(expected));
    // QEMU's events do not say that it is a target; the id does.
    check(Source::Follow, &steps.replace("2 anomaly migration-target", ""), expected);
}

#[test]
fn target_is_joined_to_a_source_that_ended_lately() {
    let steps = |wait: &str| {
        format!(
            "
            1 open one a:1 > h1:5900
            1 init main 7
            1 end client
            1 close
            {wait}
            2 open two a:2 > h2:5900
            2 anomaly migration-target
            2 init main 7
            "
        )
    };
    let ended = "started s1 vm=one client=a id=7\nended s1 vm=one client=a channels=main client_left by=client\n";
    check(Source::Relay, &steps("+1000ms"), &format!("{ended}started s2 after s1 vm=two client=a id=7"));
    check(Source::Relay, &steps("+60000ms"), &format!("{ended}started s2 vm=two client=a id=7"));
}

#[test]
fn same_id_alone_makes_no_migration() {
    // spice-server up to 0.15.0 gives the first session of each process this id.
    let steps = "
        1 open one a:1 > h1:5900
        1 init main 1804289383
        2 open two a:2 > h2:5900
        2 init main 1804289383
        3 open two a:3 > h2:5900
        3 init inputs 1804289383
        2 end client
        2 close
        3 end client
        3 close
        ";
    let expected = "
        started s1 vm=one client=a id=1804289383
        started s2 vm=two client=a id=1804289383
        ended s2 vm=two client=a channels=main,inputs client_left by=client
        ";
    check(Source::Relay, steps, expected);
    check(Source::Follow, steps, expected);
}

#[test]
fn channels_of_other_ports_and_clients_are_joined_by_id() {
    let steps = "
        1 open - a:1 > h:5900
        1 init main 7
        2 open - a:2 > h:5901 tls
        2 init inputs 7
        3 open - b:2 > h:5900
        3 init cursor 7
        4 open - b:2 > h:5902
        4 init cursor 7
        ";
    // A VM may be reached over several addresses; an unnamed server's port is its own unless the client is the same.
    check(Source::Read, steps, "started s1 client=a id=7\nstarted s2 client=b id=7");
    check(Source::Relay, &steps.replace(" - ", " desk "), "started s1 vm=desk client=a id=7\n");
}

#[test]
fn main_channel_that_is_named_last_joins_its_other_channels() {
    check(
        Source::Read,
        "
        1 open - a:1 > h:5900
        2 open - a:2 > h:5900
        2 init inputs 7 sasl
        1 anomaly inferred
        1 init main 7 sasl
        1 end client
        1 close
        2 end client
        2 close
        ",
        "started s1 client=a id=7\nended s1 client=a channels=inputs,main client_left by=client",
    );
}

#[test]
fn sessions_without_an_id_are_kept_apart() {
    check(
        Source::Read,
        "
        1 open - a:1 > h:5900
        1 init main 0
        1 end client
        1 close
        2 open - a:2 > h:5900
        2 init main 0
        2 end client
        2 close
        ",
        "
        started s1 client=a
        ended s1 client=a channels=main client_left by=client
        started s2 client=a
        ended s2 client=a channels=main client_left by=client
        ",
    );
}

#[test]
fn refusal_has_the_reason_that_the_bytes_show() {
    for (steps, expected) in [
        ("1 anomaly magic\n1 anomaly reply 2\n1 end server", "bad_magic by=server at=link"),
        ("1 anomaly magic\n1 end client", "not_spice by=client at=link"),
        ("1 anomaly websocket-head\n1 end server", "not_spice by=server at=link"),
        ("1 anomaly major 1\n1 anomaly reply 4\n1 end server", "bad_version by=server at=link"),
        ("1 anomaly major 0\n1 end server", "bad_version by=server at=link"),
        ("1 anomaly reply 3\n1 end server", "invalid_data by=server at=link"),
        ("1 anomaly second-reply 3\n1 end server", "bad_mechanism by=server at=auth"),
        ("1 anomaly sasl-length 101 100\n1 end server", "bad_mechanism by=server at=auth"),
        (
            "1 anomaly sasl-length 2000000 1048576\n1 anomaly second-reply 3\n1 end server",
            "invalid_data by=server at=link",
        ),
        // Both sides close after a refusal. What ended the connection was the answer.
        ("1 anomaly second-reply 4\n1 end client", "bad_mechanism by=server at=auth"),
        ("1 anomaly result 7\n1 end client", "permission_denied by=server at=auth"),
        ("1 anomaly sasl 1\n1 end server", "sasl_rejected by=server at=sasl"),
        ("1 anomaly result 7\n1 end server", "permission_denied by=server at=auth"),
        ("1 anomaly result 8\n1 end server", "bad_connection_id by=server at=channel"),
        ("1 anomaly result 9\n1 end server", "channel_not_available by=server at=channel"),
        ("1 end tls_failed", "tls_failed by=relay at=tls"),
        ("1 end link_timeout", "link_timeout by=relay at=link"),
        ("1 end upstream_unreachable", "upstream_unreachable by=relay at=link"),
        ("1 end over_limit", "over_limit by=relay at=link"),
        ("1 end none", "unknown by=unknown at=link"),
    ] {
        let steps = format!("1 open desk a:1 > b:5900\n{steps}\n1 close");
        check(Source::Relay, &steps, &format!("refused vm=desk client=a {expected}"));
    }
}

#[test]
fn link_that_ends_without_a_word_is_told_by_its_last_step() {
    for (after, end, expected) in [
        ("accept", "server", "server_closed by=server at=link"),
        ("accept", "client", "client_left by=client at=link"),
        ("message", "server", "no_such_channel by=server at=link"),
        ("message", "client", "client_left by=client at=link"),
        ("reply", "client", "client_left by=client at=auth"),
        ("reply", "client-reset", "client_reset by=client at=auth"),
        ("reply", "server", "server_closed by=server at=auth"),
        ("sasl", "server", "sasl_rejected by=server at=sasl"),
        ("sasl", "client", "client_left by=client at=sasl"),
        ("hidden-result", "server", "server_closed by=server at=channel"),
    ] {
        let steps =
            format!("1 open desk a:1 > b:5900\n1 traffic 38 0\n1 end {end}\n1 anomaly unlinked {after}\n1 close");
        check(Source::Relay, &steps, &format!("refused vm=desk client=a bytes=38/0 {expected}"));
    }
}

#[test]
fn connection_without_a_byte_is_a_health_check_and_not_reported() {
    let steps = "1 open desk a:1 > b:5900\n1 traffic 0 0\n1 end client\n1 anomaly unlinked accept\n1 close";
    let mut trace = Trace::new(Source::Relay);
    assert_eq!(trace.run(steps), "");
    assert_eq!(trace.sessions.counters().health_checks, 1);

    let mut config = Config::new(Source::Relay, [7; 16]);
    config.health_checks = true;
    let expected = "refused vm=desk client=a bytes=0/0 health_check by=client at=link\n";
    assert_eq!(Trace::with(config).run(steps), expected);
    // Where bytes are not shown, nothing tells that it is one.
    let qemu = "1 open desk a:1 > b:5900\n1 close";
    check(Source::Follow, qemu, "refused vm=desk client=a unknown by=unknown at=link");
}

#[test]
fn need_secured_is_a_retry_once_the_client_comes_back_with_tls() {
    let start = "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open desk a:2 > b:5900
        2 anomaly reply 5
        ";
    let close = "2 end server\n2 close\n";
    let tls = "3 open desk a:3 > b:5901 tls\n3 init inputs 7\n";
    let started = "started s1 vm=desk client=a id=7\n";
    let refused = "refused vm=desk client=a need_secured by=server at=link\n";
    check(Source::Relay, &format!("{start}{close}{tls}+9000ms"), started);
    check(Source::Relay, &format!("{start}{tls}{close}+9000ms"), started);
    check(Source::Relay, &format!("{start}{close}+4000ms"), started);
    check(Source::Relay, &format!("{start}{close}+9000ms"), &format!("{started}{refused}"));
    check(Source::Relay, &format!("{start}+9000ms\n{close}"), &format!("{started}{refused}"));
    // Another client's TLS, or another try without, is no answer.
    for other in ["3 open desk x:3 > b:5901 tls\n", "3 open desk a:3 > b:5901\n", "3 open other a:3 > b:5901 tls\n"] {
        check(Source::Relay, &format!("{start}{close}{other}+9000ms"), &format!("{started}{refused}"));
    }
    let mut trace = Trace::new(Source::Relay);
    trace.run(&format!("{start}{close}{tls}"));
    assert_eq!((trace.sessions.counters().retries, trace.sessions.counters().refused), (1, 0));
}

#[test]
fn unreadable_connections_of_one_client_are_one_session() {
    check(
        Source::Read,
        "
        1 open - a:1 > h:5901 tls
        1 unreadable
        2 open - a:2 > h:5901 tls
        2 unreadable
        2 traffic 100 50
        2 end server
        2 close
        1 traffic 500 900
        1 end client
        1 close
        ",
        "started s1 client=a\nended s1 client=a bytes=600/950 channels=?,? client_left by=client",
    );
    let mut trace = Trace::new(Source::Read);
    let silent = "3 open - c:2 > h:5901 tls\n3 unreadable\n3 traffic 0 0\n3 end client\n3 close";
    assert_eq!((trace.run(silent).as_str(), trace.sessions.counters().health_checks), ("", 1));
}

#[test]
fn idle_time_counts_from_the_last_byte_on_inputs() {
    let mut trace = Trace::new(Source::Relay);
    trace.run(
        "
        1 open desk a:1 > b:5900
        1 init main 7
        1 traffic 10 10
        2 open desk a:2 > b:5900
        2 init inputs 7
        2 traffic 20 10
        +60000ms
        1 traffic 900 900
        ",
    );
    let idle = |trace: &Trace| {
        let live: Vec<_> = trace.sessions.live(trace.at()).collect();
        assert_eq!((live.len(), live[0].event.action), (1, Action::SessionUpdated));
        live[0].idle(trace.at()).unwrap().as_millis()
    };
    assert_eq!(idle(&trace), 60_002);
    trace.run("2 traffic 21 10\n+5ms");
    assert_eq!(idle(&trace), 6);
}

#[test]
fn leaked_connection_is_refused_at_once() {
    check(
        Source::Read,
        "
        1 open - a:1 > h:5900
        1 traffic 38 396
        1 anomaly second-reply 4
        1 anomaly leaked
        1 end client
        1 close
        ",
        "refused client=a bytes=38/396 bad_mechanism by=unknown at=auth",
    );
}

#[test]
fn forgotten_connection_ends_its_session_without_a_reason() {
    check(
        Source::Read,
        "
        1 open - a:1 > h:5900
        1 init main 7
        2 open - a:2 > h:5900
        2 forget
        1 forget
        ",
        "started s1 client=a id=7\nended s1 client=a channels=main unknown by=unknown",
    );
}

#[test]
fn every_session_ends_when_the_source_does() {
    let mut trace = Trace::new(Source::Relay);
    let lines = trace.run(
        "
        1 open desk a:1 > b:5900
        1 init main 7
        2 open other a:2 > c:5900
        2 init main 8
        3 open other a:3 > c:5900
        end-all drained
        ",
    );
    assert_eq!(lines.matches("drained by=relay").count(), 2, "{lines}");
    assert!(trace.sessions.is_empty() && trace.sessions.connections() == 0);
}

#[test]
fn live_sessions_are_counted_by_vm() {
    let mut trace = Trace::new(Source::Relay);
    trace.run("1 open desk a:1 > b:5900\n1 init main 7\n2 open other a:2 > c:5900\n2 init main 8");
    let [desk, other, new] = ["desk", "other", "new"].map(|name| trace.sessions.vm(name));
    let count = |trace: &Trace| [desk, other, new].map(|vm| trace.sessions.live_at(vm));
    assert_eq!((trace.sessions.len(), count(&trace)), (2, [1, 1, 0]));
    trace.run("1 end client\n1 close");
    assert_eq!((trace.sessions.len(), count(&trace)), (1, [0, 1, 0]));
}

#[test]
fn record_has_every_field_under_its_name() {
    let mut trace = Trace::with(Config::new(Source::Relay, [7; 16]).host("relay.example"));
    trace.run(
        "
        1 open desk 10.0.0.9:40000 > 10.0.0.1:5900 tls
        1 tls 1.3 TLS_AES_256_GCM_SHA384
        1 init main -7 sasl
        1 traffic 170 206
        1 anomaly inferred
        1 end client
        1 close
        ",
    );
    let ended = trace.records.last().unwrap();
    let json = serde_json::to_value(ended).unwrap();
    let (session, id) = (ended.session.as_ref().unwrap().id, ended.event.id.unwrap());
    let expected = serde_json::json!({
        "@timestamp": "2026-11-22T17:53:20.007000Z",
        "event": {
            "kind": "event", "category": ["session", "network"], "type": ["end"], "action": "session-ended",
            "outcome": "success", "reason": "client_left",
            "start": "2026-11-22T17:53:20.003000Z", "end": "2026-11-22T17:53:20.007000Z", "duration": 4_000_000,
            "id": id.to_string(), "sequence": 1,
        },
        "session": { "id": session.to_string() },
        "vm": { "name": "desk" },
        "host": { "name": "relay.example" },
        "client": { "address": "10.0.0.9", "ip": "10.0.0.9", "port": 40000, "bytes": 170 },
        "server": { "address": "10.0.0.1", "ip": "10.0.0.1", "port": 5900, "bytes": 206 },
        "network": {
            "transport": "tcp", "type": "ipv4", "protocol": "spice",
            "community_id": json["network"]["community_id"].clone(),
        },
        "tls": { "established": true, "version": "1.3", "cipher": "TLS_AES_256_GCM_SHA384" },
        "spice": {
            "connection_id": -7, "auth": "sasl", "ended_by": "client", "stage": "channel", "source": "relay",
            "anomalies": ["inferred"],
            "channels": [{
                "type": 1, "name": "main", "id": 0, "tls": true,
                "opened_at": "2026-11-22T17:53:20.003000Z", "closed_at": "2026-11-22T17:53:20.007000Z",
                "bytes_to_server": 170, "bytes_to_client": 206, "reason": "client_left",
            }],
        },
    });
    assert_eq!(json, expected);
    assert!(json["network"]["community_id"].as_str().unwrap().starts_with("1:"));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), *ended);
}

#[test]
fn unix_socket_is_shown_by_its_path() {
    let mut trace = Trace::new(Source::Relay);
    trace.run("1 open desk unix: > unix:/run/vm.sock\n1 init main 7");
    let Record { client, server, network, .. } = &trace.records[0];
    assert_eq!((server.address.as_deref(), server.ip, server.port), (Some("/run/vm.sock"), None, None));
    assert_eq!((client.address.as_deref(), network.transport.as_deref()), (None, Some("unix")));
    assert_eq!((network.kind.as_deref(), network.community_id.as_deref()), (None, None));
}

#[test]
fn outcome_follows_the_reason() {
    let mut trace = Trace::new(Source::Relay);
    trace.run(
        "
        1 open desk a:1 > b:5900
        1 init main 7
        1 end server-reset
        1 close
        2 open desk a:2 > b:5900
        2 anomaly result 7
        2 end server
        2 close
        3 open desk a:3 > b:5900
        3 end none
        3 close
        ",
    );
    let outcomes: Vec<_> = trace.records.iter().map(|record| record.event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Success, Outcome::Failure, Outcome::Failure, Outcome::Unknown]);
    assert_eq!(trace.records[2].spice.stage, Stage::Auth);
}

#[test]
fn long_session_lists_a_bounded_number_of_channels() {
    let mut trace = Trace::new(Source::Relay);
    trace.run("1 open desk a:1 > b:5900\n1 init main 7\n1 traffic 10 10");
    for number in 2..1000 {
        let steps = format!("{number} open desk a:2 > b:5900\n{number} traffic 1 2\n{number} init usbredir 7\n");
        trace.run(&format!("{steps}{number} end client\n{number} close"));
    }
    trace.run("1 end client\n1 close");
    let ended = trace.records.last().unwrap();
    assert_eq!(ended.spice.channels.len(), Config::MAX_CHANNELS);
    assert_eq!(ended.spice.channels.len() as u64 + ended.spice.channels_omitted, 999);
    assert_eq!((ended.client.bytes, ended.server.bytes), (Some(10 + 998), Some(10 + 2 * 998)));
    assert_eq!(ended.spice.channels[0].name.as_deref(), Some("main"), "an open channel stays listed");
}

#[test]
fn connections_over_the_limit_are_counted_and_not_followed() {
    let mut config = Config::new(Source::Relay, [7; 16]);
    config.max_connections = 1;
    let mut trace = Trace::with(config);
    let lines = trace.run("1 open desk a:1 > b:5900\n2 open desk a:2 > b:5900\n2 init main 7\n2 close\n1 init main 8");
    assert_eq!(lines, "started s1 vm=desk client=a id=8\n");
    assert_eq!(trace.sessions.counters().not_followed, 1);
}

#[test]
fn refused_links_wait_in_a_bounded_number() {
    let mut trace = Trace::new(Source::Relay);
    let count = Config::MAX_WAITING + 10;
    let mut lines = String::new();
    for number in 1..=count {
        lines += &trace.run(&format!(
            "{number} open desk a:1 > b:5900\n{number} anomaly reply 5\n{number} end server\n{number} close\n"
        ));
        // All at one moment.
        trace.now -= 4000;
    }
    assert_eq!(lines.matches("need_secured").count(), 10);
    assert_eq!(trace.run("flush").matches("need_secured").count(), Config::MAX_WAITING);
    assert_eq!(trace.records[0].event.reason, Some(Reason::NeedSecured));
}
