//! `wrk`, a public load tool: what an address answers when it is asked as fast as it can.

use std::process::Command;

/// What `wrk` says of an address.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Answers a second.
    pub(super) rate: f64,
    /// Milliseconds that half of them took at most.
    pub(super) p50: f64,
    /// Milliseconds that all but one of a hundred took at most.
    pub(super) p99: f64,
}

/// Asks an address for so long over so many connections.
pub(super) fn wrk(url: &str, credential: &str, connections: &str, time: &str) -> Result<Load, String> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", connections, "--duration", time, "--latency", "--header", credential])
        .arg(url)
        .output()
        .map_err(|error| format!("wrk (the package `wrk` of Debian has it): {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = |line: &str| {
        let found = text.lines().find_map(|it| it.trim().strip_prefix(line));
        found.map(str::trim).ok_or_else(|| format!("wrk said no `{line}` of {url}: {text}"))
    };
    for failed in ["Non-2xx or 3xx responses", "Socket errors"] {
        if text.contains(failed) {
            return Err(format!("{url}: {text}"));
        }
    }
    let rate = word("Requests/sec:")?.parse().map_err(|error| format!("wrk's rate: {error}"))?;
    Ok(Load { rate, p50: milliseconds(word("50%")?)?, p99: milliseconds(word("99%")?)? })
}

/// A time as `wrk` writes it, such as `1.25ms`.
fn milliseconds(text: &str) -> Result<f64, String> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0)];
    let found = units.iter().find_map(|(unit, of)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * of));
    found.ok_or_else(|| format!("`{text}` is no time"))
}
