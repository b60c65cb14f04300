//! TLS with a key log: the same plaintext and the same verdict in any cut, and bounded.

use spice_capture::{
    spice_events::{Side, Timestamp},
    tls::{Decryptor, KeyLog, MAX_HELD, MAX_RECORD, Next, Unreadable},
};

/// The key log's text, a zero byte, then pieces of the two directions: two bytes of side (the top bit says server) and length,
/// big-endian, then as many bytes. A piece of length 0 is a gap of one byte.
///
/// Any cut of the pieces gives the same plaintext and the same report of what can't be read; no more comes out than went
/// in, and what is held is bounded.
pub fn tls_records(data: &[u8]) {
    let (text, pieces) = data.iter().position(|byte| *byte == 0).map_or((data, &[][..]), |at| data.split_at(at));
    let pieces = self::pieces(pieces.get(1..).unwrap_or_default());
    let mut keys = KeyLog::new();
    for text in text.chunks(1 + text.len() / 3) {
        keys.push(text);
    }
    keys.end_line();
    let whole = decrypt(&keys, &pieces, MAX_RECORD);
    let cut = 1 + usize::from(data.last().copied().unwrap_or_default());
    assert_eq!(whole, decrypt(&keys, &pieces, cut), "in pieces of {cut} bytes");
    // With a log that may still grow, connections wait for secrets: that is bounded too.
    decrypt(&keys.growing(), &pieces, MAX_RECORD);
}

/// Splits bytes into pieces of two directions, as [`tls_records`] takes them.
pub(super) fn pieces(mut data: &[u8]) -> Vec<(Side, &[u8])> {
    let mut pieces = Vec::new();
    while let Some((&[high, low], rest)) = data.split_first_chunk() {
        let side = if high & 0x80 == 0 { Side::Client } else { Side::Server };
        let len = usize::from(u16::from_be_bytes([high & 0x7f, low])).min(rest.len());
        pieces.push((side, &rest[..len]));
        data = &rest[len..];
    }
    pieces
}

/// The plaintext of client and server, and the report.
fn decrypt(keys: &KeyLog, pieces: &[(Side, &[u8])], cut: usize) -> ([Vec<u8>; 2], Vec<String>) {
    let (mut decryptor, mut plain, mut said) = (Decryptor::new(), [Vec::new(), Vec::new()], Vec::new());
    let (mut pushed, mut at) = ([0; 2], Timestamp { seconds: 0, microseconds: 0 });
    for (from, data) in pieces {
        let before = plain.clone();
        at.seconds += 1;
        if data.is_empty() {
            decryptor.lose(*from, 1);
        }
        let over = decryptor.is_over();
        // Without a piece there is still the gap to be told of.
        for data in data.chunks(cut).chain(data.is_empty().then_some(&[][..])) {
            pushed[usize::from(*from == Side::Server)] += data.len();
            decryptor.push(at, *from, data);
            loop {
                match decryptor.next(keys) {
                    Ok(Next::Plaintext(record)) => {
                        assert!(!record.data.is_empty() && record.at <= at);
                        plain[usize::from(record.from == Side::Server)].extend_from_slice(record.data);
                    }
                    Ok(Next::Need(_)) => break,
                    Err(error) => said.push(name(&error)),
                }
            }
            assert!(decryptor.held() <= 2 * MAX_HELD);
        }
        assert!(!over || (plain == before && decryptor.held() == 0), "nothing comes after the end");
    }
    assert!(plain.iter().zip(pushed).all(|(plain, pushed)| plain.len() <= pushed));
    assert!(said.len() <= 2, "each direction ends once: {said:?}");
    (plain, said)
}

/// What does not depend on the cut: of a start that is no record, fewer bytes are seen where fewer have come.
fn name(error: &Unreadable) -> String {
    match error {
        Unreadable::NotTls { from, .. } => format!("no TLS: {from}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Records of any content, so that more than the first byte of a header is looked at.
        #[test]
        fn any_records_do_no_harm(
            records in prop::collection::vec(
                (any::<bool>(), 20..25_u8, prop::collection::vec(any::<u8>(), 0..80)),
                0..20,
            ),
            cut in any::<u8>(),
        ) {
            let mut data = vec![0];
            for (server, content, body) in records {
                let len = u8::try_from(body.len()).unwrap();
                data.extend([if server { 0x80 } else { 0 }, len + 5, content, 3, 3, 0, len]);
                data.extend(body);
            }
            data.push(cut);
            tls_records(&data);
        }
    }
}
