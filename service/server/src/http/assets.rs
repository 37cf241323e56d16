//! Style sheet, script and icon, from inside the binary.
//!
//! Addresses carry a hash of the content, so browsers keep them for ever and never see an old one.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rolecall_iam::Digest;
use std::sync::LazyLock;

use super::error::AppError;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/static/", $name))
    };
}

const FILES: [(&str, &str, &[u8]); 3] = [
    ("app.css", "text/css; charset=utf-8", file!("app.css")),
    ("app.js", "text/javascript; charset=utf-8", file!("app.js")),
    ("favicon.svg", "image/svg+xml", file!("favicon.svg")),
];

/// Where the files are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// The style sheet.
    pub css: String,
    /// The script.
    pub js: String,
    /// The icon.
    pub icon: String,
}

/// The addresses of this build's files.
pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let address = |name: &str| {
        let content = FILES.iter().find(|(file, ..)| *file == name).map_or(&[][..], |(.., bytes)| bytes);
        let mut hash = Digest::sha256(content).to_string();
        hash.truncate(12);
        format!("/static/{name}?v={hash}")
    };
    Assets { css: address("app.css"), js: address("app.js"), icon: address("favicon.svg") }
});

/// `GET /static/{name}`
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, bytes)) => {
            let headers =
                [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, *bytes).into_response()
        }
        None => AppError::not_found(format!("the file `{name}`")).into_response(),
    }
}
