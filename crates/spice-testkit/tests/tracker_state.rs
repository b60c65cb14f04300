//! A tracker that moves to another process, at any byte, gives the same events and anomalies as one that stays.

use std::{collections::HashMap, sync::OnceLock};

use proptest::prelude::*;
use serde_json::Value;
use spice_events::{Address, Config, Endpoints, FlowId, Input, Side, Timestamp, Tracker};
use spice_testkit::{
    captures,
    packets::{Packets, Rng, Segment},
};

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Step {
    Opened(Endpoints),
    Bytes(Side, Vec<u8>),
    Closed(Side),
}

/// Bytes of each direction that are replayed: a link stage is shorter.
const KEPT: usize = 2 * 1024;

/// The committed captures, by name.
fn captures() -> &'static [(String, Packets)] {
    static CAPTURES: OnceLock<Vec<(String, Packets)>> = OnceLock::new();
    CAPTURES.get_or_init(|| {
        let all = captures::all().expect("the captures are there");
        let read = |capture: captures::Capture| {
            let bytes = capture.bytes().expect("a capture is read");
            (capture.name.clone(), Packets::parse(&bytes).expect("a capture is well formed"))
        };
        all.into_iter().map(read).collect()
    })
}

/// What a capture shows, with payload in random pieces.
fn steps(packets: &Packets, rng: &mut Rng) -> Vec<(FlowId, Step)> {
    let address = |end: &[u8]| Address { port: format!("{end:?}").into(), ..Address::unix("") };
    let mut open: HashMap<[Vec<u8>; 2], (FlowId, [usize; 2])> = HashMap::new();
    let (mut steps, mut next) = (Vec::new(), 1);
    for Segment { from, to, opens, ends, payload } in packets.segments() {
        if opens {
            open.insert([from.clone(), to.clone()], (FlowId(next), [0; 2]));
            steps.push((FlowId(next), Step::Opened(Endpoints { server: address(&to), client: address(&from) })));
            next += 1;
            continue;
        }
        let (side, key) = if open.contains_key(&[from.clone(), to.clone()]) {
            (Side::Client, [from, to])
        } else {
            (Side::Server, [to, from])
        };
        let Some((flow, seen)) = open.get_mut(&key) else { continue };
        let seen = &mut seen[usize::from(side == Side::Server)];
        let mut rest = &payload[..payload.len().min(KEPT.saturating_sub(*seen))];
        *seen += rest.len();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(rest.len().min(1 + rng.below(40)));
            steps.push((*flow, Step::Bytes(side, piece.to_vec())));
            rest = left;
        }
        if ends && side == Side::Server {
            steps.push((*flow, Step::Closed(side)));
            open.remove(&key);
        }
    }
    steps
}

fn handle(tracker: &mut Tracker, at: usize, (flow, step): &(FlowId, Step)) -> Vec<String> {
    let at = Timestamp { seconds: i64::try_from(at).unwrap_or(i64::MAX), microseconds: 0 };
    let input = match step {
        Step::Opened(endpoints) => Input::Opened { endpoints: endpoints.clone(), tls: false, readable: true },
        Step::Bytes(from, data) => Input::Bytes { from: *from, data },
        Step::Closed(by) => Input::Closed { by: Some(*by) },
    };
    tracker.handle(at, *flow, input);
    std::iter::from_fn(|| tracker.poll()).map(|output| format!("{output:?}")).collect()
}

/// Writes the tracker's state, and reads it.
fn moved(tracker: &Tracker) -> Tracker {
    let text = serde_json::to_string(&tracker.state()).expect("a state is written");
    let state = serde_json::from_str(&text).expect("a state is read as it was written");
    let moved = Tracker::restore(Config::new(), state).expect("a tracker's own state is valid");
    assert_eq!(serde_json::to_string(&moved.state()).expect("it is written again"), text, "the same state again");
    moved
}

/// Changes some numbers, words and flags of a state.
fn damage(value: &mut Value, chance: usize, rng: &mut Rng) {
    match value {
        Value::Array(all) => {
            if rng.below(chance * 10) == 0 && !all.is_empty() {
                let again = all[rng.below(all.len())].clone();
                all.push(again);
            }
            for value in all {
                damage(value, chance, rng);
            }
        }
        Value::Object(all) => {
            for value in all.values_mut() {
                damage(value, chance, rng);
            }
        }
        _ if rng.below(chance) != 0 => {}
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(_) => {
            let numbers = [0, 1, 4, 255, u64::from(u32::MAX), u64::MAX];
            *value = numbers[rng.below(numbers.len())].into();
        }
        Value::String(_) | Value::Null => *value = Value::Null,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tracker_that_moves_gives_the_same_outputs(seed: u64, every in 8usize..60) {
        let rng = &mut Rng::new(seed);
        for (name, packets) in captures() {
            let steps = steps(packets, rng);
            let (mut stays, mut moves) = (Tracker::new(Config::new()), Tracker::new(Config::new()));
            for (at, step) in steps.iter().enumerate() {
                if rng.below(every) == 0 {
                    moves = moved(&moves);
                }
                let expected = handle(&mut stays, at, step);
                prop_assert_eq!(handle(&mut moves, at, step), expected, "{}, step {}: {:?}", name, at, step);
            }
            prop_assert_eq!((moves.len(), moves.held()), (stays.len(), stays.held()));
        }
    }

    #[test]
    fn damaged_state_is_refused_or_harmless(seed: u64, chance in 1usize..200) {
        let rng = &mut Rng::new(seed);
        for (_, packets) in captures() {
            let steps = steps(packets, rng);
            let mut tracker = Tracker::new(Config::new());
            let cut = rng.below(steps.len());
            for (at, step) in steps[..cut].iter().enumerate() {
                handle(&mut tracker, at, step);
            }
            let mut state = serde_json::to_value(tracker.state()).unwrap();
            damage(&mut state, chance, rng);
            let Ok(state) = serde_json::from_value(state) else { continue };
            let Ok(mut damaged) = Tracker::restore(Config::new(), state) else { continue };
            for (at, step) in steps.iter().enumerate().skip(cut) {
                handle(&mut damaged, at, step);
            }
        }
    }
}
