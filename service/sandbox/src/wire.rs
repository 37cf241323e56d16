//! How answers and errors look on the wire: XML of the query protocol, JSON of the others.
//!
//! Knows each service's own error names and status codes. Refuses to know estates.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

/// A service that the sandbox speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Sts,
    Iam,
    Ec2,
    Eks,
    CloudTrail,
    Organizations,
    Account,
    S3,
    Sqs,
    Sns,
    Events,
}

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Form in, XML out.
    Query,
    /// The same with EC2's own envelope.
    Ec2,
    /// JSON, the action in `X-Amz-Target`.
    Json,
    /// JSON, the action in method and path.
    Rest,
    /// Bytes in and out, XML for lists and errors, the action in method and path.
    S3,
}

impl Service {
    /// By the name in the credential scope.
    pub(crate) fn of_scope(name: &str) -> Option<Self> {
        [
            Self::Sts,
            Self::Iam,
            Self::Ec2,
            Self::Eks,
            Self::CloudTrail,
            Self::Organizations,
            Self::Account,
            Self::S3,
            Self::Sqs,
            Self::Sns,
            Self::Events,
        ]
        .into_iter()
        .find(|s| s.prefix() == name)
    }

    /// The prefix of its actions, which is also its signing name.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Ec2 => "ec2",
            Self::Eks => "eks",
            Self::CloudTrail => "cloudtrail",
            Self::Organizations => "organizations",
            Self::Account => "account",
            Self::S3 => "s3",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Events => "events",
        }
    }

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Sts | Self::Iam | Self::Sns => Protocol::Query,
            Self::Ec2 => Protocol::Ec2,
            Self::Eks | Self::Account => Protocol::Rest,
            Self::CloudTrail | Self::Organizations | Self::Sqs | Self::Events => Protocol::Json,
            Self::S3 => Protocol::S3,
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::Sns => "http://sns.amazonaws.com/doc/2010-03-31/",
            Self::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
            _ => "https://iam.amazonaws.com/doc/2010-05-08/",
        }
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No permission; the text says for what.
    Denied(String),
    /// Too many calls.
    Throttled,
    /// The service failed.
    Internal,
    /// The session is over.
    Expired,
    /// No such access key, or a wrong session token.
    UnknownToken,
    /// Not signed.
    Unsigned,
    /// Not an operation of the service, or none that is stood in for.
    UnknownOperation(String),
    /// An error of the operation itself.
    Named(u16, &'static str, String),
}

impl Problem {
    /// HTTP status, error code and message in a service's own words.
    fn spoken(&self, service: Service) -> (u16, String, String) {
        let query = matches!(service.protocol(), Protocol::Query | Protocol::Ec2);
        let json_status = if service.protocol() == Protocol::Json { 400 } else { 403 };
        let (status, code, message): (u16, &str, &str) = match self {
            Self::Named(status, code, message) => (*status, code, message),
            Self::Denied(message) => match service {
                Service::Ec2 => (403, "UnauthorizedOperation", message),
                Service::Sns => (403, "AuthorizationError", message),
                _ if query || service == Service::S3 => (403, "AccessDenied", message),
                _ => (json_status, "AccessDeniedException", message),
            },
            Self::Throttled => match service {
                Service::Ec2 => (503, "RequestLimitExceeded", "Request limit exceeded."),
                Service::Organizations | Service::Account => (
                    if service == Service::Account { 429 } else { 400 },
                    "TooManyRequestsException",
                    "Too Many Requests",
                ),
                Service::Eks => (429, "ThrottlingException", "Rate exceeded"),
                Service::CloudTrail | Service::Events => (400, "ThrottlingException", "Rate exceeded"),
                Service::S3 => (503, "SlowDown", "Please reduce your request rate."),
                Service::Sqs => (400, "RequestThrottled", "Request is throttled."),
                _ => (400, "Throttling", "Rate exceeded"),
            },
            Self::Internal => match service {
                Service::Iam => (500, "ServiceFailure", "Service unavailable."),
                Service::Eks => (500, "ServerException", "Internal server error."),
                Service::Organizations => (500, "ServiceException", "AWS Organizations can't complete your request."),
                Service::Account | Service::Ec2 | Service::S3 => {
                    (500, "InternalError", "An internal error has occurred")
                }
                _ => (500, "InternalFailure", "The request processing has failed because of an unknown error."),
            },
            Self::Expired => {
                let message = "The security token included in the request is expired";
                match service {
                    Service::Ec2 => (400, "RequestExpired", "Request has expired."),
                    Service::S3 => (400, "ExpiredToken", "The provided token has expired."),
                    _ if query => (403, "ExpiredToken", message),
                    _ => (json_status, "ExpiredTokenException", message),
                }
            }
            Self::UnknownToken => {
                let message = "The security token included in the request is invalid.";
                match service {
                    Service::Ec2 => {
                        (401, "AuthFailure", "AWS was not able to validate the provided access credentials")
                    }
                    Service::S3 => {
                        (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
                    }
                    _ if query => (403, "InvalidClientTokenId", message),
                    _ => (json_status, "UnrecognizedClientException", message),
                }
            }
            Self::Unsigned => {
                let code = if query { "MissingAuthenticationToken" } else { "MissingAuthenticationTokenException" };
                (json_status, code, "Request is missing Authentication Token")
            }
            Self::UnknownOperation(name) => {
                let message = format!("Could not find operation {name}");
                return match service.protocol() {
                    Protocol::Query | Protocol::Ec2 => (400, "InvalidAction".to_owned(), message),
                    Protocol::S3 => (501, "NotImplemented".to_owned(), message),
                    _ => (404, "UnknownOperationException".to_owned(), message),
                };
            }
        };
        (status, code.to_owned(), message.to_owned())
    }

    /// The answer that tells the caller.
    pub(crate) fn answer(&self, service: Service, request_id: &str) -> Answer {
        let (status, code, message) = self.spoken(service);
        let side = if status >= 500 { "Receiver" } else { "Sender" };
        let mut xml = Xml::default();
        match service.protocol() {
            Protocol::Query => xml.element_ns("ErrorResponse", service.namespace(), |x| {
                x.element("Error", |x| {
                    x.leaf("Type", side);
                    x.leaf("Code", &code);
                    x.leaf("Message", &message);
                });
                x.leaf("RequestId", request_id);
            }),
            Protocol::Ec2 => xml.element("Response", |x| {
                x.element("Errors", |x| {
                    x.element("Error", |x| {
                        x.leaf("Code", &code);
                        x.leaf("Message", &message);
                    });
                });
                x.leaf("RequestID", request_id);
            }),
            Protocol::S3 => xml.element("Error", |x| {
                x.leaf("Code", &code);
                x.leaf("Message", &message);
                x.leaf("RequestId", request_id);
            }),
            Protocol::Json => {
                let member = if service == Service::Organizations { "Message" } else { "message" };
                let told = Answer::ok(json!({"__type": code, member: message}).to_string()).status(status);
                // Clients of the older protocol knew the code from here.
                let of_queue = ["QueueDoesNotExist", "MessageNotInflight"].contains(&code.as_str());
                let old = if code == "QueueDoesNotExist" { "NonExistentQueue" } else { &code };
                let by_query = format!("{}{old};{side}", if of_queue { "AWS.SimpleQueueService." } else { "" });
                return if service == Service::Sqs { told.with("x-amzn-query-error", by_query) } else { told };
            }
            Protocol::Rest => {
                // For REST-JSON the error's name goes in a header.
                let told = Answer::ok(json!({"message": message}).to_string()).status(status);
                return told.with("x-amzn-errortype", code);
            }
        }
        Answer::ok(xml.0).status(status)
    }
}

/// An answer before it has headers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pub(crate) body: Content,
}

/// What an answer holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Text(String),
    Bytes(Arc<[u8]>),
}

impl Content {
    /// The first half.
    pub(crate) fn cut(&self) -> Self {
        match self {
            Self::Text(text) => {
                let half = text.len() / 2;
                let cut = (0..=half).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                Self::Text(text.split_at(cut).0.to_owned())
            }
            Self::Bytes(bytes) => Self::Bytes(Arc::from(bytes.get(..bytes.len() / 2).unwrap_or_default())),
        }
    }
}

impl Answer {
    /// A result that is ready.
    pub(crate) fn ok(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body: Content::Text(body) }
    }

    /// An object.
    pub(crate) fn bytes(bytes: Arc<[u8]>) -> Self {
        Self { status: 200, headers: Vec::new(), body: Content::Bytes(bytes) }
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with(mut self, header: &'static str, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    /// The same, broken off in the middle: under a status of 200 and with a length that fits.
    pub(crate) fn cut(self) -> Self {
        Self { status: 200, headers: Vec::new(), body: self.body.cut() }
    }

    /// The same with every list, and every thing that is described, in another form.
    pub(crate) fn spoiled(self, service: Service, spoil: Spoil) -> Self {
        let Content::Text(text) = &self.body else { return self };
        let body = match service.protocol() {
            Protocol::Json | Protocol::Rest => spoil.json(text),
            Protocol::Query | Protocol::Ec2 | Protocol::S3 => spoil.xml(text),
        };
        Self { body: Content::Text(body), ..self }
    }

    /// The same with this many bytes of white space behind it.
    pub(crate) fn padded(self, by: usize) -> Self {
        let Content::Text(text) = &self.body else { return self };
        let body = Content::Text(format!("{text}{}", " ".repeat(by)));
        Self { body, ..self }
    }

    /// A query result in its envelope.
    pub(crate) fn query(service: Service, operation: &str, request_id: &str, result: &Xml) -> Self {
        let mut xml = Xml::with_capacity(result.0.len() + 400);
        xml.element_ns(&format!("{operation}Response"), service.namespace(), |x| {
            if service == Service::Ec2 {
                x.leaf("requestId", request_id);
                x.0.push_str(&result.0);
            } else {
                x.element(&format!("{operation}Result"), |x| x.0.push_str(&result.0));
                x.element("ResponseMetadata", |x| x.leaf("RequestId", request_id));
            }
        });
        Self::ok(xml.0)
    }

    /// With headers, as the service would send it.
    pub(crate) fn send(self, service: Service, request_id: &str) -> Response<Body> {
        let content = match service.protocol() {
            Protocol::S3 if matches!(self.body, Content::Bytes(_)) => "application/octet-stream",
            Protocol::Query | Protocol::Ec2 | Protocol::S3 => "text/xml",
            Protocol::Json if service == Service::Sqs => "application/x-amz-json-1.0",
            Protocol::Json => "application/x-amz-json-1.1",
            Protocol::Rest => "application/json",
        };
        let mut builder = Response::builder()
            .status(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .header(header::CONTENT_TYPE, content)
            .header("x-amzn-requestid", request_id);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        let body = match self.body {
            Content::Text(text) => Body::from(text),
            Content::Bytes(bytes) => Body::from(bytes.to_vec()),
        };
        builder.body(body).unwrap_or_default()
    }
}

/// What becomes of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    Absent,
    Empty,
    /// A text where the list was.
    Text,
    /// A list of no items, but of as many nothings.
    Nothings,
}

impl Spoil {
    fn json(self, text: &str) -> String {
        let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
        if self == Self::Absent {
            fields.retain(|_, value| !(value.is_array() || value.is_object()));
        }
        for value in fields.values_mut() {
            match (self, &*value) {
                (Self::Empty | Self::Nothings, Value::Object(_)) => *value = json!({}),
                (Self::Empty, Value::Array(_)) => *value = json!([]),
                (Self::Nothings, Value::Array(_)) => *value = json!([null]),
                (Self::Text, Value::Array(_) | Value::Object(_)) => *value = json!("x"),
                _ => {}
            }
        }
        Value::Object(fields).to_string()
    }

    fn xml(self, text: &str) -> String {
        const LISTS: [&str; 11] = [
            "RoleDetailList",
            "Policies",
            "UserDetailList",
            "GroupDetailList",
            "OpenIDConnectProviderList",
            "ClientIDList",
            "ThumbprintList",
            "AssumedRoleUser",
            "Credentials",
            "Contents",
            "CommonPrefixes",
        ];
        let mut text = text.to_owned();
        for name in LISTS {
            let (start, end) = (format!("<{name}>"), format!("</{name}>"));
            let mut kept = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some((before, (_, after))) =
                rest.split_once(&start).and_then(|(before, tail)| Some((before, tail.split_once(&end)?)))
            {
                kept.push_str(before);
                match self {
                    Self::Absent => {}
                    Self::Empty => kept.push_str(&format!("{start}{end}")),
                    Self::Text => kept.push_str(&format!("{start}x{end}")),
                    Self::Nothings => kept.push_str(&format!("{start}<nothing/>{end}")),
                }
                rest = after;
            }
            kept.push_str(rest);
            text = kept;
        }
        text
    }
}

/// XML text in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Xml(pub(crate) String);

impl Xml {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    pub(crate) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    fn element_ns(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name} xmlns=\"{namespace}\">");
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// The outermost element, in its namespace and after the declaration.
    pub(crate) fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        self.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.element_ns(name, namespace, inside);
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.element(name, |x| x.text(text));
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                c => self.0.push(c),
            }
        }
    }

    /// An object of an answer, member by member: lists as `<member>`s, policy documents
    /// percent-encoded, as IAM does.
    pub(crate) fn value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(text) if is_document(name) => self.leaf(name, &percent_encoded(text)),
            Value::Object(_) if is_document(name) => self.leaf(name, &percent_encoded(&value.to_string())),
            Value::String(text) => self.leaf(name, text),
            Value::Bool(_) | Value::Number(_) => self.leaf(name, &value.to_string()),
            Value::Array(items) => self.element(name, |x| {
                for item in items {
                    x.value("member", item);
                }
            }),
            Value::Object(members) => self.element(name, |x| {
                for (key, member) in members {
                    x.value(key, member);
                }
            }),
        }
    }
}

/// Whether a member of an IAM answer holds a policy document.
pub(crate) fn is_document(name: &str) -> bool {
    matches!(name, "AssumeRolePolicyDocument" | "PolicyDocument" | "Document")
}

fn percent_encoded(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

/// A `x-www-form-urlencoded` text, or a query string, in its order.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let decode = |s: &str| {
        let spaced = s.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// A page of a list, and the token of the next.
#[derive(Debug)]
pub(crate) struct Page<'a, T> {
    pub(crate) items: &'a [T],
    pub(crate) next: Option<String>,
}

/// The token is not one that this listing gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadToken;

/// How a listing goes on after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// As it should.
    Plain,
    /// A next page is named and cannot be asked for.
    Broken,
    /// The first page again and again, under one token.
    Circle,
    /// The first page again and again, under ever new tokens.
    Endless,
}

impl Paging {
    /// The token that is named whatever page it is.
    pub(crate) fn next(self) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Broken | Self::Circle => Some("AAAAAAAAAAAAAAAAAAAA".to_owned()),
            Self::Endless => Some(uuid::Uuid::new_v4().simple().to_string()),
        }
    }

    /// Whether every token stands for the first page.
    pub(crate) fn begins_again(self) -> bool {
        matches!(self, Self::Circle | Self::Endless)
    }
}

/// Cuts a page. A token is good only for the listing (action and parameters) that gave it.
pub(crate) fn page<'a, T>(
    items: &'a [T],
    listing: &str,
    token: Option<&str>,
    limit: usize,
    paging: Paging,
) -> Result<Page<'a, T>, BadToken> {
    let seal = crate::ids::hash(listing);
    let offset = match token {
        None => 0,
        Some(_) if paging.begins_again() => 0,
        Some(token) => token
            .strip_prefix(&format!("{seal:016x}"))
            .and_then(|rest| usize::from_str_radix(rest, 16).ok())
            .ok_or(BadToken)?,
    };
    let rest = items.get(offset..).unwrap_or_default();
    let cut = rest.get(..limit.max(1)).unwrap_or(rest);
    let end = offset + cut.len();
    let next = paging.next().or_else(|| (end < items.len()).then(|| format!("{seal:016x}{end:x}")));
    Ok(Page { items: cut, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_a_foreign_token_is_refused() {
        let items: Vec<u32> = (0..7).collect();
        let mut seen = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = page(&items, "a", token.as_deref(), 3, Paging::Plain).unwrap();
            seen.extend_from_slice(page.items);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
        let first = page(&items, "a", None, 3, Paging::Plain).unwrap();
        assert_eq!(page(&items, "b", first.next.as_deref(), 3, Paging::Plain).unwrap_err(), BadToken);
        let broken = page(&items, "a", None, 100, Paging::Broken).unwrap();
        assert_eq!(page(&items, "a", broken.next.as_deref(), 3, Paging::Plain).unwrap_err(), BadToken);
    }

    proptest::proptest! {
        #[test]
        fn pages_of_any_size_put_together_are_the_list(length in 0_usize..60, limit in 1_usize..70) {
            let items: Vec<usize> = (0..length).collect();
            let (mut seen, mut token) = (Vec::new(), None);
            for _ in 0..=length {
                let page = page(&items, "law", token.as_deref(), limit, Paging::Plain).unwrap();
                proptest::prop_assert!(page.items.len() <= limit);
                seen.extend_from_slice(page.items);
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
            proptest::prop_assert_eq!(seen, items);
            proptest::prop_assert_eq!(token, None);
        }
    }

    #[test]
    fn documents_are_percent_encoded_and_other_text_is_escaped() {
        let mut xml = Xml::default();
        let role = json!({"RoleName": "a<b", "AssumeRolePolicyDocument": {"Version": "x y"}, "Tags": [{"Key": "k"}]});
        xml.value("member", &role);
        let expected = "<member><RoleName>a&lt;b</RoleName>\
            <AssumeRolePolicyDocument>%7B%22Version%22%3A%22x%20y%22%7D</AssumeRolePolicyDocument>\
            <Tags><member><Key>k</Key></member></Tags></member>";
        assert_eq!(xml.0, expected);
    }

    #[test]
    fn a_form_is_decoded() {
        assert_eq!(
            form("Action=X&Name=a%2Fb+c&Empty="),
            [
                ("Action".to_owned(), "X".to_owned()),
                ("Name".to_owned(), "a/b c".to_owned()),
                ("Empty".to_owned(), String::new()),
            ]
        );
    }
}
