//! One e-mail to a relay by SMTP: RFC 5321, STARTTLS of RFC 3207, AUTH of RFC 4954.
//!
//! Nothing but the greeting and the question for TLS is said in the clear: a relay without TLS gets neither a password
//! nor a message. Refuses to know what a message says and when it is sent again.

use crate::address::Cidr;
use crate::mail::MailAddress;
use crate::peer::{ClientError, Peers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// For one attempt: relays look up names and look through messages before they answer.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of a line of an answer, and the most lines of one.
const LINE: u64 = 2_000;
const LINES: usize = 100;
/// The most characters of an answer that are told.
const TOLD: usize = 200;

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// By a command, on the port of submission (587) or of relays (25).
    StartTls,
    /// With the connection (465).
    Implicit,
}

/// A name and a password. The password is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What takes mail.
#[derive(Debug, Clone)]
pub struct Relay {
    peers: Peers,
    host: String,
    port: u16,
    security: Security,
    login: Option<Login>,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// It was taken, for some addresses at least.
    Taken {
        /// The status of the answer.
        status: u16,
        /// What was answered about each address that was refused.
        refused: Vec<String>,
    },
    /// It was not taken.
    NotTaken {
        /// The status of the answer, where there was one.
        status: Option<u16>,
        /// Why.
        why: String,
    },
}

/// An answer that is not the one that was hoped for.
struct Trouble {
    status: Option<u16>,
    why: String,
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self { status: None, why }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self { status: None, why: format!("the connection ended: {error}") }
    }
}

/// An answer.
struct Reply {
    status: u16,
    lines: Vec<String>,
}

impl Reply {
    fn text(&self) -> String {
        let text = self.lines.join(" ");
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect()
    }

    /// This answer, if its status is one of these.
    fn expect(self, to: &str, wanted: &[u16]) -> Result<Self, Trouble> {
        if wanted.contains(&self.status) {
            return Ok(self);
        }
        let why = format!("{to} was answered by {} {}", self.status, self.text());
        Err(Trouble { status: Some(self.status), why: why.trim_end().to_owned() })
    }

    fn offers(&self, extension: &str) -> Option<Vec<String>> {
        self.lines.iter().skip(1).find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let is_it = words.next()?.eq_ignore_ascii_case(extension);
            is_it.then(|| words.map(str::to_ascii_uppercase).collect())
        })
    }
}

impl Relay {
    /// A relay that proves its name by the system's certificate authorities, or those of `more`, a text in PEM.
    /// `allowed` are blocks of addresses that are no part of the internet, and may be sent to.
    ///
    /// # Errors
    /// Where there is nobody to trust.
    pub fn new(
        (host, port): (&str, u16),
        security: Security,
        login: Option<Login>,
        allowed: &[Cidr],
        more: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        Ok(Self { peers: Peers::new(allowed, more)?, host: host.to_owned(), port, security, login })
    }

    /// Sends a message with its headers, in lines that end with CR and LF.
    pub async fn post(&self, from: &MailAddress, to: &[MailAddress], message: &str) -> Posted {
        match tokio::time::timeout(MAIL_TIMEOUT, self.exchange(from, to, message)).await {
            Ok(Ok(posted)) => posted,
            Ok(Err(Trouble { status, why })) => Posted::NotTaken { status, why },
            Err(_) => Posted::NotTaken { status: None, why: format!("no answer within {} s", MAIL_TIMEOUT.as_secs()) },
        }
    }

    async fn exchange(&self, from: &MailAddress, to: &[MailAddress], message: &str) -> Result<Posted, Trouble> {
        let stream = self.peers.connect(&self.host, self.port).await?;
        // Who cannot know their name say their address: RFC 5321, 4.1.3.
        let own = match stream.local_addr()?.ip() {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        let hello = format!("EHLO {own}");
        let mut session = match self.security {
            Security::Implicit => {
                let mut session = Session::new(self.peers.secured(&self.host, stream).await?);
                session.reply().await?.expect("the connection", &[220])?;
                session
            }
            Security::StartTls => {
                let mut session = Session::new(stream);
                session.reply().await?.expect("the connection", &[220])?;
                let offered = session.say(&hello).await?.expect("EHLO", &[250])?;
                if offered.offers("STARTTLS").is_none() {
                    return Err("the relay offers no STARTTLS, and nothing is sent in the clear".to_owned().into());
                }
                session.say("STARTTLS").await?.expect("STARTTLS", &[220])?;
                Session::new(self.peers.secured(&self.host, session.into_stream()?).await?)
            }
        };
        let offered = session.say(&hello).await?.expect("EHLO", &[250])?;
        if let Some(login) = &self.login {
            session.log_in(login, &offered).await?;
        }
        session.say(&format!("MAIL FROM:<{}>", from.address())).await?.expect("MAIL FROM", &[250])?;
        let (mut taken, mut refused) = (0_usize, Vec::new());
        for address in to {
            let reply = session.say(&format!("RCPT TO:<{}>", address.address())).await?;
            match reply.expect("RCPT TO", &[250, 251]) {
                Ok(_) => taken += 1,
                Err(trouble) => refused.push(trouble),
            }
        }
        if taken == 0 {
            return Err(refused.into_iter().next().unwrap_or_else(|| "it has nobody to go to".to_owned().into()));
        }
        session.say("DATA").await?.expect("DATA", &[354])?;
        session.stream.get_mut().write_all(&stuffed(message.as_bytes())).await?;
        session.stream.get_mut().flush().await?;
        let status = session.reply().await?.expect("the message", &[250])?.status;
        // Taken is taken, whatever becomes of the goodbye.
        let _goodbye = session.say("QUIT").await;
        Ok(Posted::Taken { status, refused: refused.into_iter().map(|trouble| trouble.why).collect() })
    }
}

/// The message as `DATA` sends it: a line that begins with a dot has one more, and a dot alone ends it.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
    }
    if !sent.ends_with(b"\r\n") {
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

struct Session<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// The stream, of which nothing was read ahead: what came before TLS must not be taken for what comes under it.
    fn into_stream(self) -> Result<S, Trouble> {
        match self.stream.buffer() {
            [] => Ok(self.stream.into_inner()),
            _ => Err("the relay said more than it was asked before TLS".to_owned().into()),
        }
    }

    async fn say(&mut self, command: &str) -> Result<Reply, Trouble> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply, Trouble> {
        let mut lines = Vec::new();
        while lines.len() < LINES {
            let mut line = Vec::new();
            if (&mut self.stream).take(LINE).read_until(b'\n', &mut line).await? == 0 {
                return Err("the relay hung up".to_owned().into());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let status = line.get(..3).and_then(|digits| digits.parse::<u16>().ok());
            let Some(status) = status.filter(|status| (200..600).contains(status)) else {
                return Err("the answer is none of SMTP".to_owned().into());
            };
            let (ends, text) =
                line.get(3..).map_or((true, ""), |rest| (!rest.starts_with('-'), rest.trim_start_matches(['-', ' '])));
            lines.push(text.to_owned());
            if ends {
                return Ok(Reply { status, lines });
            }
        }
        Err("the answer does not end".to_owned().into())
    }

    async fn log_in(&mut self, login: &Login, offered: &Reply) -> Result<(), Trouble> {
        let offered = offered.offers("AUTH").unwrap_or_default();
        let offers = |mechanism: &str| offered.iter().any(|it| it == mechanism);
        let Login { user, password } = login;
        // What is refused is told without what was said: an answer may repeat it.
        let refused = |reply: Reply| match reply.status {
            235 => Ok(()),
            status => Err(Trouble { status: Some(status), why: format!("the relay refused the login ({status})") }),
        };
        if offers("PLAIN") {
            let secret = STANDARD.encode(format!("\0{user}\0{password}"));
            return refused(self.say(&format!("AUTH PLAIN {secret}")).await?);
        }
        if offers("LOGIN") {
            for (said, wanted) in [("AUTH LOGIN".to_owned(), 334), (STANDARD.encode(user), 334)] {
                let reply = self.say(&said).await?;
                if reply.status != wanted {
                    return refused(Reply { status: reply.status, lines: Vec::new() })
                        .and(Err("the relay broke off the login".to_owned().into()));
                }
            }
            return refused(self.say(&STANDARD.encode(password)).await?);
        }
        Err("the relay offers neither AUTH PLAIN nor AUTH LOGIN".to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_with_a_dot_does_not_end_the_message() {
        for (message, sent) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\nRCPT TO:<x>\r\n", "..\r\nRCPT TO:<x>\r\n.\r\n"),
            ("a\r\n..b\r\n", "a\r\n...b\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(message.as_bytes()), sent.as_bytes());
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login { user: "rolecall".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{login:?}").contains("secret"));
    }
}
