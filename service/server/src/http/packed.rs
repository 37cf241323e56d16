//! Which pages are sent compressed.
//!
//! A page holds a form token and what an estate is called beside words of the address, and how far a text can be
//! compressed tells what of it is repeated: whoever could send many requests in a person's name, and see how long the
//! answers are, could guess at it. So a page is compressed only where the browser says that the person, or a page of
//! this service, asked for it (`Sec-Fetch-Site`), and never where another site did, or nobody says who (ADR 63).

use super::visible::Service;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;
use tower_http::compression::CompressionLayer;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A page that is compressed for whom it may be.
pub(crate) fn packed(page: MethodRouter<Service>) -> MethodRouter<Service> {
    page.layer(CompressionLayer::new()).layer(from_fn(plain_for_others))
}

/// Takes the wish for compression off a request that another site may have made a browser send.
async fn plain_for_others(mut request: Request, next: Next) -> Response {
    if *request.method() != Method::GET || !is_own(request.headers()) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let mut response = next.run(request).await;
    response.headers_mut().append(header::VARY, SITE.into());
    response
}

/// Whether the person, or a page of this service, asked.
fn is_own(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(SITE).iter();
    let own = given.next().is_some_and(|site| site == "same-origin" || site == "none");
    own && given.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{SITE, is_own};
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn only_what_the_person_or_a_page_of_ours_asked_for_is_compressed() {
        for (sites, own) in [
            (&["same-origin"][..], true),
            (&["none"], true),
            (&["same-site"], false),
            (&["cross-site"], false),
            (&["same-origin", "cross-site"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for site in sites {
                headers.append(SITE, HeaderValue::from_static(site));
            }
            assert_eq!(is_own(&headers), own, "{sites:?}");
        }
    }
}
