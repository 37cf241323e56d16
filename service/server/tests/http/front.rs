//! Connections over real sockets: who says nothing shuts nobody out, and what was asked is answered.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use rolecall::http::front::{Limits, serve};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits { connections: 4, head: LONG, write: LONG };

struct Front {
    addr: SocketAddr,
    stop: CancellationToken,
    /// Lets an answer of `/slow` go, and is told that one began.
    go: Arc<Notify>,
    began: Arc<Notify>,
    serving: JoinHandle<()>,
}

impl Front {
    async fn with(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, go, began) = (CancellationToken::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (waits, tells) = (go.clone(), began.clone());
        let slow = async move || {
            tells.notify_one();
            waits.notified().await;
            "slow"
        };
        let endless = async || {
            let piece = || Ok::<_, std::io::Error>(vec![b'x'; 65_536]);
            Body::from_stream(futures::stream::repeat_with(piece))
        };
        let router = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
            .route("/slow", get(slow))
            .route("/endless", get(endless));
        let serving = tokio::spawn(serve(listener, router, limits, stop.clone()));
        Self { addr, stop, go, began, serving }
    }

    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// What a connection gives until it ends.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is reset has ended as well.
    let _reset = tokio::time::timeout(LONG, stream.read_to_end(&mut text)).await.expect("it ends");
    String::from_utf8_lossy(&text).into_owned()
}

const LAST: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const HALF: &str = "GET / HTTP/1.1\r\nHost: x\r\nX-Half";

#[tokio::test(flavor = "multi_thread")]
async fn many_that_say_nothing_make_room_for_one_that_asks() {
    let front = Front::with(LIMITS).await;
    let mut silent = Vec::new();
    for n in 0..40 {
        silent.push(front.connect(if n % 2 == 0 { HALF } else { "" }).await);
    }
    for _ in 0..8 {
        let good = front.connect(LAST).await;
        let own = good.local_addr().unwrap().to_string();
        let answer = rest(good).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&own), "{answer}");
    }
    // The oldest were sent away.
    assert_eq!(rest(silent.remove(0)).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_being_answered_keeps_its_place() {
    let front = Front::with(Limits { connections: 1, ..LIMITS }).await;
    let slow = front.connect(&LAST.replace("GET /", "GET /slow")).await;
    front.began.notified().await;
    let waits = front.connect(LAST).await;
    front.go.notify_one();
    assert!(rest(slow).await.ends_with("slow"));
    assert!(rest(waits).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_the_connection() {
    let front = Front::with(Limits { head: Duration::from_millis(100), ..LIMITS }).await;
    let mut kept = front.connect("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 12];
    kept.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // One that waits with half a head, one that never spoke, and one that was answered.
    for silent in [front.connect(HALF).await, front.connect("").await, kept] {
        rest(silent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_ends_the_connection() {
    let front = Front::with(Limits { connections: 1, write: Duration::from_millis(100), ..LIMITS }).await;
    let _deaf = front.connect(&LAST.replace("GET /", "GET /endless")).await;
    assert!(rest(front.connect(LAST).await).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused() {
    let front = Front::with(LIMITS).await;
    let header = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(1 << 20));
    let many: String = (0..2_000).map(|n| format!("X-{n}: a\r\n")).collect();
    for head in [
        header,
        format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\nX-Nul: a\0b\r\n\r\n".to_owned(),
        "\0\u{1}\u{2}\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(front.addr).await.unwrap();
        // It may be refused before all of it was sent.
        let _refused = stream.write_all(head.as_bytes()).await;
        let answer = rest(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(rest(front.connect(LAST).await).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_is_answered_when_it_stops() {
    let front = Front::with(LIMITS).await;
    let (half, silent) = (front.connect(HALF).await, front.connect("").await);
    let slow = front.connect("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    front.began.notified().await;
    front.stop.cancel();
    assert_eq!((rest(half).await, rest(silent).await), (String::new(), String::new()));
    assert!(!front.serving.is_finished());
    front.go.notify_one();
    let answer = rest(slow).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    tokio::time::timeout(LONG, front.serving).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(front.addr).await.is_err(), "nobody listens any more");
}
