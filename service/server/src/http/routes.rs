//! The routes: each address with what it requires, so that neither is there without the other.
//!
//! Router, contract, the gate's table and the list that tests walk come from the same declarations.
//! Refuses to know what a route answers.

use super::again;
use super::packed::packed;
use super::principal::{AccessRequirement, Scope};
use super::visible::Service;
use crate::app::App;
use axum::Router;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::MethodRouter;
use std::collections::HashMap;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// What each route requires, by its path as it is declared, and its method.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessTable {
    requirements: HashMap<String, Vec<(Method, AccessRequirement)>>,
    /// Routes that only somebody without limits comes to, with why.
    of_everything: Vec<(Method, String, &'static str)>,
}

impl AccessTable {
    /// Why nobody with limits comes to a route; `None` where they do.
    pub(crate) fn of_everything(&self, method: &Method, path: Option<&str>) -> Option<&'static str> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let found = self.of_everything.iter().find(|(known, of, _)| known == method && path == Some(of.as_str()));
        found.map(|(.., why)| *why)
    }

    /// What a request requires. `path` is the declared path that it matched: where it matched none,
    /// there is nothing to protect, and any credential may be told so. A path that declares nothing requires the
    /// most.
    ///
    /// # Errors
    /// Where the path does not have the method: nobody comes to a handler by it, and whoever may come to any
    /// method of the path, or has any credential, may be told so.
    pub(crate) fn requirement(&self, method: &Method, path: Option<&str>) -> Result<AccessRequirement, NoSuchMethod> {
        let Some(path) = path else { return Ok(AccessRequirement::Credential) };
        let Some(declared) = self.requirements.get(path) else { return Ok(AccessRequirement::Scope(Scope::Admin)) };
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        if let Some((_, required)) = declared.iter().find(|(known, _)| known == method) {
            return Ok(*required);
        }
        let least = declared.iter().map(|(_, required)| *required).min();
        let mut allowed: Vec<&str> = declared.iter().map(|(known, _)| known.as_str()).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        allowed.dedup();
        Err(NoSuchMethod {
            told: least.unwrap_or(AccessRequirement::Credential).min(AccessRequirement::Credential),
            allowed: allowed.join(","),
        })
    }

    fn declare(&mut self, method: Method, path: &str, required: AccessRequirement) {
        self.requirements.entry(path.to_owned()).or_default().push((method, required));
    }
}

/// A method that a path does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoSuchMethod {
    /// What whoever is told so needs: a credential or nothing.
    pub(crate) told: AccessRequirement,
    /// The methods that the path has, as `Allow` lists them.
    pub(crate) allowed: String,
}

/// A page as tests walk it: method, and an address with its parameters filled in.
pub type Sample = (Method, &'static str);

/// Declared routes.
pub(crate) struct Routes {
    api: OpenApiRouter<Service>,
    other: Router<Service>,
    table: AccessTable,
    samples: Vec<Sample>,
    /// What was declared last.
    last: Vec<(Method, String)>,
}

impl Routes {
    /// None yet. `document` is what the contract says beside its paths.
    pub(crate) fn new(document: OpenApi) -> Self {
        Self {
            api: OpenApiRouter::with_openapi(document),
            other: Router::new(),
            table: AccessTable::default(),
            samples: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Endpoints of the API, as `routes!` gives them: they stand in the contract.
    pub(crate) fn api(mut self, scope: Scope, routes: UtoipaMethodRouter<Service>) -> Self {
        self.last.clear();
        for (path, item) in &routes.1.paths {
            for method in methods(item) {
                self.table.declare(method.clone(), path, AccessRequirement::Scope(scope));
                self.last.push((method, path.clone()));
            }
        }
        self.api = self.api.routes(routes);
        self
    }

    /// Nobody with limits comes to what was declared last: its answer needs more than they may see. `why` is what
    /// they are told.
    pub(crate) fn of_everything(mut self, why: &'static str) -> Self {
        let last = self.last.iter().map(|(method, path)| (method.clone(), path.clone(), why));
        self.table.of_everything.extend(last);
        self
    }

    /// A page for people. `sample` is an address of it.
    pub(crate) fn page(self, path: &'static str, sample: &'static str, handler: MethodRouter<Service>) -> Self {
        self.person(Method::GET, path, sample, AccessRequirement::Person, packed(handler))
    }

    /// A page for people in a role with this scope.
    pub(crate) fn page_with(
        self,
        scope: Scope,
        path: &'static str,
        sample: &'static str,
        handler: MethodRouter<Service>,
    ) -> Self {
        self.person(Method::GET, path, sample, AccessRequirement::PersonWith(scope), packed(handler))
    }

    /// A form that changes nothing but what is the person's own. `sample` is an address of it.
    pub(crate) fn own_form(self, path: &'static str, sample: &'static str, handler: MethodRouter<Service>) -> Self {
        self.person(Method::POST, path, sample, AccessRequirement::Person, handler)
    }

    /// A form of people in a role with this scope. `sample` is an address of it.
    pub(crate) fn form(
        self,
        scope: Scope,
        path: &'static str,
        sample: &'static str,
        handler: MethodRouter<Service>,
    ) -> Self {
        self.person(Method::POST, path, sample, AccessRequirement::PersonWith(scope), handler)
    }

    fn person(
        mut self,
        method: Method,
        path: &'static str,
        sample: &'static str,
        required: AccessRequirement,
        handler: MethodRouter<Service>,
    ) -> Self {
        self.samples.push((method.clone(), sample));
        self.other(method, path, required, handler)
    }

    /// Any other route.
    pub(crate) fn other(
        mut self,
        method: Method,
        path: &'static str,
        required: AccessRequirement,
        handler: MethodRouter<Service>,
    ) -> Self {
        self.last = vec![(method.clone(), path.to_owned())];
        self.table.declare(method, path, required);
        self.other = self.other.route(path, handler);
        self
    }

    /// The contract of the API's endpoints.
    pub(crate) fn into_contract(self) -> OpenApi {
        let mut contract = self.api.into_openapi();
        super::contract::complete(&mut contract, |method, path| self.table.requirement(method, Some(path)).ok());
        contract
    }

    /// The pages and forms.
    pub(crate) fn into_samples(self) -> Vec<Sample> {
        self.samples
    }

    /// The router, and what its routes require.
    pub(crate) fn into_router(self, app: &App) -> (Router<Service>, AccessTable) {
        // The API's answers hold no secret beside words of the caller, as a page does with its form token.
        let api = self.api.layer(from_fn(again::tagged)).layer(from_fn_with_state(app.clone(), again::once));
        let (api, _) = api.layer(CompressionLayer::new()).split_for_parts();
        (self.other.merge(api), self.table)
    }
}

fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    [
        (item.get.is_some(), Method::GET),
        (item.post.is_some(), Method::POST),
        (item.put.is_some(), Method::PUT),
        (item.patch.is_some(), Method::PATCH),
        (item.delete.is_some(), Method::DELETE),
    ]
    .into_iter()
    .filter_map(|(there, method)| there.then_some(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_declares_nothing_requires_the_most() {
        let mut table = AccessTable::default();
        table.declare(Method::GET, "/api/v1/scans", AccessRequirement::Scope(Scope::ScansRead));
        table.declare(Method::POST, "/api/v1/scans", AccessRequirement::Scope(Scope::ScansWrite));
        table.declare(Method::GET, "/login", AccessRequirement::Nothing);
        let scope = AccessRequirement::Scope;
        for (method, path, required) in [
            (Method::GET, Some("/api/v1/scans"), scope(Scope::ScansRead)),
            (Method::HEAD, Some("/api/v1/scans"), scope(Scope::ScansRead)),
            (Method::POST, Some("/api/v1/scans"), scope(Scope::ScansWrite)),
            (Method::GET, Some("/login"), AccessRequirement::Nothing),
            (Method::GET, Some("/api/v1/undeclared"), scope(Scope::Admin)),
            (Method::GET, None, AccessRequirement::Credential),
        ] {
            assert_eq!(table.requirement(&method, path), Ok(required), "{method} {path:?}");
        }
        for (method, path, told, allowed) in [
            (Method::DELETE, "/api/v1/scans", AccessRequirement::Credential, "GET,HEAD,POST"),
            (Method::OPTIONS, "/api/v1/scans", AccessRequirement::Credential, "GET,HEAD,POST"),
            (Method::POST, "/login", AccessRequirement::Nothing, "GET,HEAD"),
        ] {
            let missing = NoSuchMethod { told, allowed: allowed.to_owned() };
            assert_eq!(table.requirement(&method, Some(path)), Err(missing), "{method} {path}");
        }
    }
}
