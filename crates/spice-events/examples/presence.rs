//! A tokio proxy that keeps presence: who is connected to a SPICE server now. `cargo run --example presence -- LISTEN UPSTREAM`
//!
//! It prints a line whenever a channel comes or goes: each client, its session, and the number of its channels. The tracker has no socket
//! and no task of its own: one task owns it, and the connections' tasks send it what they forward. `spice-relay` has a relay for production.

use std::{collections::BTreeMap, error::Error, time::SystemTime};

use spice_events::{Config, Endpoints, FlowId, Input, Output, Side, Tracker};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// What a connection tells the tracker's task.
enum News {
    Opened(Endpoints<std::net::SocketAddr>),
    Bytes(Side, Vec<u8>),
    Closed,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("expected two addresses: where to listen, and the SPICE server's".into());
    };
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    // Bounded: when the tracker is behind, the connections wait.
    let (tell, news) = mpsc::channel(1024);
    tokio::spawn(keep_presence(news));
    for id in 1.. {
        let (client, _) = listener.accept().await?;
        let (tell, upstream) = (tell.clone(), upstream.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(FlowId(id), client, &upstream, &tell).await {
                eprintln!("connection {id}: {error}");
            }
            // QEMU sends SPICE_DISCONNECTED when the server has closed.
            let _ = tell.send((FlowId(id), News::Closed)).await;
        });
    }
    Ok(())
}

/// One connection: both directions at the same time, each forwarded before it is shown.
async fn serve(
    flow: FlowId,
    client: TcpStream,
    upstream: &str,
    tell: &mpsc::Sender<(FlowId, News)>,
) -> std::io::Result<()> {
    let endpoints = Endpoints { server: client.local_addr()?, client: client.peer_addr()? };
    let _ = tell.send((flow, News::Opened(endpoints))).await;
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = copy(flow, Side::Client, from_client, to_server, tell);
    let down = copy(flow, Side::Server, from_server, to_client, tell);
    // The server's end ends the connection, whatever the client still does.
    tokio::select! {
        result = down => result,
        result = async { up.await?; std::future::pending().await } => result,
    }
}

async fn copy(
    flow: FlowId,
    from: Side,
    mut input: impl AsyncReadExt + Unpin,
    mut output: impl AsyncWriteExt + Unpin,
    tell: &mpsc::Sender<(FlowId, News)>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = input.read(&mut buffer).await?;
        if read == 0 {
            return output.shutdown().await;
        }
        output.write_all(&buffer[..read]).await?;
        let _ = tell.send((flow, News::Bytes(from, buffer[..read].to_vec()))).await;
    }
}

/// Owns the tracker, and prints the clients that are connected.
async fn keep_presence(mut news: mpsc::Receiver<(FlowId, News)>) {
    let mut tracker = Tracker::new(Config::new());
    let mut shown = tracker.generation();
    while let Some((flow, news)) = news.recv().await {
        let input = match &news {
            News::Opened(endpoints) => Input::Opened { endpoints: (*endpoints).into(), tls: false, readable: true },
            News::Bytes(from, data) if tracker.wants(flow) => Input::Bytes { from: *from, data },
            News::Bytes(..) => continue,
            News::Closed => Input::Closed { by: Some(Side::Server) },
        };
        tracker.handle(SystemTime::now().into(), flow, input);
        while let Some(output) = tracker.poll() {
            if let Output::Anomaly(anomaly) = output {
                eprintln!("{anomaly}");
            }
        }
        if tracker.generation() != shown {
            shown = tracker.generation();
            println!("{}", present(&tracker));
        }
    }
}

/// Each client with the number of its channels.
fn present(tracker: &Tracker) -> String {
    let mut clients = BTreeMap::<_, usize>::new();
    for live in tracker.channels() {
        let client = live.connection.endpoints.client.host.to_string();
        *clients.entry((client, live.channel.connection_id)).or_default() += 1;
    }
    let one = |((client, session), channels): (&(String, i32), &usize)| {
        format!("{client} session {session}: {channels} channels")
    };
    if clients.is_empty() { "no client".to_owned() } else { clients.iter().map(one).collect::<Vec<_>>().join(", ") }
}
