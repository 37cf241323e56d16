//! The server: takes a call, finds out who asks for what, lets faults have their way, and answers.
//!
//! Service, region and access key are taken from the credential scope of the `Authorization`
//! header. **The signature itself is not checked.** Refuses to know any service's operations.

use crate::estate::Estate;
use crate::faults::FaultKind;
use crate::service::{self, Call, s3, sqs};
use crate::shared::Shared;
use crate::state::Caller;
use crate::wire::{Answer, Paging, Problem, Protocol, Service, Spoil, form};
use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const LARGEST_BODY: usize = 1 << 20;
/// CloudTrail's files are of up to 50 MB.
const LARGEST_OBJECT: usize = 64 << 20;

/// Serves until the future ends.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    until: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new().fallback(answer).with_state(shared);
    let service = router.into_make_service_with_connect_info::<Wire>();
    axum::serve(Door(listener), service).with_graceful_shutdown(until).await
}

struct Scope {
    key: String,
    region: String,
    service: String,
}

/// Reads `Credential=KEY/DATE/REGION/SERVICE/aws4_request` of the header.
fn scope(headers: &HeaderMap) -> Option<Scope> {
    let header = headers.get("authorization")?.to_str().ok()?;
    let (_, rest) = header.split_once("Credential=")?;
    let mut parts = rest.split([',', ' ']).next()?.split('/');
    let (key, _date) = (parts.next()?, parts.next()?);
    let (region, service) = (parts.next()?, parts.next()?);
    Some(Scope { key: key.to_owned(), region: region.to_owned(), service: service.to_owned() })
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Response<Body> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let (parts, body) = request.into_parts();
    let Some(scope) = scope(&parts.headers) else {
        return Problem::Unsigned.answer(Service::Iam, &request_id).send(Service::Iam, &request_id);
    };
    let Some(service) = Service::of_scope(&scope.service) else {
        let problem = Problem::UnknownOperation(format!("of service {}", scope.service));
        return problem.answer(Service::Iam, &request_id).send(Service::Iam, &request_id);
    };
    let largest = if service == Service::S3 { LARGEST_OBJECT } else { LARGEST_BODY };
    let Ok(body) = axum::body::to_bytes(body, largest).await else {
        return Problem::Internal.answer(service, &request_id).send(service, &request_id);
    };
    let text = String::from_utf8_lossy(&body);
    let token = parts.headers.get("x-amz-security-token").and_then(|t| t.to_str().ok());
    let caller = shared.state.caller(&scope.key, token);
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let asked = match service.protocol() {
        Protocol::S3 => {
            let in_chunks = header("x-amz-content-sha256").is_some_and(|hash| hash.starts_with("STREAMING-"));
            let body = if in_chunks { s3::unchunked(&body) } else { body.to_vec() };
            let query = parts.uri.query().unwrap_or_default();
            let asked = s3::Asked::new(parts.uri.path(), query, header("range"), body);
            asked.action(parts.method.as_str()).map(|action| (action.to_owned(), service::Input::S3(Box::new(asked))))
        }
        Protocol::Query | Protocol::Ec2 => {
            let parameters = form(&text);
            let action = parameters.iter().find(|(k, _)| k == "Action").map(|(_, v)| v.clone());
            action.map(|action| (action, service::Input::Form(parameters)))
        }
        Protocol::Json => {
            let target = parts.headers.get("x-amz-target").and_then(|t| t.to_str().ok());
            let action = target.and_then(|t| t.rsplit('.').next()).map(str::to_owned);
            let value = serde_json::from_str(if text.is_empty() { "{}" } else { &text });
            action.and_then(|a| value.ok().map(|v| (a, service::Input::Json(v))))
        }
        Protocol::Rest => {
            let path: Vec<String> = parts.uri.path().split('/').filter(|s| !s.is_empty()).map(decoded).collect();
            let query = form(parts.uri.query().unwrap_or_default());
            let body = serde_json::from_str(&text).unwrap_or_default();
            service::rest_action(service, parts.method.as_str(), &path)
                .map(|action| (action.to_owned(), service::Input::Rest { path, query, body }))
        }
    };
    let (operation, input) = match asked {
        Some(asked) => asked,
        None => {
            let name = format!("{} {}", parts.method, parts.uri.path());
            return Problem::UnknownOperation(name).answer(service, &request_id).send(service, &request_id);
        }
    };
    // Batches are granted with their single call.
    let single = operation.strip_suffix("Batch").filter(|_| service == Service::Sqs).unwrap_or(&operation);
    let action = format!("{}:{single}", service.prefix());
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) => return problem.answer(service, &request_id).send(service, &request_id),
    };
    let account = input.account_entered().unwrap_or(&caller.account).to_owned();
    shared.state.count(&account, &scope.region, &action);
    let faults = shared.faults.meeting(&account, &scope.region, &action);
    for fault in &faults {
        if let FaultKind::Latency(by) = fault {
            tokio::time::sleep(*by).await;
        }
    }
    if faults.contains(&FaultKind::DropConnection) {
        wire.broken.store(true, Ordering::Relaxed);
    }
    let refused = faults.iter().find_map(|fault| match fault {
        FaultKind::Deny => Some(denied(&caller, service, &action, &input)),
        FaultKind::Throttle => Some(Problem::Throttled),
        FaultKind::Fail => Some(Problem::Internal),
        FaultKind::ExpiredToken => Some(Problem::Expired),
        _ => None,
    });
    let call = Call {
        state: &shared.state,
        snapshot: shared.state.snapshot(),
        caller: &caller,
        service,
        operation: &operation,
        region: &scope.region,
        request_id: &request_id,
        page_cap: faults.iter().find_map(|f| if let FaultKind::PageSize(n) = f { Some(*n) } else { None }),
        paging: faults.iter().find_map(paging).unwrap_or(Paging::Plain),
        malformed_policy: faults.contains(&FaultKind::MalformedPolicy),
    };
    if let (None, "sqs:ReceiveMessage", service::Input::Json(asked)) = (&refused, action.as_str(), &input) {
        sqs::wait(&shared.state, asked).await;
    }
    let refused = refused.or_else(|| if action == "s3:GetObject" { s3::undecryptable(&shared, &call) } else { None });
    let mut answer = match refused {
        Some(problem) => problem.answer(service, &request_id),
        None => service::dispatch(&call, &input).unwrap_or_else(|problem| problem.answer(service, &request_id)),
    };
    if faults.contains(&FaultKind::MalformedBody) {
        answer = Answer::ok("<html><body><h1>It works!</h1></body></html>".to_owned());
    } else if faults.contains(&FaultKind::EmptyBody) {
        answer = Answer::ok(String::new());
    } else if faults.contains(&FaultKind::CutBody) {
        answer = answer.cut();
    }
    for fault in &faults {
        answer = match fault {
            FaultKind::NoLists => answer.spoiled(service, Spoil::Absent),
            FaultKind::EmptyLists => answer.spoiled(service, Spoil::Empty),
            FaultKind::TextForLists => answer.spoiled(service, Spoil::Text),
            FaultKind::NoItems => answer.spoiled(service, Spoil::Nothings),
            FaultKind::Padding(by) => answer.padded(*by),
            _ => answer,
        };
    }
    tracing::debug!(%account, region = %scope.region, %action, "call");
    answer.send(service, &request_id)
}

fn paging(fault: &FaultKind) -> Option<Paging> {
    match fault {
        FaultKind::BreakPaging => Some(Paging::Broken),
        FaultKind::Circle => Some(Paging::Circle),
        FaultKind::Endless => Some(Paging::Endless),
        _ => None,
    }
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The refusal in the words of the services.
fn denied(caller: &Caller, service: Service, action: &str, input: &service::Input) -> Problem {
    let who = &caller.arn;
    Problem::Denied(match service {
        Service::Organizations => "You don't have permissions to access this resource.".to_owned(),
        Service::Sts => {
            let on = input.form("RoleArn").unwrap_or("*");
            format!("User: {who} is not authorized to perform: {action} on resource: {on}")
        }
        Service::S3 => {
            let on = input.s3().map(s3::Asked::arn).unwrap_or_default();
            format!(
                "User: {who} is not authorized to perform: {action} on resource: \"{on}\" because no identity-based \
                 policy allows the {action} action"
            )
        }
        _ => format!(
            "User: {who} is not authorized to perform: {action} on resource: * because no identity-based policy \
             allows the {action} action"
        ),
    })
}

/// The listener, whose connections can be broken from within.
struct Door(TcpListener);

/// A connection's switch: thrown, every further read and write of it fails.
#[derive(Clone)]
struct Wire {
    broken: Arc<AtomicBool>,
}

struct Line {
    stream: TcpStream,
    broken: Arc<AtomicBool>,
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        (Line { stream, broken: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self { broken: stream.io().broken.clone() }
    }
}

impl Line {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// An estate is served by the hub's account at least.
pub(crate) fn with_hub(mut estate: Estate) -> Estate {
    if estate.hub.is_empty() {
        let first = estate.accounts.keys().next().cloned();
        let management = estate.organization.as_ref().map(|o| o.management.clone());
        estate.hub = management.or(first).unwrap_or_else(|| "000000000000".to_owned());
    }
    estate
}
