//! The SASL exchange at the acceptor: its lengths and names, in any cut.

use arbitrary::Unstructured;
use spice_link::{AcceptStatus, CloseReason, LinkAcceptor, sasl};

use crate::{
    generate::{Arbitrary, Mess, Reply, SaslExchange},
    model::ModelHost,
};

/// Choices of an exchange, with a length that may be bent: the acceptor answers in any cut the same, and what the rules say. A
/// name of 0 or more than 100 bytes is not answered; one that is not offered, and first data of more than 1 MiB, get
/// INVALID_DATA; later data of that size is not answered.
pub fn sasl(choices: &[u8]) {
    let Ok(exchange) = SaslExchange::arbitrary(&mut Unstructured::new(choices)) else { return };
    let [name, data] = exchange.start();
    let mut input = Mess { common: vec![0xd], ..Mess::default() }.bytes();
    input.extend(2u32.to_le_bytes());
    let before = serve(&exchange, &input, usize::MAX).0.len();
    input.extend(name.iter().chain(&data));
    for step in exchange.steps.iter().skip(1) {
        input.extend(SaslExchange::field(&step.client));
    }
    let whole = serve(&exchange, &input, usize::MAX);
    for size in [1, 3, 17] {
        assert_eq!(serve(&exchange, &input, size), whole, "in cuts of {size}: {exchange:?}");
    }

    let length = |field: &[u8]| field.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    let (name_length, data_length) = (length(&name), length(&data));
    let answer = &whole.0[before..];
    if name_length == 0 || name_length > sasl::MAX_NAME {
        assert_eq!(answer, b"", "{exchange:?}");
        assert!(matches!(whole.1, AcceptStatus::Close(_)), "{:?}", whole.1);
    } else if exchange.bent.is_none() {
        let offered = exchange.list.split(|byte| *byte == b',').any(|one| one == exchange.name);
        if !offered {
            assert_eq!((answer, whole.1), (&*Reply::refusal(3).bytes(), AcceptStatus::Close(CloseReason::SaslField)));
        } else if exchange.verdict == 0 {
            assert!(matches!(whole.1, AcceptStatus::Linked(_)), "{:?}: {exchange:?}", whole.1);
        } else {
            assert_eq!(whole.1, AcceptStatus::Close(CloseReason::SaslWeak));
        }
    } else if data_length > sasl::MAX_DATA && name_length as usize == exchange.name.len() {
        assert!(answer.starts_with(b"REDQ"), "{exchange:?}");
    }
}

/// A name for the exchange that these choices make; for seeds.
pub fn outcome(choices: &[u8]) -> Option<String> {
    let exchange = SaslExchange::arbitrary(&mut Unstructured::new(choices)).ok()?;
    let bent = exchange.bent.map_or("straight", |(which, _)| if which == 0 { "bent-name" } else { "bent-data" });
    let verdict = if exchange.verdict == 0 { "accepted" } else { "weak" };
    Some(format!("{bent}-{verdict}-{}-steps{}", exchange.steps.len(), if exchange.layer { "-layer" } else { "" }))
}

/// What the acceptor says to these bytes, in cuts of `size`, and how it ends.
fn serve(exchange: &SaslExchange, input: &[u8], size: usize) -> (Vec<u8>, AcceptStatus) {
    let mut server = ModelHost::new(&[]);
    server.sasl = Some(exchange.clone());
    let (mut link, mut out) = (LinkAcceptor::new(), [0; 4096]);
    let (mut unread, mut said, mut last) = (Vec::new(), Vec::new(), AcceptStatus::Need(4));
    for chunk in input.chunks(size.min(input.len())) {
        unread.extend(chunk);
        let turn = link.read(&mut server, &unread, &mut out);
        assert!(!matches!(turn.outcome, AcceptStatus::Room(_)), "{:?}", turn.outcome);
        unread.drain(..turn.consumed);
        said.extend(&out[..turn.written]);
        last = turn.outcome;
    }
    (said, last)
}
