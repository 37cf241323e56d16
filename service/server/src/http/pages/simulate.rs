//! `/simulate`: may this principal do this to that resource, and which statement says so.
//!
//! The question of `POST /api/v1/simulate`, put by a form. An address without a document holds the
//! whole question, so that an answer can be sent to somebody; a document travels in a form's body
//! alone. Refuses to know how a request is decided.

use super::list::{Choice, Select};
use super::parts::{Badge, DocumentCard, ReasonLine, badge, numbered};
use crate::app::App;
use crate::http::as_of::{self, AT, AsOfBanner, AsOfError};
use crate::http::error::AppError;
use crate::http::error::PassThrough;
use crate::http::frame::{Chrome, Fault};
use crate::http::query::{Kind, Params, encode, pairs, param, query};
use crate::http::visible::Visible;
use crate::query::simulate::{self, Answer, SimulateError};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rolecall_audit::access::simulate::{AskError, Given, Question, WhatIf};

use rolecall_estate::Reason;
use rolecall_iam::{AccountId, Digest, Document, Outcome, PolicyEffect, PolicyExplanation, StatementMatch};
use rolecall_store::AsOf;
use std::collections::BTreeMap;

/// How a document of the form is called.
const GIVEN: &str = "the document of the form";

/// Policy types in whose place a document can stand.
const POLICY_TYPES: [(&str, &str); 9] = [
    ("", "None: use the stored policies"),
    ("identity", "The principal’s own policies"),
    ("boundary", "The permissions boundary"),
    ("session", "The session policy"),
    ("scp", "All service control policies"),
    ("rcp", "All resource control policies"),
    ("resource", "The policy on the resource"),
    ("trust", "The trust policy of the role asked for"),
    ("vpc_endpoint", "The policy of the VPC endpoint"),
];

query! {
    /// Query of the form, where it holds no document.
    SimulateQuery = &[
        param("principal", Kind::Text, "An ARN, a service, or a pod by its association."),
        param("action", Kind::Text, "The action."),
        param("resource", Kind::Text, "The resource’s ARN; everything if not given."),
        param("resource_account", Kind::Text, "The resource’s account, where its ARN does not name it."),
        param("context", Kind::Text, "Condition keys, one `key=value` a line."),
        param("closed", Kind::Flag, "Whether keys that are not given are absent."),
        param("bare", Kind::Flag, "Whether the resource has no policy of its own."),
        AT,
    ]
}

/// The form as it was sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Form {
    principal: String,
    action: String,
    resource: String,
    resource_account: String,
    context: String,
    closed: bool,
    bare: bool,
    /// The time that has passed of which is asked; empty: now.
    at: String,
    policy_type: String,
    document: String,
}

impl Form {
    fn of_query(params: &Params) -> Self {
        let text = |name: &str| params.text(name).unwrap_or_default().trim().to_owned();
        Self {
            principal: text("principal"),
            action: text("action"),
            resource: text("resource"),
            resource_account: text("resource_account"),
            context: text("context"),
            closed: params.flag("closed").unwrap_or(false),
            bare: params.flag("bare").unwrap_or(false),
            at: text(AT.name),
            ..Self::default()
        }
    }

    fn of_body(body: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs(body) {
            let value = value.trim().to_owned();
            match name.as_str() {
                "principal" => form.principal = value,
                "action" => form.action = value,
                "resource" => form.resource = value,
                "resource_account" => form.resource_account = value,
                "context" => form.context = value.replace('\r', ""),
                "closed" => form.closed = value == "true",
                "bare" => form.bare = value == "true",
                "at" => form.at = value,
                "policy_type" => form.policy_type = value,
                "document" => form.document = value,
                _ => {}
            }
        }
        form
    }

    /// The address that asks the same; empty where a document stands in for something.
    fn address(&self) -> String {
        if !self.document.is_empty() {
            return String::new();
        }
        let given = [
            ("principal", self.principal.as_str()),
            ("action", &self.action),
            ("resource", &self.resource),
            ("resource_account", &self.resource_account),
            ("context", &self.context),
            ("closed", if self.closed { "true" } else { "" }),
            ("bare", if self.bare { "true" } else { "" }),
            (AT.name, &self.at),
        ];
        let given = given.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
        format!("/simulate?{}", pairs.join("&"))
    }

    /// The same question as a request to the API of the service at `origin`.
    fn curl(&self, origin: &str, question: &Question) -> String {
        let mut asked = serde_json::json!({
            "principal": question.principal,
            "action": question.action,
            "resource": question.resource,
        });
        let mut put = |name: &str, value: serde_json::Value| {
            if let Some(asked) = asked.as_object_mut() {
                asked.insert(name.to_owned(), value);
            }
        };
        if !self.resource_account.is_empty() {
            put("resource_account", self.resource_account.as_str().into());
        }
        if !question.context.is_empty() {
            let values = |values: &[String]| match values {
                [one] => serde_json::Value::from(one.as_str()),
                several => serde_json::Value::from(several),
            };
            put("context", question.context.iter().map(|(key, given)| (key.clone(), values(given))).collect());
        }
        if self.closed {
            put("closed", true.into());
        }
        let mut policies = serde_json::Map::new();
        if self.bare {
            policies.insert("resource".to_owned(), serde_json::json!([]));
        }
        if !self.document.is_empty() {
            policies.insert(self.policy_type.clone(), serde_json::json!([self.document]));
        }
        if !policies.is_empty() {
            put("policies", policies.into());
        }
        let at = if self.at.is_empty() { String::new() } else { format!("?{}={}", AT.name, encode(&self.at)) };
        // Inside single quotes a shell takes all but the quote itself as it is.
        let body = asked.to_string().replace('\'', r"'\''");
        format!(
            "curl -H \"Authorization: Bearer $ROLECALL_TOKEN\" -H 'Content-Type: application/json' \\\n  \
             '{origin}/api/v1/simulate{at}' \\\n  --data '{body}'"
        )
    }

    /// The question, or what is wrong with the form.
    fn question(&self) -> Result<Question, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault =
            |parameter: &str, message: String| faults.push(Fault { parameter: parameter.to_owned(), message });
        for (name, value) in [("Principal", &self.principal), ("Action", &self.action)] {
            if value.is_empty() {
                fault(name, "is needed".to_owned());
            }
        }
        let account: Option<Result<AccountId, _>> =
            (!self.resource_account.is_empty()).then(|| self.resource_account.parse());
        if let Some(Err(_)) = &account {
            fault("Resource’s account", format!("`{}` is no account id: give twelve digits", self.resource_account));
        }
        let mut context: Vec<(String, Vec<String>)> = Vec::new();
        for (n, line) in self.context.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some((key, value)) if !key.is_empty() => {
                    match context.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(key)) {
                        Some((_, values)) => values.push(value.to_owned()),
                        None => context.push((key.to_owned(), vec![value.to_owned()])),
                    }
                }
                _ => fault("Condition keys", format!("line {}: write `aws:RequestedRegion=eu-west-1`", n + 1)),
            }
        }
        let mut what_if = WhatIf { resource: self.bare.then(Vec::new), ..WhatIf::default() };
        let given = (!self.document.is_empty())
            .then(|| vec![Given { name: GIVEN.to_owned(), document: Document::new(&self.document) }]);
        match (self.policy_type.as_str(), given) {
            ("", None) => {}
            ("", Some(_)) => fault("Replaces", "choose the policy that it replaces".to_owned()),
            (_, None) => fault("Document", "is missing; `{\"Statement\": []}` allows and denies nothing".to_owned()),
            ("identity", given) => what_if.identity = given,
            ("boundary", given) => what_if.boundary = given,
            ("session", given) => what_if.session = given,
            ("scp", given) => what_if.scp = given,
            ("rcp", given) => what_if.rcp = given,
            ("resource", given) => what_if.resource = given,
            ("trust", given) => what_if.trust = given,
            ("vpc_endpoint", given) => what_if.vpc_endpoint = given,
            (other, _) => fault("Replaces", format!("`{other}` is no policy type")),
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Question {
            principal: self.principal.clone(),
            action: self.action.clone(),
            resource: if self.resource.is_empty() { "*".to_owned() } else { self.resource.clone() },
            resource_account: account.and_then(Result::ok),
            context,
            closed: self.closed,
            what_if,
        })
    }
}

/// A statement that matches, or may match.
struct StatementLine {
    text: String,
    source: String,
    href: String,
}

/// The effect of a policy.
struct PolicyLine {
    name: String,
    effect: Badge,
    because: String,
    statements: Vec<StatementLine>,
}

/// The answer, ready to be shown.
struct Answered {
    class: &'static str,
    verdict: &'static str,
    because: String,
    principal: String,
    action: String,
    resource: String,
    reasons: Vec<ReasonLine>,
    notes: Vec<String>,
    minimal_changes: Vec<String>,
    policies: Vec<PolicyLine>,
    documents: Vec<DocumentCard>,
    address: String,
    curl: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/simulate.html")]
pub(crate) struct SimulatePage {
    chrome: Chrome,
    form: Form,
    policy_type: Select,
    faults: Vec<Fault>,
    answered: Option<Answered>,
}

impl SimulatePage {
    fn new(chrome: Chrome, form: Form) -> Self {
        let option = |(value, label): (&str, &str)| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
            chosen: value == form.policy_type,
        };
        let policy_type =
            Select { name: "policy_type", label: "Replaces", options: POLICY_TYPES.into_iter().map(option).collect() };
        Self { chrome, form, policy_type, faults: Vec::new(), answered: None }
    }

    /// The page as of the time that the form names; what is wrong with that is a fault of the form.
    async fn as_of(&mut self, app: &App) -> Result<Option<AsOf>, AppError> {
        if self.form.at.is_empty() {
            return Ok(None);
        }
        match as_of::named(&app.store, &self.form.at).await {
            Ok(as_of) => {
                let now = Form { at: String::new(), ..self.form.clone() }.address();
                let now = if now.is_empty() { "/simulate".to_owned() } else { now };
                self.chrome.as_of = Some(AsOfBanner::leading_back(as_of, &self.form.at, now));
                Ok(Some(as_of))
            }
            Err(AsOfError::Store(error)) => Err(error.into()),
            Err(AsOfError::Never(message)) => {
                self.faults.push(Fault { parameter: "As of".to_owned(), message });
                Ok(None)
            }
        }
    }

    async fn answered(mut self, app: &App) -> Result<Response, AppError> {
        let as_of = self.as_of(app).await?;
        match self.form.question() {
            Ok(_) if !self.faults.is_empty() => {}
            Ok(question) => match simulate::answer_seen(&app.store, app.whole(), &question, as_of).await {
                Ok(answer) => {
                    let mut told = answered(app, &self.form, &question, answer).await?;
                    told.curl = self.form.curl(&self.chrome.origin(app), &question);
                    self.answered = Some(told);
                    return Ok(self.into_response());
                }
                Err(SimulateError::Store(error)) => return Err(error.into()),
                Err(SimulateError::Ask(error)) => {
                    let parameter = if matches!(error, AskError::Action(_)) { "Action" } else { "Principal" };
                    self.faults.push(Fault { parameter: parameter.to_owned(), message: error.to_string() });
                }
            },
            Err(faults) => self.faults.extend(faults),
        }
        Ok(self.answer())
    }

    /// The form as it was filled in, with what is wrong above it.
    fn answer(self) -> Response {
        if self.faults.is_empty() {
            return self.into_response();
        }
        let mut response = (StatusCode::BAD_REQUEST, self).into_response();
        response.extensions_mut().insert(PassThrough);
        response
    }
}

/// Where to ask what a principal may do.
pub(super) fn href(principal: &str) -> String {
    format!("/simulate?principal={}", encode(principal))
}

/// `GET /simulate`: the form, and the answer where the address holds a question.
pub(crate) async fn page(Visible(app): Visible, RawQuery(raw): RawQuery, chrome: Chrome) -> Result<Response, AppError> {
    let form = Form::of_query(&SimulateQuery::parse(raw.as_deref())?);
    let asked = !form.action.is_empty();
    let mut page = SimulatePage::new(chrome, form);
    if asked {
        return page.answered(&app).await;
    }
    page.as_of(&app).await?;
    Ok(page.answer())
}

/// `POST /simulate`: the answer to a form. It changes nothing.
pub(crate) async fn ask(Visible(app): Visible, chrome: Chrome, body: String) -> Result<Response, AppError> {
    SimulatePage::new(chrome, Form::of_body(&body)).answered(&app).await
}

async fn answered(app: &App, form: &Form, question: &Question, answer: Answer) -> Result<Answered, AppError> {
    let Answer { explanation, principal, resource, notes } = answer;
    let (class, verdict) = match explanation.outcome {
        Outcome::Allow => ("ok", "Allow"),
        Outcome::DenyExplicit => ("bad", "Explicit deny"),
        Outcome::DenyImplicit => ("bad", "Implicit deny"),
        Outcome::Unknown => ("unseen", "Unknown"),
    };
    // Each document once, with all of its statements that have a say.
    let mut marked: BTreeMap<(String, Option<Digest>), BTreeMap<String, String>> = BTreeMap::new();
    for statement in explanation.policies.iter().flat_map(|policy| &policy.statements) {
        let marks = marked.entry((statement.source.clone(), statement.document)).or_default();
        marks.insert(statement.pointer.clone(), effect(statement));
    }
    let digests: Vec<Digest> = marked.keys().filter_map(|(_, digest)| *digest).collect();
    let stored = app.store.documents(&digests).await?;
    let (mut cards, mut shown) = (Vec::new(), Vec::new());
    for ((source, digest), marks) in marked {
        let kept = digest.and_then(|digest| stored.get(&digest)).map(|document| &*document.text);
        let text = if source == GIVEN { Some(form.document.as_str()) } else { kept };
        if let Some(text) = text {
            let pointers = marks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            cards.push(DocumentCard::new(&source, &pointers, digest, text, &marks));
            shown.push((source, digest));
        }
    }
    let documents = numbered(cards, "document");
    let href = |statement: &StatementMatch| {
        let place =
            shown.iter().position(|(source, digest)| *source == statement.source && *digest == statement.document);
        let card = place.and_then(|at| documents.get(at));
        card.map(|card| format!("#{}{}", card.id, statement.pointer)).unwrap_or_default()
    };
    Ok(Answered {
        class,
        verdict,
        because: explanation.because,
        principal,
        action: question.action.clone(),
        resource,
        reasons: ReasonLine::each(&explanation.reasons.iter().map(Reason::from).collect::<Vec<_>>()),
        notes,
        minimal_changes: explanation.minimal_changes.into_iter().map(|change| change.text).collect(),
        policies: explanation.policies.iter().map(|policy| policy_line(policy, &href)).collect(),
        documents,
        address: form.address(),
        curl: String::new(),
    })
}

fn effect(statement: &StatementMatch) -> String {
    let effect = if statement.denies { "Deny" } else { "Allow" };
    if statement.certain { effect.to_owned() } else { format!("{effect}, perhaps") }
}

fn policy_line(policy: &PolicyExplanation, href: &dyn Fn(&StatementMatch) -> String) -> PolicyLine {
    let shown = match policy.effect {
        PolicyEffect::Allow => badge("ok", "Allow"),
        PolicyEffect::ExplicitDeny => badge("bad", "Explicit deny"),
        PolicyEffect::ImplicitDeny => badge("bad", "Implicit deny"),
        PolicyEffect::Unknown => badge("unseen", "Unknown"),
        PolicyEffect::NotApplicable => badge("", "Not applicable"),
    };
    let statement = |statement: &StatementMatch| StatementLine {
        text: match &statement.sid {
            Some(sid) => format!("{}: statement {} ({sid})", effect(statement), statement.index),
            None => format!("{}: statement {}", effect(statement), statement.index),
        },
        source: statement.source.clone(),
        href: href(statement),
    };
    PolicyLine {
        name: policy.name.clone(),
        effect: shown,
        because: policy.because.clone(),
        statements: policy.statements.iter().map(statement).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(form: &Form) -> Vec<String> {
        let wrong = form.question().map(|_| ()).unwrap_err();
        wrong.into_iter().map(|fault| format!("{} {}", fault.parameter, fault.message)).collect()
    }

    #[test]
    fn a_form_is_read_as_it_was_sent() {
        let body = "principal=p&action=s3%3AGetObject&context=a%3D1%0D%0Ab+%3D+2%0D%0AA%3D3&closed=true&policy_type=identity&document=%7B%7D";
        let form = Form::of_body(body);
        let question = form.question().unwrap();
        assert_eq!(question.resource, "*");
        assert!(question.closed);
        let context = [("a", vec!["1", "3"]), ("b", vec!["2"])]
            .map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(question.context, context);
        assert_eq!(question.what_if.identity.as_ref().map(Vec::len), Some(1));
        assert_eq!(form.address(), "", "a document is not put into an address");
    }

    #[test]
    fn an_address_asks_what_the_form_asked() {
        let form = Form {
            principal: "1/eu-west-1/c/n/s".to_owned(),
            action: "s3:GetObject".to_owned(),
            context: "aws:RequestedRegion=eu-west-1".to_owned(),
            bare: true,
            at: "2026-10-03T10:00:00Z".to_owned(),
            ..Form::default()
        };
        let address = form.address();
        let query = address.strip_prefix("/simulate?").unwrap();
        assert_eq!(Form::of_query(&SimulateQuery::parse(Some(query)).unwrap()), form);
        assert_eq!(form.question().unwrap().what_if.resource.map(|given| given.len()), Some(0));
    }

    #[test]
    fn what_is_wrong_is_said_of_every_field() {
        let form = Form {
            resource_account: "1".to_owned(),
            context: "\n\nnonsense".to_owned(),
            document: "{}".to_owned(),
            ..Form::default()
        };
        let said = faults(&form);
        assert_eq!(said.len(), 5, "{said:?}");
        assert!(said[3].contains("line 3"), "{said:?}");
        let lone = Form {
            principal: "p".to_owned(),
            action: "a".to_owned(),
            policy_type: "scp".to_owned(),
            ..Form::default()
        };
        assert!(faults(&lone)[0].starts_with("Document is missing"));
    }
}
