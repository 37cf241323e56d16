//! What stands in front of the built binary: connections and bodies that nobody means well with.

use crate::support::{Folder, Serving, rolecall, run};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// Longer than the service waits for anything.
const LONG: Duration = Duration::from_secs(100);

/// What comes back until the connection ends.
fn rest(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut text = Vec::new();
    // A connection that is reset has ended as well.
    let _reset = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_half_requests_shut_nobody_out() {
    let database = rolecall_store::testing::database().await.unwrap();
    tokio::task::spawn_blocking(move || {
        let folder = Folder::new();
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 256 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_rolecall")]);
        limited.args(["serve", "--role", "web", "--bind", "127.0.0.1:0"]).current_dir(folder.path());
        limited.env("HOME", folder.path()).env("DATABASE_URL", &database.url);
        let serving = Serving::start(limited);
        let half = |_| {
            let mut stream = TcpStream::connect(&serving.addr).unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: a").unwrap();
            stream
        };
        let silent: Vec<TcpStream> = (0..400).map(half).collect();
        for path in ["/livez", "/readyz", "/login", "/livez"] {
            let (status, body) = serving.get(path);
            assert_eq!(status, 200, "{path}: {body}");
        }
        drop(silent);
        let ended = serving.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_huge_or_slow_are_refused() {
    let database = rolecall_store::testing::database().await.unwrap();
    tokio::task::spawn_blocking(move || {
        let folder = Folder::new();
        let command = |words: &[&str]| {
            let mut command = rolecall(folder.path());
            command.env("DATABASE_URL", &database.url).args(words);
            command
        };
        let token = run(&mut command(&["admin", "token", "create", "--name", "bot", "--scope", "admin"])).out.trim().to_owned();
        assert!(token.starts_with("rlc_"), "{token}");
        let serving = Serving::start(command(&["serve", "--role", "web", "--bind", "127.0.0.1:0"]));
        let ask = |headers: &str, body: &[u8]| {
            let mut stream = TcpStream::connect(&serving.addr).unwrap();
            let head = format!(
                "POST /api/v1/simulate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n{headers}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            // It may be refused before all of it was sent.
            let _refused = stream.write_all(body);
            rest(&mut stream)
        };
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        for (headers, body, status) in [
            ("Content-Length: 99999999999", &b"{}"[..], "413"),
            ("Transfer-Encoding: chunked", chunk.repeat(200).as_bytes(), "413"),
            ("Transfer-Encoding: chunked", b"zz\r\n", "400"),
            // It says more than it sends.
            ("Content-Length: 100\r\nConnection: close", b"{\"principal\"", "408"),
        ] {
            let answer = ask(headers, body);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
        }
        assert_eq!(serving.get("/readyz").0, 200);
    })
    .await
    .unwrap();
}
