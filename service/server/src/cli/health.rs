//! `health`: asks a running `serve` whether it is ready, for container health checks.

use super::Format;
use super::{Context, print, print_json};
use crate::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(3);
/// The head of an answer is much shorter.
const ENOUGH: u64 = 16 * 1024;

/// Runs the command. Ends with 1 where the service answers that it is not ready.
///
/// # Errors
/// No answer.
pub async fn run(context: Context, bind: Option<SocketAddr>) -> Result<ExitCode, Error> {
    let addr = reachable(bind.unwrap_or(context.config.server.bind));
    let silent = |source| Error::Silent { addr, source };
    let answer = tokio::time::timeout(PATIENCE, ask(addr)).await;
    let status = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(silent)?;
    let ready = status == 200;
    if context.format == Format::Json {
        print_json(&serde_json::json!({ "ready": ready, "status": status }))?;
    } else {
        print(if ready { "ready\n" } else { "not ready\n" })?;
    }
    Ok(ExitCode::from(u8::from(!ready)))
}

/// A wildcard address is listened on, but is no place to ask.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

async fn ask(addr: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ENOUGH).read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer);
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}
