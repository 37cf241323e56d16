//! An e-mail of plain text, as RFC 5322 and MIME write it.
//!
//! Addresses are parsed once, and hold nothing that could be a header or a command of its own; every other text is
//! encoded. Refuses to know what a text says, and how it is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;

/// The most characters of a line that is no single long word: RFC 5322, 2.1.1.
const LINE: usize = 76;
/// Bytes in an encoded word, which has 75 characters at most: RFC 2047, 2.
const WORD: usize = 45;

/// An address, with or without the name of whom it is: `Rolecall <rolecall@example.com>`.
#[derive(Clone, PartialEq, Eq)]
pub struct MailAddress {
    name: String,
    address: String,
    /// Where the domain begins in the address.
    domain: usize,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address such as \"Security <security@example.com>\"")]
pub struct MailAddressError(String);

impl FromStr for MailAddress {
    type Err = MailAddressError;

    fn from_str(text: &str) -> Result<Self, MailAddressError> {
        Self::read(text.trim()).ok_or_else(|| MailAddressError(text.escape_debug().to_string()))
    }
}

impl MailAddress {
    /// The forms that people use: no comments, no local parts in quotes, no domains in brackets, and ASCII, as not
    /// every relay takes anything else.
    fn read(text: &str) -> Option<Self> {
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.rsplit_once('<')?,
            None => ("", text),
        };
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        let (local, domain) = address.split_once('@')?;
        let dotted = |text: &str, fits: &dyn Fn(u8) -> bool| {
            text.split('.').all(|part| (1..=64).contains(&part.len()) && part.bytes().all(fits))
        };
        let fits = local.len() <= 64
            && address.len() <= 254
            && dotted(local, &|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
            && dotted(domain, &|b| b.is_ascii_alphanumeric() || b == b'-')
            && name.chars().all(|c| !c.is_control() && !"\"<>\\".contains(c));
        let (name, address) = (name.to_owned(), address.to_owned());
        fits.then_some(Self { name, address, domain: local.len() + 1 })
    }

    /// What commands of SMTP name: the address alone.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn domain(&self) -> &str {
        self.address.get(self.domain..).unwrap_or_default()
    }

    /// As a header has it.
    fn written(&self) -> String {
        match self.name.as_str() {
            "" => self.address.clone(),
            name if is_plain(name) => format!("\"{name}\" <{}>", self.address),
            name => format!("{} <{}>", encoded(name).join("\r\n "), self.address),
        }
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.address),
            name => write!(f, "{name} <{}>", self.address),
        }
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailAddress({self})")
    }
}

/// An e-mail.
#[derive(Debug, Clone)]
pub struct Mail<'a> {
    /// Who sends it.
    pub from: &'a MailAddress,
    /// Who gets it.
    pub to: &'a [MailAddress],
    /// The same however often it is sent: letters, digits and `_`.
    pub id: &'a str,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// One line.
    pub subject: &'a str,
    /// What it says.
    pub text: &'a str,
}

impl Mail<'_> {
    /// The message with its headers, in lines that end with CR and LF; all of it ASCII.
    #[must_use]
    pub fn formatted(&self) -> String {
        let id: String = self.id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let to: Vec<String> = self.to.iter().map(MailAddress::written).collect();
        let headers = [
            ("From", self.from.written()),
            ("To", to.join(",\r\n ")),
            ("Subject", subject(self.subject)),
            ("Date", self.at.to_rfc2822()),
            ("Message-ID", format!("<{id}@{}>", self.from.domain())),
            // Nobody who is away answers it: RFC 3834.
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Content-Transfer-Encoding", "base64".to_owned()),
        ];
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        // Lines of a text end with CR and LF, encoded as well: RFC 2046, 4.1.1.
        let text = self.text.replace("\r\n", "\n").replace('\n', "\r\n");
        let body = STANDARD.encode(text);
        // Base64 is ASCII: every piece of bytes is a text.
        let lines = body.as_bytes().chunks(LINE).filter_map(|line| std::str::from_utf8(line).ok());
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        format!("{headers}\r\n{lines}")
    }
}

/// Whether a text can stand in a header as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && !text.contains("=?")
}

/// A text as encoded words, none of which ends within a character.
fn encoded(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    words.into_iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect()
}

/// A subject on one line for the reader, and on as many lines as it takes in the header.
fn subject(text: &str) -> String {
    let text = text.split(char::is_control).collect::<Vec<_>>().join(" ");
    if !is_plain(&text) || text.split(' ').any(|word| word.len() > LINE) {
        return encoded(&text).join("\r\n ");
    }
    let mut length = "Subject:".len();
    let mut folded = String::new();
    for (at, word) in text.split_whitespace().enumerate() {
        if at > 0 && length + word.len() >= LINE {
            folded.push_str("\r\n");
            length = 0;
        }
        if at > 0 {
            folded.push(' ');
        }
        folded.push_str(word);
        length += word.len() + 1;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mail(subject: &str, text: &str) -> String {
        let from = "Rolecall <rolecall@example.com>".parse().unwrap();
        let to = ["a@example.com", "\"Müller, Ö.\" <b@example.com>"].map(|text| text.parse().unwrap());
        let at = "2026-11-30T12:00:00Z".parse().unwrap();
        Mail { from: &from, to: &to, id: "msg_1", at, subject, text }.formatted()
    }

    fn decoded(message: &str) -> String {
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap()
    }

    #[test]
    fn addresses_are_read_strictly() {
        for (text, address, shown) in [
            ("security@example.com", "security@example.com", "security@example.com"),
            (" Security Team <security@example.com> ", "security@example.com", "Security Team <security@example.com>"),
            (
                "\"Müller, Ö.\" <a.b+c@mail.example.com>",
                "a.b+c@mail.example.com",
                "Müller, Ö. <a.b+c@mail.example.com>",
            ),
            ("<root@localhost>", "root@localhost", "root@localhost"),
        ] {
            let read: MailAddress = text.parse().unwrap();
            assert_eq!((read.address(), read.to_string().as_str()), (address, shown));
        }
        for text in [
            "",
            "example.com",
            "@example.com",
            "a@",
            "a@b@c",
            "a..b@example.com",
            ".a@example.com",
            "a@example..com",
            "a@[127.0.0.1]",
            "a@example.com, b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "A\r\nBcc: b@example.com <a@example.com>",
            "A\" <c@example.com>, \"B <a@example.com>",
            "\"a b\"@example.com",
            "\"a>\r\nRCPT TO:<b\"@example.com",
            "a>@example.com",
            "jürgen@example.com",
            "<>",
        ] {
            assert!(text.parse::<MailAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_message_has_the_headers_that_it_needs() {
        let message = mail("2 findings opened", "Größe\n.\nend\r\n");
        let (head, _) = message.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            head.split("\r\n").collect::<Vec<_>>(),
            [
                "From: \"Rolecall\" <rolecall@example.com>",
                "To: a@example.com,",
                " =?utf-8?B?TcO8bGxlciwgw5Yu?= <b@example.com>",
                "Subject: 2 findings opened",
                "Date: Mon, 30 Nov 2026 12:00:00 +0000",
                "Message-ID: <msg_1@example.com>",
                "Auto-Submitted: auto-generated",
                "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=utf-8",
                "Content-Transfer-Encoding: base64",
            ]
        );
        assert_eq!(decoded(&message), "Größe\r\n.\r\nend\r\n");
    }

    #[test]
    fn long_subjects_are_folded_and_others_encoded() {
        let folded = subject(&"12 findings opened ".repeat(9));
        assert!(folded.split("\r\n").all(|line| line.len() <= LINE) && folded.contains("\r\n "), "{folded}");
        assert_eq!(folded.replace("\r\n", ""), "12 findings opened ".repeat(9).trim_end());
        assert_eq!(subject("ü"), "=?utf-8?B?w7w=?=");
        assert_eq!(subject("=?utf-8?B?eA==?="), "=?utf-8?B?PT91dGYtOD9CP2VBPT0/PQ==?=");
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_header(
            subject in "[a\r\n:=?ü\u{0} ]{0,300}", text in "(\r\n|\n|\\.|B: c|ü| ){0,200}",
        ) {
            let message = mail(&subject, &text);
            let (head, _) = message.split_once("\r\n\r\n").unwrap();
            let lines: Vec<&str> = head.split("\r\n").collect();
            let names = lines.iter().filter(|line| !line.starts_with(' ')).map(|line| line.split_once(':').unwrap().0);
            let known = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
                         "Content-Type", "Content-Transfer-Encoding"];
            prop_assert_eq!(names.collect::<Vec<_>>(), known);
            prop_assert!(message.is_ascii() && !message.replace("\r\n", "").contains(['\r', '\n']));
            prop_assert!(message.split("\r\n").all(|line| line.len() <= 998));
            prop_assert_eq!(decoded(&message), text.replace("\r\n", "\n").replace('\n', "\r\n"));
        }

        #[test]
        fn what_is_read_is_written_without_a_line_of_its_own(text in "[\"<>@a.\\\\ü\r\n: ,]{0,30}(<a@b.c>)?") {
            if let Ok(address) = text.parse::<MailAddress>() {
                prop_assert!(address.address().is_ascii() && !address.address().contains([' ', '<', '>', '\r', '\n']));
                prop_assert!(address.written().is_ascii());
            }
        }
    }
}
