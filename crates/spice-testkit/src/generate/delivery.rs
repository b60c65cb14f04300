use std::ops::Range;

use arbitrary::{Result, Unstructured};
use spice_link::Side;

/// A run of one direction's bytes that arrives at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Who sent it.
    pub from: Side,
    /// Where it lies in that direction's stream.
    pub range: Range<usize>,
}

/// How two streams arrive: each in order, in any cut, the two in any interleaving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery(pub Vec<Chunk>);

impl Delivery {
    /// One whole stream, then the other.
    pub fn whole(first: Side, lens: [usize; 2]) -> Self {
        Self::cut(first, lens, usize::MAX)
    }

    /// The two streams in turn, `size` bytes at a time.
    pub fn cut(first: Side, [client, server]: [usize; 2], size: usize) -> Self {
        let mut at = [0; 2];
        let mut chunks = Vec::new();
        while at != [client, server] {
            for from in [first, first.peer()] {
                let (at, end) = match from {
                    Side::Client => (&mut at[0], client),
                    Side::Server => (&mut at[1], server),
                };
                if *at < end {
                    let to = at.saturating_add(size).min(end);
                    chunks.push(Chunk { from, range: *at..to });
                    *at = to;
                }
            }
        }
        Self(chunks)
    }

    /// Any delivery of streams of these lengths: the client's, the server's. The plain one is client first, whole.
    pub fn of(u: &mut Unstructured<'_>, lens: [usize; 2]) -> Result<Self> {
        Ok(match u.int_in_range(0..=4)? {
            0 => Self::whole(Side::Client, lens),
            1 => Self::whole(Side::Server, lens),
            2 => Self::cut(Side::Server, lens, 1),
            3 => Self::cut(Side::Client, lens, u.int_in_range(1..=40)?),
            _ => Self::random(u, lens)?,
        })
    }

    fn random(u: &mut Unstructured<'_>, [client, server]: [usize; 2]) -> Result<Self> {
        let (mut at, mut chunks) = ([0; 2], Vec::new());
        while !u.is_empty() && at != [client, server] {
            let from = if u.arbitrary()? { Side::Server } else { Side::Client };
            let (at, end) = match from {
                Side::Client => (&mut at[0], client),
                Side::Server => (&mut at[1], server),
            };
            let to = at.saturating_add(usize::from(u.arbitrary::<u8>()?)).min(end);
            if to > *at {
                chunks.push(Chunk { from, range: *at..to });
                *at = to;
            }
        }
        let rest = [(Side::Client, at[0]..client), (Side::Server, at[1]..server)];
        chunks
            .extend(rest.into_iter().filter(|(_, range)| !range.is_empty()).map(|(from, range)| Chunk { from, range }));
        Ok(Self(chunks))
    }

    /// The chunks with their bytes.
    pub fn play<'a>(&self, client: &'a [u8], server: &'a [u8]) -> impl Iterator<Item = (Side, &'a [u8])> {
        self.0.iter().map(move |Chunk { from, range }| match from {
            Side::Client => (*from, client.get(range.clone()).unwrap_or_default()),
            Side::Server => (*from, server.get(range.clone()).unwrap_or_default()),
        })
    }
}
