//! Connections, before there is a request.
//!
//! Knows how many there may be at once, and that one which asks nothing makes room for one that may:
//! whoever opens many and stays silent shuts nobody out. HTTP/1.1 alone is spoken. Refuses to know
//! addresses and requests.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// A request's line and headers. Cookies, a token and a page's filters need a small part of it.
const HEAD: usize = 64 * 1024;
/// Between looks for a connection that makes room.
const POLL: Duration = Duration::from_millis(50);
/// Before the next try, where the system gives no descriptor.
const EXHAUSTED: Duration = Duration::from_millis(500);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So many at once; one more waits for a place.
    pub connections: usize,
    /// For a request's head to come, counted from the opening of the connection or the answer before.
    /// Load balancers keep idle connections for 60 s; ours must not end first.
    pub head: Duration,
    /// For the client to take up a part of an answer.
    pub write: Duration,
}

impl Limits {
    /// The most that serve more people than one installation has.
    const CONNECTIONS: usize = 1024;

    /// What fits this process: half of the files that it may open, as the database, AWS and the
    /// trails need theirs.
    #[must_use]
    pub fn of_process() -> Self {
        let files = descriptors().unwrap_or(usize::MAX);
        let connections = (files / 2).clamp(1, Self::CONNECTIONS);
        Self { connections, head: Duration::from_secs(75), write: Duration::from_secs(30) }
    }
}

#[cfg(unix)]
fn descriptors() -> Option<usize> {
    usize::try_from(rustix::process::getrlimit(rustix::process::Resource::Nofile).current?).ok()
}

#[cfg(not(unix))]
fn descriptors() -> Option<usize> {
    None
}

/// Answers connections until `stop`; then what was asked is still answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let idle = Arc::new(Idle::default());
    while let Some((stream, peer)) = stop.run_until_cancelled(accept(&listener)).await {
        let Some(Some(place)) = stop.run_until_cancelled(place(&places, &idle)).await else { break };
        let connection = Connection::new(idle.clone());
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            connection.hold(stream, peer, router, limits, stop).await;
            drop(place);
        });
    }
    drop(listener);
    // Who asks nothing is not waited for.
    while idle.end_oldest() {}
    // All places are free again once the last connection has ended.
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    drop(places.acquire_many(all).await);
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client went away again.
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::warn!(error = crate::error::chain(&error), "cannot take a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

fn is_of_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A place for one more connection. Where none is free, the one that has asked nothing for the longest
/// time makes room; where all are being answered, one of them has to end.
async fn place(places: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        idle.end_oldest();
        if let Ok(place) = tokio::time::timeout(POLL, places.clone().acquire_owned()).await {
            return place.ok();
        }
    }
}

fn timed(stream: TcpStream, write: Duration) -> TimeoutStream<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection is slower than it could be");
    }
    let mut timed = TimeoutStream::new(stream);
    timed.set_write_timeout(Some(write));
    timed
}

async fn answer(
    router: Router,
    connection: Arc<Connection>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let work = Work::on(connection);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = router.oneshot(request).await?;
    // The connection works until the whole answer is on its way.
    Ok(answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _still = &work;
            frame
        }))
    }))
}

/// The connections that wait for a request, in the order in which they began to.
#[derive(Default)]
struct Idle {
    waiting: Mutex<BTreeMap<u64, CancellationToken>>,
    next: AtomicU64,
}

impl Idle {
    /// Ends the connection that waits the longest; `false` where none waits.
    fn end_oldest(&self) -> bool {
        let oldest = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
        oldest.map(|(_, end)| end.cancel()).is_some()
    }
}

struct Connection {
    idle: Arc<Idle>,
    /// Under which it waits.
    number: AtomicU64,
    end: CancellationToken,
}

impl Connection {
    fn new(idle: Arc<Idle>) -> Arc<Self> {
        let connection = Arc::new(Self { idle, number: AtomicU64::new(0), end: CancellationToken::new() });
        connection.rests();
        connection
    }

    /// Answers what the connection asks, until it ends or has to.
    async fn hold(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        router: Router,
        limits: Limits,
        stop: CancellationToken,
    ) {
        let io = TokioIo::new(Box::pin(timed(stream, limits.write)));
        let ours = self.clone();
        let service = service_fn(move |request| answer(router.clone(), ours.clone(), peer, request));
        {
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .max_buf_size(HEAD)
                .serve_connection(io, service);
            let mut serving = pin!(serving);
            let ended = tokio::select! {
                ended = serving.as_mut() => ended,
                () = self.end.cancelled() => Ok(()),
                () = stop.cancelled() => {
                    // The answer under way is the last.
                    serving.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = serving => ended,
                        () = self.end.cancelled() => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, error = crate::error::chain(&error), "a connection ended early");
            }
        }
        // Not before the connection itself is gone, which rests once more as it goes.
        self.works();
    }

    fn rests(&self) {
        let mut waiting = self.idle.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.idle.next.fetch_add(1, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
        waiting.insert(number, self.end.clone());
    }

    fn works(&self) {
        let mut waiting = self.idle.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&self.number.load(Ordering::Relaxed));
    }
}

/// A request under way; when it is dropped, the connection waits for the next.
struct Work(Arc<Connection>);

impl Work {
    fn on(connection: Arc<Connection>) -> Self {
        connection.works();
        Self(connection)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.rests();
    }
}
