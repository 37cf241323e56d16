//! The ways into what a bench measures: the store's PostgreSQL, tokens, and the session of a person.

use super::{BIND, rolecall};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// A token of the store with these scopes and limits.
pub(super) fn token(data: &Path, scopes: &[&str], limits: &[&str]) -> Result<String, String> {
    let made = rolecall(data)
        .args(["admin", "token", "create", "--name", "bench"])
        .args(scopes.iter().flat_map(|scope| ["--scope", scope]))
        .args(limits.iter().flat_map(|limit| ["--limit", limit]))
        .output()
        .map_err(|error| format!("a token cannot be made: {error}"))?;
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    let found = text.split_whitespace().find(|word| word.starts_with("rlc_"));
    found.map(str::to_owned).ok_or_else(|| format!("no token in `{text}`: {}", String::from_utf8_lossy(&made.stderr)))
}

/// Where the private PostgreSQL listens, and what its database and user are called.
pub(super) fn place(data: &Path) -> Result<Vec<String>, String> {
    let file = data.join("pgdata/postmaster.pid");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = |n: usize| text.lines().nth(n).unwrap_or_default().trim().to_owned();
    Ok(vec!["-h".to_owned(), line(4), "-p".to_owned(), line(3), "-U".to_owned(), "rolecall".to_owned()])
}

/// What a script says, run in the store's PostgreSQL.
pub(super) fn psql(data: &Path, script: &str) -> Result<String, String> {
    let mut child = Command::new("psql")
        .args(place(data)?)
        .args(["-d", "rolecall", "-qAtX", "-v", "ON_ERROR_STOP=1", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("psql: {error}"))?;
    let mut input = child.stdin.take().ok_or("psql has no input")?;
    input.write_all(script.as_bytes()).map_err(|error| format!("psql: {error}"))?;
    drop(input);
    let output = child.wait_with_output().map_err(|error| format!("psql: {error}"))?;
    if !output.status.success() {
        return Err(format!("psql: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The cookie of a person who signed in by a one-time link.
pub(super) fn sign_in(data: &Path) -> Result<String, String> {
    let made = rolecall(data)
        .args(["admin", "login", "--bind", BIND])
        .output()
        .map_err(|error| format!("a link cannot be made: {error}"))?;
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    let link = text.split_whitespace().find_map(|word| word.split_once(BIND)).map(|(_, path)| path.to_owned());
    let link = link.ok_or_else(|| format!("no link in `{text}`: {}", String::from_utf8_lossy(&made.stderr)))?;
    let signed_in = || -> std::io::Result<Option<String>> {
        let mut stream = TcpStream::connect(BIND)?;
        write!(stream, "GET {link} HTTP/1.1\r\nHost: {BIND}\r\nConnection: close\r\n\r\n")?;
        for line in BufReader::new(stream).lines() {
            let line = line?;
            let given = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            let cookie = given.and_then(|(_, value)| value.split(';').next()).filter(|cookie| !cookie.ends_with('='));
            if let Some(cookie) = cookie {
                return Ok(Some(cookie.to_owned()));
            }
            if line.is_empty() {
                break;
            }
        }
        Ok(None)
    };
    signed_in().map_err(|error| format!("{link}: {error}"))?.ok_or_else(|| "signing in gave no cookie".to_owned())
}
