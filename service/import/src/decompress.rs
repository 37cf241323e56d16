//! A file's bytes as UTF-8 text, without their compression.

use super::item::Fault;
use rolecall_cloudtrail::encoding;
use std::borrow::Cow;
use std::io::Read as _;

/// A file of more bytes is not read, gzipped or not. No account's authorization details come near it.
pub const LARGEST: u64 = 1024 * 1024 * 1024;

/// So many bytes a gzipped file may have whatever its ratio.
const SMALL: u64 = 64 * 1024 * 1024;

/// What has more may be so many times as large as it is gzipped: 5,000 roles that differ by their names
/// become a 95th, and deflate reaches 1,030.
const MOST_RATIO: u64 = 250;

pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The bytes as UTF-8 text, without their compression.
pub(super) fn plain(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let remedy = "give the file as it was written";
    let unzipped = if is_gzip(bytes) {
        let size = unzipped_size(bytes)?;
        let mut out = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let read = flate2::read::MultiGzDecoder::new(bytes).take(size).read_to_end(&mut out);
        read.map_err(|error| Fault::new("", format!("not gzip: {error}"), remedy))?;
        Cow::Owned(out)
    } else {
        Cow::Borrowed(bytes)
    };
    if unzipped.len() > usize::try_from(LARGEST).unwrap_or(usize::MAX) {
        return Err(Fault::new("", format!("more than {LARGEST} bytes"), TOO_LARGE));
    }
    if encoding::is_utf16(&unzipped) {
        let text = encoding::Utf16::new(&*unzipped).all();
        return text.map(Cow::Owned).map_err(|error| Fault::new("", error.to_string(), remedy));
    }
    Ok(match unzipped {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            Cow::Owned(text)
        }
    })
}

/// How many bytes a gzipped file has without its compression, found without keeping any of them.
fn unzipped_size(bytes: &[u8]) -> Result<u64, Fault> {
    let zipped = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let most = zipped.saturating_mul(MOST_RATIO).clamp(SMALL, LARGEST);
    let mut measured = flate2::read::MultiGzDecoder::new(bytes).take(most + 1);
    let size = std::io::copy(&mut measured, &mut std::io::sink());
    let size = size.map_err(|error| Fault::new("", format!("not gzip: {error}"), "give the file as it was written"))?;
    if size > most {
        let message = format!("{zipped} bytes become more than {most} when decompressed");
        return Err(Fault::new("", message, TOO_LARGE));
    }
    Ok(size)
}

pub(super) const TOO_LARGE: &str = "give the answer page by page, each in a file of its own";
