//! Reading the link stage: one message beside the peer and beside the least that any reader must do, and one channel's
//! whole way from accept to `SPICE_INITIALIZED`.

use divan::{AllocProfiler, Bencher, black_box, counter::BytesCount};
use spice_events::{Address, Config, FlowId, Input, Side, Timestamp, Tracker};
use spice_link::{ChannelType, LinkMess};
use spicewatch_benches::{display_mess, mechanism_and_ticket, mess, reply, result_and_main_init};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

mod header_and_mess {
    use super::*;

    #[divan::bench]
    fn spice_link(bencher: Bencher<'_, '_>) {
        let bytes = display_mess();
        bencher.counter(BytesCount::of_slice(&bytes)).bench(|| LinkMess::parse(black_box(&bytes)));
    }

    /// The fields alone, with one check of the length: what no reader can go below.
    #[divan::bench]
    fn fields_by_hand(bencher: Bencher<'_, '_>) {
        let bytes = display_mess();
        bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
            let bytes: &[u8; 42] = black_box(&bytes[..]).try_into().ok()?;
            let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            Some((word(0), word(4), word(12), word(16), bytes[20], bytes[21], word(22), word(26), word(30)))
        });
    }

    #[cfg(feature = "peers")]
    #[divan::bench]
    fn shakenfist_spice_protocol(bencher: Bencher<'_, '_>) {
        use shakenfist_spice_protocol::link::{SpiceLinkHeader, SpiceLinkMess};
        let bytes = display_mess();
        bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
            let bytes = black_box(&bytes[..]);
            (SpiceLinkHeader::parse(bytes).is_ok(), SpiceLinkMess::parse(&bytes[16..]))
        });
    }
}

/// One channel from accept to `SPICE_INITIALIZED`, then its end: eight inputs, three events.
#[divan::bench]
fn channel_through_the_tracker(bencher: Bencher<'_, '_>) {
    let (mess, reply) = (mess(0, ChannelType::MAIN, 0), reply());
    let (auth, result) = (mechanism_and_ticket(), result_and_main_init(0xc769_5ccb));
    let at = Timestamp { seconds: 1_795_370_794, microseconds: 696_984 };
    let mut tracker = Tracker::new(Config::new());
    let mut number = 0;
    bencher
        .with_inputs(|| [5900, 58500].map(|port| Address::from(([127, 0, 0, 1].into(), port))))
        .bench_local_values(|[server, client]| {
            number += 1;
            let flow = FlowId(number);
            tracker.handle(at, flow, Input::Opened { server, client, tls: false, readable: true });
            for (from, data) in [
                (Side::Client, &mess[..]),
                (Side::Server, &reply[..194]),
                (Side::Server, &reply[194..198]),
                (Side::Server, &reply[198..]),
                (Side::Client, &auth[..]),
                (Side::Server, &result[..]),
            ] {
                tracker.handle(at, flow, Input::Bytes { from, data });
            }
            tracker.handle(at, flow, Input::Closed { by: Some(Side::Client) });
            std::iter::from_fn(|| tracker.poll()).count()
        });
}
