//! The question who can do something to a resource, as the API and the page read it from an address.

use super::as_of::AT;
use super::error::{AppError, Code, FieldError};
use super::query::{Kind, Param, Params, api_query, param};
use crate::app::App;
use crate::query::who_can::{Failure, answer};
use rolecall_audit::access::simulate::{Question, WhatIf};
use rolecall_audit::access::who_can::WhoCan;
use rolecall_store::AsOf;

const ACTION: Param = param("action", Kind::Action, "The action, such as `s3:GetObject`.").required();
const RESOURCE: Param = param("resource", Kind::Text, "The resource’s ARN; `*` where the action acts on none.");
const OWNER: Param = param(
    "resource_account",
    Kind::Account,
    "The resource’s account, where its ARN does not name it; otherwise each principal is asked as of its own account.",
);
const BARE: Param = param("bare", Kind::Flag, "Whether the resource is known to have no policy of its own.");

api_query! {
    /// Query of who can do something to a resource.
    WhoCanQuery = &[ACTION, RESOURCE, OWNER, BARE, AT]
}

/// Asks for whoever may see what `app` shows.
pub(super) async fn ask(app: &App, params: &Params, as_of: Option<AsOf>) -> Result<(Question, WhoCan), AppError> {
    let action = params.text("action").unwrap_or_default().trim();
    if action.is_empty() {
        let message = "`action` is needed, such as `s3:GetObject`".to_owned();
        return Err(field("action", message));
    }
    let question = Question {
        principal: String::new(),
        action: action.to_owned(),
        resource: params.text("resource").map_or("*", str::trim).to_owned(),
        resource_account: params.text("resource_account").and_then(|account| account.parse().ok()),
        context: Vec::new(),
        closed: false,
        what_if: WhatIf { resource: params.flag("bare").unwrap_or(false).then(Vec::new), ..WhatIf::default() },
    };
    let found = answer(&app.store, app.whole(), question.clone(), as_of).await?;
    Ok((question, found))
}

fn field(parameter: &str, message: String) -> AppError {
    let error = FieldError { parameter: parameter.to_owned(), message };
    AppError::of_fields(Code::InvalidParameter, vec![error])
}

impl From<Failure> for AppError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::Ask(error) => field("action", error.to_string()),
            Failure::Stopped(error) => Self::internal(error),
        }
    }
}
