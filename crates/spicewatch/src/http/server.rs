//! Connections: their number, and how long they may take.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    runtime::Builder,
    sync::Notify,
    time::{sleep, timeout},
};

use super::{Content, HttpListener, events, routes, stall::StallLimit};

/// Clients at a time.
pub(super) const MAX_CLIENTS: usize = 64;

/// How long a client may take to send the head of a request, or wait before it sends the next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long a client may read nothing.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the head of a request.
const MAX_HEAD: usize = 16 << 10;

/// Header fields of a request.
const MAX_FIELDS: usize = 64;

/// Threads that read the table and the history, at most.
const BLOCKING_THREADS: usize = 4;

/// What a client over the limit is told.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 83\r\nRetry-After: 5\r\nConnection: close\r\n\r\n{\"error\":{\"code\":\"too-many-clients\",\"message\":\"too many clients; try again later\"}}";

/// Serves until the process ends, in a thread of its own.
pub(crate) fn start(listener: &HttpListener, content: Content) -> io::Result<HttpServer> {
    let accept: Accept = match listener {
        HttpListener::Unix(socket) => {
            let listener = socket.listener().try_clone()?;
            listener.set_nonblocking(true)?;
            Accept::Unix(listener)
        }
        HttpListener::Tcp(listener, _) => {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            Accept::Tcp(listener)
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("http")
        .build()?;
    let (feed, hub) = (Arc::clone(&content.feed), content.hub.clone());
    let router = routes::router(content, listener.is_tcp());
    let stop = Arc::<Notify>::default();
    let stopped = Arc::clone(&stop);
    thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(async move {
            tokio::spawn(events::keep_updating(hub, feed));
            let served = async {
                match accept {
                    Accept::Unix(listener) => serve_unix(UnixListener::from_std(listener), router).await,
                    Accept::Tcp(listener) => serve_tcp(TcpListener::from_std(listener), router).await,
                }
            };
            tokio::select! {
                served = served => {
                    if let Err(error) = served {
                        tracing::error!(%error, "HTTP is not served");
                    }
                }
                () = stopped.notified() => {}
            }
        });
    })?;
    Ok(HttpServer(stop))
}

/// A running server. Dropping it changes nothing.
#[derive(Debug)]
pub(crate) struct HttpServer(Arc<Notify>);

impl HttpServer {
    /// Stops accepting, and ends all clients.
    pub(crate) fn stop(&self) {
        self.0.notify_one();
    }
}

enum Accept {
    Unix(std::os::unix::net::UnixListener),
    Tcp(std::net::TcpListener),
}

async fn serve_unix(listener: io::Result<UnixListener>, router: Router) -> io::Result<()> {
    let (listener, clients) = (listener?, Arc::default());
    loop {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        accepted_client(accepted, &router, &clients).await;
    }
}

async fn serve_tcp(listener: io::Result<TcpListener>, router: Router) -> io::Result<()> {
    let (listener, clients) = (listener?, Arc::default());
    loop {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        if let Ok(stream) = &accepted {
            let _ = stream.set_nodelay(true);
        }
        accepted_client(accepted, &router, &clients).await;
    }
}

/// A client's place. Dropping it makes room for another one.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn accepted_client<S>(accepted: io::Result<S>, router: &Router, clients: &Arc<AtomicUsize>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(mut stream) = accepted else {
        // Mostly, the process has no descriptor left.
        return sleep(Duration::from_millis(100)).await;
    };
    let place = Place(Arc::clone(clients));
    if clients.fetch_add(1, Ordering::AcqRel) >= MAX_CLIENTS {
        let _ = timeout(Duration::from_millis(100), stream.write_all(TOO_MANY)).await;
        return;
    }
    let service = TowerToHyperService::new(router.clone());
    tokio::spawn(async move {
        let _place = place;
        let stream = TokioIo::new(StallLimit::new(stream, READ_PATIENCE));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(MAX_HEAD).max_headers(MAX_FIELDS);
        // Fails if the client has sent no HTTP, was too slow or went away: nothing to tell.
        let _ = http.serve_connection(stream, service).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_has_the_length_that_it_says() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
