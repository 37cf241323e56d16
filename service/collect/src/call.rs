//! One call to AWS: its permission, its outcome, and where a listing ends.
//!
//! Knows how a failed call becomes the reason of a gap: by AWS's error code first, then by the HTTP
//! status (an endpoint that is not AWS may answer in HTML). Refuses to know what was asked for.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use http_body_util::Limited;
use rolecall_estate::coverage::GapReason;
use std::collections::{BTreeMap, HashSet};
use std::error::Error as StdError;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// Who must hold a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The hub's principal.
    Hub,
    /// The role in each audited account.
    Member,
    /// The hub's principal, where it is the organisation's management account or a delegated
    /// administrator.
    Management,
    /// The hub's principal, or the role that is configured for a trail, where one is read from a
    /// bucket or a queue.
    Trails,
    /// The hub's principal, or the role that is configured for a webhook, where messages go to a topic or an event
    /// bus.
    Outgoing,
}

/// An IAM action that we call, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionUse {
    /// Such as `eks:ListClusters`.
    pub action: &'static str,
    /// Who must hold it.
    pub holder: Holder,
    /// What for, in a few words.
    pub why: &'static str,
}

/// A call that did not give what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) action: &'static str,
    pub(crate) reason: GapReason,
    pub(crate) detail: String,
    /// AWS's error code, where it gave one.
    pub(crate) code: Option<String>,
}

impl Refusal {
    pub(crate) fn malformed(permission: &PermissionUse, detail: impl Into<String>) -> Self {
        Self { action: permission.action, reason: GapReason::Malformed, detail: detail.into(), code: None }
    }

    /// A listing that was read and cannot be true.
    pub(crate) fn untrue(permission: &PermissionUse, detail: impl Into<String>) -> Self {
        Self { action: permission.action, reason: GapReason::Filtered, detail: detail.into(), code: None }
    }

    fn cut_short(permission: &PermissionUse, of: &str) -> Self {
        let detail = format!("cut short: the deadline of the {of} is past");
        Self { action: permission.action, reason: GapReason::Timeout, detail, code: None }
    }

    pub(crate) fn not_reached(permission: &PermissionUse, detail: impl Into<String>) -> Self {
        Self { action: permission.action, reason: GapReason::NotReached, detail: detail.into(), code: None }
    }

    /// Whether AWS says that the thing asked for does not exist: it was deleted since it was listed.
    pub(crate) fn is_gone(&self) -> bool {
        self.code.as_deref().is_some_and(|code| {
            matches!(
                code,
                "ResourceNotFoundException"
                    | "NoSuchEntity"
                    | "PolicyNotFoundException"
                    | "ParentNotFoundException"
                    | "TrailNotFoundException"
            )
        })
    }

    pub(crate) fn new<E>(permission: &PermissionUse, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = metadata.and_then(|meta| meta.code()).map(str::to_owned);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let reason = match error {
            SdkError::TimeoutError(_) => GapReason::Timeout,
            _ if in_chain::<CredentialsError>(error) => GapReason::Credentials,
            _ if in_chain::<http_body_util::LengthLimitError>(error) => GapReason::Malformed,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => GapReason::Timeout,
            SdkError::DispatchFailure(_) => GapReason::Unreachable,
            SdkError::ResponseError(_) | SdkError::ServiceError(_) => reason_of(code.as_deref(), status),
            _ => GapReason::Malformed,
        };
        let message = metadata.and_then(|meta| meta.message());
        let detail = match (&code, message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.clone(),
            (None, _) => match status {
                Some(status) if !(200..300).contains(&status) => {
                    format!("HTTP {status}, with an answer that is none of AWS's")
                }
                Some(status) => format!("HTTP {status}: {}", innermost(error)),
                None => innermost(error),
            },
        };
        Self { action: permission.action, reason, detail: public(&detail), code }
    }
}

fn reason_of(code: Option<&str>, status: Option<u16>) -> GapReason {
    let code = code.unwrap_or_default();
    // Codes may carry a namespace or a suffix: `com.amazon…#ThrottlingException`, `Throttling:http://…`.
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    match code {
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "UnrecognizedClient"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure"
        | "RequestExpired"
        | "TokenRefreshRequired"
        | "InvalidIdentityToken" => GapReason::Credentials,
        "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "BandwidthLimitExceeded" => GapReason::Throttled,
        _ if code.starts_with("Throttl") => GapReason::Throttled,
        _ if code.starts_with("AccessDenied") || code.starts_with("Unauthorized") => GapReason::Denied,
        _ => match status {
            Some(429) => GapReason::Throttled,
            Some(401 | 403) => GapReason::Denied,
            // An answer of success that could not be read.
            Some(200..=299) => GapReason::Malformed,
            Some(400..=499) if !code.is_empty() => GapReason::Denied,
            _ => GapReason::Unreachable,
        },
    }
}

/// An error and everything that it came from, outermost first.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this: &'e (dyn StdError + 'static) = next?;
        next = this.source();
        Some(this)
    })
}

fn in_chain<T: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(<dyn StdError>::is::<T>)
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// What may be kept of AWS's words: the first line (a complaint about a signature goes on with the
/// whole request, token included), without access key ids, of a bounded length.
pub(crate) fn public(detail: &str) -> String {
    let line = detail.lines().next().unwrap_or_default();
    let words = line.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_key = bare.len() >= 16
            && ["AKIA", "ASIA"].iter().any(|prefix| bare.starts_with(prefix))
            && bare.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if is_key { "(access key)" } else { word }
    });
    words.collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

/// The list of an answer. AWS sends an empty one where there is nothing to list; an answer without
/// any list says nothing, and least of all that nothing is there.
pub(crate) fn listed<T>(permission: &PermissionUse, list: Option<Vec<T>>) -> Result<Vec<T>, Refusal> {
    list.ok_or_else(|| Refusal::malformed(permission, "the answer holds no list"))
}

/// The most that one answer may hold. The largest are pages of 500 roles, each with up to some 30 kB
/// of documents after percent-encoding; most roles have a tenth of that.
const LARGEST_ANSWER: usize = 32 << 20;

/// Refuses answers that are cut off, empty, too large, or whose lists hold what is no item. The SDK
/// reads all but the large ones as answers of which every part that it does not find is absent: a torn
/// listing would look like a short one.
#[derive(Debug)]
pub(crate) struct CompleteAnswer;

/// The lists of IAM's answers that we read. The SDK takes whatever in them is no `member` for nothing.
const XML_LISTS: [&str; 7] = [
    "RoleDetailList",
    "Policies",
    "OpenIDConnectProviderList",
    "RolePolicyList",
    "AttachedManagedPolicies",
    "InstanceProfileList",
    "PolicyVersionList",
];

/// What keeps the lists of an answer from being believed.
fn untrue_list(body: &[u8]) -> Option<String> {
    if body.trim_ascii_start().starts_with(b"{") {
        let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
        let null = |value: &serde_json::Value| {
            value.as_array().is_some_and(|list| list.iter().any(serde_json::Value::is_null))
        };
        return fields.iter().find(|(_, value)| null(value)).map(|(name, _)| format!("the list {name} holds a null"));
    }
    let text = std::str::from_utf8(body).ok()?;
    let (strange, names) = match elements(text) {
        Ok(read) => read,
        Err(fault) => return Some(format!("the answer is no XML: {fault}")),
    };
    if let Some(list) = strange {
        return Some(format!("the list {list} holds something else than items"));
    }
    // Without it, a listing that goes on looks like one that has ended.
    let pages = names.contains("GetAccountAuthorizationDetailsResult");
    (pages && !names.contains("IsTruncated")).then(|| "the answer does not say whether it is the last page".to_owned())
}

/// The list of an answer of XML that holds anything but `member`s, and the names of its elements.
fn elements(text: &str) -> Result<(Option<&str>, HashSet<&str>), xmlparser::Error> {
    let mut open: Vec<&str> = Vec::new();
    let (mut strange, mut names) = (None, HashSet::new());
    for token in xmlparser::Tokenizer::from(text) {
        let list = open.last().copied().filter(|name| XML_LISTS.contains(name));
        match token? {
            xmlparser::Token::ElementStart { local, .. } => {
                let name = local.as_str();
                strange = strange.or(list.filter(|_| name != "member"));
                names.insert(name);
                open.push(name);
            }
            xmlparser::Token::ElementEnd { end: xmlparser::ElementEnd::Open, .. } => {}
            xmlparser::Token::ElementEnd { .. } => drop(open.pop()),
            xmlparser::Token::Text { text } if !text.trim().is_empty() => strange = strange.or(list),
            xmlparser::Token::Cdata { .. } => strange = strange.or(list),
            _ => {}
        }
    }
    Ok((strange, names))
}

impl Intercept for CompleteAnswer {
    fn name(&self) -> &'static str {
        "complete_answer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let unbounded = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(unbounded, LARGEST_ANSWER));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.output_or_error().is_err() {
            return Ok(());
        }
        let body = context.response().body().bytes().unwrap_or_default();
        if !is_complete(body) {
            return Err("the answer is cut off".into());
        }
        untrue_list(body).map_or(Ok(()), |fault| Err(fault.into()))
    }
}

/// Whether a text of JSON ends with its outermost object, and one of XML with its root's end.
fn is_complete(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if body.starts_with(b"{") {
        return body.ends_with(b"}");
    }
    // Past the declaration, if there is one.
    let declared = body.starts_with(b"<?").then(|| body.iter().position(|b| *b == b'>')).flatten();
    let rest = declared.and_then(|end| body.get(end + 1..)).unwrap_or(body).trim_ascii();
    let name = rest.strip_prefix(b"<").unwrap_or_default();
    let name: Vec<u8> =
        name.iter().copied().take_while(|b| !matches!(b, b'>' | b' ' | b'/' | b'\n' | b'\r' | b'\t')).collect();
    let tail = rest.strip_suffix(b">").and_then(|tail| tail.strip_suffix(name.as_slice()));
    !name.is_empty() && tail.is_some_and(|tail| tail.ends_with(b"</"))
}

/// Until when something may go on, and what it is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    of: &'static str,
}

impl Deadline {
    /// Without an end.
    pub(crate) const NONE: Self = Self { at: None, of: "" };

    /// From now on. A length of time that no clock can hold has no end.
    pub(crate) fn after(length: Duration, of: &'static str) -> Self {
        Self { at: Instant::now().checked_add(length), of }
    }

    /// The one that comes first.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self.at, other.at) {
            (Some(this), Some(that)) if that < this => other,
            (None, _) => other,
            _ => self,
        }
    }

    fn is_past(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }
}

/// Counts calls, keeps their number under way within bounds, and makes none past its deadline.
#[derive(Debug)]
pub(crate) struct Caller {
    permits: Semaphore,
    deadline: Deadline,
    /// For each listing.
    listing: Option<Duration>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
}

impl Caller {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { permits: Semaphore::new(at_once), deadline: Deadline::NONE, listing: None, calls: Mutex::default() }
    }

    /// Bounds all calls by a deadline, and each listing by a length of time.
    pub(crate) fn within(self, deadline: Deadline, listing: Duration) -> Self {
        Self { deadline, listing: Some(listing), ..self }
    }

    /// Where a listing begins.
    pub(crate) fn pages(&self, permission: &'static PermissionUse) -> Pages {
        let deadline = self.listing.map_or(Deadline::NONE, |length| Deadline::after(length, "listing"));
        Pages { deadline, ..Pages::new(permission) }
    }

    /// Makes one call, once there is room for it.
    pub(crate) async fn call<T, E>(
        &self,
        permission: &'static PermissionUse,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        if self.deadline.is_past() {
            return Err(Refusal::cut_short(permission, self.deadline.of));
        }
        let call = async {
            // The semaphore is never closed; without a permit the call would only be less bounded.
            let _permit = self.permits.acquire().await.ok();
            *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(permission.action).or_default() += 1;
            // Boxed: the SDK's futures are large, and dozens of them are alive at once.
            Box::pin(call).await.map_err(|error| Refusal::new(permission, &error))
        };
        let answer = match self.deadline.at {
            None => call.await,
            Some(at) => match timeout_at(at, call).await {
                Ok(answer) => answer,
                Err(_) => Err(Refusal::cut_short(permission, self.deadline.of)),
            },
        };
        answer.inspect_err(|refusal| {
            tracing::debug!(action = refusal.action, reason = refusal.reason.as_str(), detail = %refusal.detail, "call failed");
        })
    }

    /// How often each action was called.
    pub(crate) fn into_calls(self) -> BTreeMap<&'static str, u64> {
        self.calls.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More pages than this in one listing are no listing. The longest that AWS can give is that of an
/// organisation of 10,000 accounts in pages of 20, or of some 50,000 events in pages of 50.
const MAX_PAGES: usize = 5_000;

/// As [`MAX_PAGES`], where what is listed has no bound of its own: the objects of a bucket, in pages of
/// 1,000, and the events of a window, in pages of 50.
const MAX_LONG_PAGES: usize = 1_000_000;

/// Where a listing stands. Guards against an end that never comes.
#[derive(Debug)]
pub(crate) struct Pages {
    permission: &'static PermissionUse,
    /// The tokens, by their hashes: a token may have some kB.
    seen: HashSet<u64>,
    hashes: RandomState,
    most: usize,
    deadline: Deadline,
}

impl Pages {
    pub(crate) fn new(permission: &'static PermissionUse) -> Self {
        let hashes = RandomState::new();
        Self { permission, seen: HashSet::new(), hashes, most: MAX_PAGES, deadline: Deadline::NONE }
    }

    /// Of a listing that may be long. It has no deadline of its own, as AWS limits its rate.
    pub(crate) fn long(permission: &'static PermissionUse) -> Self {
        Self { most: MAX_LONG_PAGES, ..Self::new(permission) }
    }

    /// The token of the next page; `None` at the end. An empty token means the end, too.
    pub(crate) fn next(&mut self, token: Option<String>) -> Result<Option<String>, Refusal> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        if !self.seen.insert(self.hashes.hash_one(&token)) {
            return Err(Refusal::malformed(self.permission, "the listing does not end: a page's token came twice"));
        }
        if self.seen.len() >= self.most {
            let detail = format!("the listing does not end: {} pages were read", self.most);
            return Err(Refusal::malformed(self.permission, detail));
        }
        if self.deadline.is_past() {
            return Err(Refusal::cut_short(self.permission, self.deadline.of));
        }
        Ok(Some(token))
    }
}

/// So many pages in a row may hold nothing new, as where a listing changes while it is read.
const STALE_PAGES: usize = 3;

/// So many pages in a row may be empty, as where AWS filters what it has read.
const EMPTY_PAGES: usize = 1_000;

/// What the pages of a long listing showed so far: whether it goes on, or begins again under new tokens.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// The names, by their hashes.
    seen: HashSet<u64>,
    hashes: RandomState,
    stale: usize,
    empty: usize,
}

impl Fresh {
    /// Takes the names of a page's items.
    pub(crate) fn page<'i>(
        &mut self,
        permission: &PermissionUse,
        items: impl IntoIterator<Item = &'i str>,
    ) -> Result<(), Refusal> {
        let (mut any, mut new) = (false, false);
        for item in items {
            any = true;
            new |= self.seen.insert(self.hashes.hash_one(item));
        }
        self.empty = if any { 0 } else { self.empty + 1 };
        self.stale = if any && !new { self.stale + 1 } else { 0 };
        let endless = |why: String| Err(Refusal::malformed(permission, format!("the listing does not end: {why}")));
        match (self.stale >= STALE_PAGES, self.empty >= EMPTY_PAGES) {
            (true, _) => endless(format!("{STALE_PAGES} pages in a row hold nothing new")),
            (_, true) => endless(format!("{EMPTY_PAGES} pages in a row are empty")),
            _ => Ok(()),
        }
    }
}

/// Walks a listing to its end, page by page. `$request` makes the request for a token, `$take` gets
/// the list of each page. The value is the refusal that ended the walk early, if one did.
macro_rules! pages {
    ($scan:expr, $permission:expr, |$token:ident| $request:expr, $field:ident, |$list:ident| $take:expr) => {{
        let mut pages = $scan.caller.pages($permission);
        let mut $token: Option<String> = None;
        loop {
            let next = match $scan.caller.call($permission, $request.send()).await {
                Err(refusal) => Err(refusal),
                Ok(page) => $crate::call::listed($permission, page.$field).and_then(|$list| {
                    $take;
                    pages.next(page.next_token)
                }),
            };
            match next {
                Ok(None) => break None,
                Ok(next) => $token = next,
                Err(refusal) => break Some(refusal),
            }
        }
    }};
}
pub(crate) use pages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_comes_from_the_code_and_then_from_the_status() {
        let cases = [
            (Some("AccessDenied"), Some(403), GapReason::Denied),
            (Some("AccessDeniedException"), Some(400), GapReason::Denied),
            (Some("UnauthorizedOperation"), Some(403), GapReason::Denied),
            (Some("Throttling"), Some(400), GapReason::Throttled),
            (Some("ThrottlingException"), Some(400), GapReason::Throttled),
            (Some("com.amazonaws.eks#ThrottlingException"), Some(400), GapReason::Throttled),
            (Some("ThrottlingException:http://internal.amazon.com/"), Some(400), GapReason::Throttled),
            (Some("TooManyRequestsException"), Some(429), GapReason::Throttled),
            (Some("ExpiredToken"), Some(403), GapReason::Credentials),
            (Some("ExpiredTokenException"), Some(400), GapReason::Credentials),
            (Some("InvalidClientTokenId"), Some(403), GapReason::Credentials),
            (Some("UnrecognizedClientException"), Some(400), GapReason::Credentials),
            (Some("InvalidRequestException"), Some(400), GapReason::Denied),
            (Some("InternalFailure"), Some(500), GapReason::Unreachable),
            (None, Some(403), GapReason::Denied),
            (None, Some(429), GapReason::Throttled),
            (None, Some(404), GapReason::Unreachable),
            (None, Some(500), GapReason::Unreachable),
            (None, Some(200), GapReason::Malformed),
            (None, None, GapReason::Unreachable),
        ];
        for (code, status, reason) in cases {
            assert_eq!(reason_of(code, status), reason, "{code:?} {status:?}");
        }
    }

    #[test]
    fn an_answer_is_complete_only_with_its_end() {
        let xml = "<?xml version=\"1.0\"?>\n<ListResponse xmlns=\"x\"><A/><B><C>1</C></B></ListResponse>\n";
        let json = r#"{"clusters":["a"],"more":{"b":1}}"#;
        for text in [xml, json] {
            assert!(is_complete(text.as_bytes()), "{text}");
            let end = text.trim_end().len();
            for cut in 0..end {
                // JSON that is cut behind an inner object is left to the SDK, which does not read it.
                assert!(
                    !is_complete(&text.as_bytes()[..cut]) || text.as_bytes()[cut - 1] == b'}',
                    "cut at {cut}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_list_of_xml_holds_items_and_nothing_else() {
        let of = |list: &str| {
            format!(
                "<R><GetAccountAuthorizationDetailsResult><RoleDetailList>{list}</RoleDetailList>\
                 <IsTruncated>false</IsTruncated></GetAccountAuthorizationDetailsResult></R>"
            )
        };
        let nested = |list: &str| of(&format!("<member><RolePolicyList>{list}</RolePolicyList></member>"));
        let believed = ["", " \n ", "<member/>", "<member><Arn>x</Arn></member>\n<member></member>"];
        for list in believed {
            assert_eq!(
                (untrue_list(of(list).as_bytes()), untrue_list(nested(list).as_bytes())),
                (None, None),
                "{list}"
            );
        }
        let others = [
            "text",
            "<item/>",
            "<member/><item/>",
            "<member></member>text",
            "<members/>",
            "<![CDATA[text]]>",
            "<member/><!-- a comment --><item></item>",
        ];
        for list in others {
            let told = "the list RoleDetailList holds something else than items";
            assert_eq!(untrue_list(of(list).as_bytes()).as_deref(), Some(told), "{list}");
            let told = "the list RolePolicyList holds something else than items";
            assert_eq!(untrue_list(nested(list).as_bytes()).as_deref(), Some(told), "{list}");
        }
        let unsaid = of("").replace("<IsTruncated>false</IsTruncated>", "");
        assert_eq!(
            untrue_list(unsaid.as_bytes()).as_deref(),
            Some("the answer does not say whether it is the last page")
        );
        assert!(untrue_list(b"<R><A b=c/></R>").is_some_and(|why| why.starts_with("the answer is no XML")));
    }

    #[test]
    fn nothing_secret_is_kept_of_a_message() {
        let told = public("The key (ASIAABCDEFGHIJKLMNOP) is wrong\nx-amz-security-token:IQoJ");
        assert_eq!(told, "The key (access key) is wrong");
        assert_eq!(public(&"x".repeat(1000)).len(), 400);
    }

    #[test]
    fn pages_that_repeat_and_pages_without_end_are_told_from_a_long_listing() {
        static LOOKUP: PermissionUse =
            PermissionUse { action: "cloudtrail:LookupEvents", holder: Holder::Member, why: "test" };
        let mut fresh = Fresh::default();
        for n in 0..10_000 {
            let items = [format!("{n}"), format!("{}", n + 1)];
            fresh.page(&LOOKUP, items.iter().map(String::as_str)).unwrap();
        }
        // What is new between two repeats begins the count anew.
        for items in [["1"], ["2"], ["new"], ["1"], ["2"]] {
            fresh.page(&LOOKUP, items).unwrap();
        }
        let refused = fresh.page(&LOOKUP, ["3"]).unwrap_err();
        assert_eq!(refused.detail, "the listing does not end: 3 pages in a row hold nothing new");
        let mut fresh = Fresh::default();
        for _ in 1..EMPTY_PAGES {
            fresh.page(&LOOKUP, []).unwrap();
        }
        let refused = fresh.page(&LOOKUP, []).unwrap_err();
        assert_eq!(refused.detail, "the listing does not end: 1000 pages in a row are empty");
    }

    #[test]
    fn a_listing_ends_without_a_token_or_with_an_empty_one_and_never_turns_in_a_circle() {
        static LIST: PermissionUse = PermissionUse { action: "eks:ListClusters", holder: Holder::Member, why: "test" };
        let mut pages = Pages::new(&LIST);
        assert_eq!(pages.next(Some("a".to_owned())).unwrap(), Some("a".to_owned()));
        assert_eq!(pages.next(Some("b".to_owned())).unwrap(), Some("b".to_owned()));
        assert_eq!(pages.next(Some("a".to_owned())).unwrap_err().reason, GapReason::Malformed);
        assert_eq!(pages.next(Some(String::new())).unwrap(), None);
        assert_eq!(pages.next(None).unwrap(), None);
    }
}
