use arbitrary::{Arbitrary, Result, Unstructured};

use super::{few_bytes, near, rarely, word};

/// A SASL exchange inside the link stage, as both ends put it on the wire: from the list of mechanisms on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslExchange {
    /// The server's list of mechanisms.
    pub list: Vec<u8>,
    /// The client's choice.
    pub name: Vec<u8>,
    /// What each side sends in turn; never empty.
    pub steps: Vec<SaslStep>,
    /// The word that ends it: 0 accepted, 1 refused.
    pub verdict: u32,
    /// A security layer follows: frames with a big-endian length.
    pub layer: bool,
    /// A wrong length word: of the name (0) or of the first client data (1).
    pub bent: Option<(u8, u32)>,
}

/// One step of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslStep {
    /// The client's data.
    pub client: Vec<u8>,
    /// The server's answer.
    pub server: Vec<u8>,
}

impl Default for SaslExchange {
    /// DIGEST-MD5's shape: a challenge, a response, a proof.
    fn default() -> Self {
        let step = |client: &[u8], server: &[u8]| SaslStep { client: client.to_vec(), server: server.to_vec() };
        Self {
            list: b",DIGEST-MD5,".to_vec(),
            name: b"DIGEST-MD5".to_vec(),
            steps: vec![step(b"", b"challenge\0"), step(b"response\0", b"proof\0")],
            verdict: 0,
            layer: false,
            bent: None,
        }
    }
}

impl SaslExchange {
    /// A field as it goes on the wire: its length and its bytes.
    pub fn field(bytes: &[u8]) -> Vec<u8> {
        [&word(bytes.len()).to_le_bytes(), bytes].concat()
    }

    /// The client's name and first data, with the length that is bent.
    pub fn start(&self) -> [Vec<u8>; 2] {
        let data = self.steps.first().map_or(&[][..], |step| &step.client);
        let mut fields = [Self::field(&self.name), Self::field(data)];
        if let Some((which, length)) = self.bent
            && let Some(field) = fields.get_mut(usize::from(which))
        {
            field[..4].copy_from_slice(&length.to_le_bytes());
        }
        fields
    }

    /// The server's answer to step `index`, with its flag.
    pub fn answer(&self, index: usize) -> Vec<u8> {
        let data = self.steps.get(index).map_or(&[][..], |step| &step.server);
        let mut out = Self::field(data);
        out.push(u8::from(index + 1 >= self.steps.len()));
        out
    }

    /// Bytes on the wire after the exchange: in a frame if a security layer was negotiated. A real layer would encrypt them. Here
    /// they stay as they are, because no reader can decrypt them.
    pub fn wrap(&self, bytes: &[u8]) -> Vec<u8> {
        if self.layer { [&word(bytes.len()).to_be_bytes(), bytes].concat() } else { bytes.to_vec() }
    }
}

impl<'a> Arbitrary<'a> for SaslExchange {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut exchange = Self { layer: u.arbitrary()?, verdict: u32::from(rarely(u, 8)?), ..Self::default() };
        if rarely(u, 2)? {
            exchange.list = u.choose(&[&b"PLAIN"[..], b",PLAIN,", b",SCRAM-SHA-1,GSSAPI,"])?.to_vec();
            exchange.name = u.choose(&[&b"PLAIN"[..], b"GSSAPI", &[b'A'; 100]])?.to_vec();
            let steps = u.int_in_range(1..=4)?;
            exchange.steps = (0..steps)
                .map(|_| Ok(SaslStep { client: few_bytes(u, 40)?, server: few_bytes(u, 40)? }))
                .collect::<Result<_>>()?;
        }
        if rarely(u, 8)? {
            let bounds: [&[u32]; 2] = [&[0, 100], &[0, 1 << 20, u32::MAX]];
            let which = u.int_in_range(0..=1)?;
            exchange.bent = Some((which, near(u, 5, bounds[usize::from(which)])?));
        }
        Ok(exchange)
    }
}
