//! Texts of other encodings as UTF-8.
//!
//! Windows PowerShell's `>` writes UTF-16 with a byte order mark; nothing else that is read here is
//! written so. Refuses to know what a text says.

use std::io::{self, Read};

/// How much is taken from the source at a time, in bytes.
const CHUNK: usize = 16 * 1024;
/// No byte of UTF-8: what cannot be said in it is found by whoever reads it.
const BROKEN: u8 = 0xff;

/// Whether a text begins with the byte order mark of UTF-16.
#[must_use]
pub fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff])
}

/// Reads UTF-16, by its byte order mark, as UTF-8.
#[derive(Debug)]
pub struct Utf16<R> {
    source: R,
    little_endian: Option<bool>,
    /// The first byte of a unit that the source has not given whole.
    half: Option<u8>,
    /// The first unit of a pair.
    high: Option<u16>,
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Utf16<R> {
    /// Before the first byte.
    pub fn new(source: R) -> Self {
        Self { source, little_endian: None, half: None, high: None, ready: Vec::new(), given: 0, ended: false }
    }

    /// The whole text.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn all(mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.read_to_end(&mut out)?;
        Ok(out)
    }

    fn unit(&mut self, bytes: [u8; 2]) {
        let Some(little_endian) = self.little_endian else {
            self.little_endian = Some(bytes == [0xff, 0xfe]);
            return;
        };
        let unit = if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
        let high = self.high.take();
        if (0xd800..0xdc00).contains(&unit) {
            self.ready.extend(high.map(|_| BROKEN));
            self.high = Some(unit);
            return;
        }
        for read in char::decode_utf16(high.into_iter().chain([unit])) {
            match read {
                Ok(read) => self.ready.extend_from_slice(read.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => self.ready.push(BROKEN),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        let mut chunk = [0; CHUNK];
        let read = self.source.read(&mut chunk)?;
        if read == 0 {
            self.ended = true;
            if self.half.take().is_some() || self.high.take().is_some() {
                self.ready.push(BROKEN);
            }
            return Ok(());
        }
        for byte in chunk.iter().take(read) {
            match self.half.take() {
                Some(first) => self.unit([first, *byte]),
                None => self.half = Some(*byte),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() && !self.ended {
            self.fill()?;
        }
        let mut ready = self.ready.get(self.given..).unwrap_or_default();
        let read = ready.read(out)?;
        self.given += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, little_endian: bool) -> Vec<u8> {
        let unit = |unit: u16| if little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() };
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(unit).collect()
    }

    /// Gives one byte at a time.
    struct Slow<'s>(&'s [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.read(out.get_mut(..1).unwrap_or_default())
        }
    }

    #[test]
    fn any_text_comes_back() {
        let long = "{\"a\": \"\u{1f980}ü\"}\r\n".repeat(3_000);
        for text in ["", "a", "{\"name\": \"Zoë \u{1f980}\"}", &long] {
            for little_endian in [true, false] {
                let bytes = utf16(text, little_endian);
                assert!(is_utf16(&bytes));
                assert_eq!(Utf16::new(&*bytes).all().unwrap(), text.as_bytes());
                assert_eq!(Utf16::new(Slow(&bytes)).all().unwrap(), text.as_bytes());
            }
        }
    }

    #[test]
    fn what_is_broken_is_no_utf8() {
        let broken =
            [&[0xff, 0xfe, 0x61, 0x00, 0x00, 0xd8][..], &[0xff, 0xfe, 0x61], &[0xfe, 0xff, 0xdc, 0x00, 0x00, 0x61]];
        for bytes in broken {
            assert!(String::from_utf8(Utf16::new(bytes).all().unwrap()).is_err(), "{bytes:?}");
        }
        let pair_after_high = [0xff, 0xfe, 0x3d, 0xd8, 0x3d, 0xd8, 0x00, 0xde];
        let read = Utf16::new(&pair_after_high[..]).all().unwrap();
        assert_eq!(String::from_utf8_lossy(&read), "\u{fffd}\u{1f600}");
        assert!(!is_utf16(b"{}"));
    }
}
