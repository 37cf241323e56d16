//! Ownership rules: whose a place is, in the selectors of bindings, with service accounts and roles.
//!
//! The first rule that takes a place decides. A rule that depends on what was not seen may be that one, so nothing
//! after it is asked. Refuses to know tags, and what is in a place.

use super::binding::{Place, Select, Taken};
use super::decode::Doc;
use super::schema::Schema;
use super::text::Glob;
use super::yaml::{self, Kind, LoadError, Node, Source, SourceFile};
use rolecall_iam::AccountId;

const KIND: &str = "Owners";
/// The most characters of an owner's name and contact: as long as the value of a tag may be.
const LONGEST: usize = 256;

/// The ownership rules of a file, in order.
#[derive(Debug, Clone, Default)]
pub struct OwnerRules(Vec<OwnerRule>);

/// An ownership rule.
#[derive(Debug, Clone)]
pub struct OwnerRule {
    /// Whose it is.
    pub owner: String,
    /// How the owner is reached.
    pub contact: Option<String>,
    /// File and line.
    pub origin: String,
    select: Select,
    service_accounts: Vec<Glob>,
    roles: Vec<Glob>,
}

/// Where something is whose owner is asked for.
#[derive(Debug, Clone, Copy)]
pub struct OwnerPlace<'a> {
    /// Its account.
    pub account_id: AccountId,
    /// `None` where the organization was not seen.
    pub ou_path: Option<&'a str>,
    /// Its cluster.
    pub cluster: Option<&'a str>,
    /// Its namespace.
    pub namespace: Option<&'a str>,
    /// Its service account.
    pub service_account: Option<&'a str>,
    /// The ARNs of the roles concerned; `None` where they were not seen.
    pub roles: Option<&'a [&'a str]>,
}

/// What ownership rules say of some places together.
#[derive(Debug, Clone, Copy)]
pub enum Ruled<'a> {
    /// This rule takes all of them.
    By(&'a OwnerRule),
    /// No rule takes all of them.
    ByNone,
    /// This rule takes them or not by the OU of the account, which was not seen.
    OuNotSeen(&'a OwnerRule),
    /// This rule takes them or not by their roles, which were not seen.
    RolesNotSeen(&'a OwnerRule),
}

/// Whether a rule takes a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Yes,
    No,
    OuNotSeen,
    RolesNotSeen,
}

impl OwnerRule {
    fn takes(&self, place: &OwnerPlace<'_>) -> Takes {
        let service_account = self.service_accounts.is_empty()
            || place.service_account.is_some_and(|name| self.service_accounts.iter().any(|glob| glob.matches(name)));
        if !service_account {
            return Takes::No;
        }
        let select = self.select.takes(&Place::of(place.account_id, place.ou_path, place.cluster, place.namespace));
        let roles = match place.roles {
            _ if self.roles.is_empty() => Taken::Yes,
            None => Taken::NotSeen,
            Some(arns) if arns.iter().any(|arn| self.roles.iter().any(|glob| glob.matches(arn))) => Taken::Yes,
            Some(_) => Taken::No,
        };
        match (select, roles) {
            (Taken::No, _) | (_, Taken::No) => Takes::No,
            (Taken::NotSeen, _) => Takes::OuNotSeen,
            (Taken::Yes, Taken::NotSeen) => Takes::RolesNotSeen,
            (Taken::Yes, Taken::Yes) => Takes::Yes,
        }
    }

    fn takes_everything(&self) -> bool {
        self.service_accounts.is_empty() && self.roles.is_empty() && self.select == Select::default()
    }
}

impl OwnerRules {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem, with line, column, field and remedy.
    pub fn load(file: &SourceFile, schema: &Schema) -> Result<Self, Vec<LoadError>> {
        let mut errors = Vec::new();
        let source = Source { path: &file.path, text: &file.text };
        let mut rules: Vec<OwnerRule> = Vec::new();
        for node in yaml::documents(source, &mut errors) {
            let mut doc = Doc { source, schema, errors: &mut errors };
            if doc.kind(&node, &[KIND]).is_none() {
                continue;
            }
            doc.map(&node, "", &["apiVersion", "kind", "spec"], &["spec"]);
            let Some(spec) = node.get("spec") else { continue };
            if doc.map(spec, "spec", &["owners"], &["owners"]) {
                doc.owners(spec.get("owners"), &mut rules);
            }
        }
        if errors.is_empty() { Ok(Self(rules)) } else { Err(errors) }
    }

    /// What they say of the places of one thing.
    #[must_use]
    pub fn of(&self, places: &[OwnerPlace<'_>]) -> Ruled<'_> {
        for rule in &self.0 {
            let mut all = Takes::Yes;
            for takes in places.iter().map(|place| rule.takes(place)) {
                if takes == Takes::No || all == Takes::Yes {
                    all = takes;
                }
                if all == Takes::No {
                    break;
                }
            }
            match all {
                Takes::No => {}
                Takes::Yes => return Ruled::By(rule),
                Takes::OuNotSeen => return Ruled::OuNotSeen(rule),
                Takes::RolesNotSeen => return Ruled::RolesNotSeen(rule),
            }
        }
        Ruled::ByNone
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Doc<'_, '_> {
    fn owners(&mut self, node: Option<&Node>, rules: &mut Vec<OwnerRule>) {
        let Some(node) = node else { return };
        let Kind::List(items) = &node.kind else {
            let message = format!("a list is needed, {} is given", node.kind.name());
            self.wrong(node.at, "spec.owners", message, "write `- owner: payments` with a `select` for each");
            return;
        };
        for (at, item) in items.iter().enumerate() {
            let rule = self.owner(item, &format!("spec.owners[{at}]"));
            if let Some(whole) = rules.iter().find(|rule| rule.takes_everything()) {
                let message = format!("nothing gets to this rule: the one at {} takes everything", whole.origin);
                self.wrong(item.at, &format!("spec.owners[{at}]"), message, "put the rule without `select` last");
                return;
            }
            rules.extend(rule);
        }
    }

    fn owner(&mut self, node: &Node, field: &str) -> Option<OwnerRule> {
        if !self.map(node, field, &["owner", "contact", "select"], &["owner"]) {
            return None;
        }
        let mut named = |key: &str| {
            let field = format!("{field}.{key}");
            let text = self.full_text(node.get(key), &field)?;
            if text.chars().count() > LONGEST {
                let at = node.get(key).map_or(node.at, |node| node.at);
                self.wrong(at, &field, format!("it is longer than {LONGEST} characters"), "shorten it");
                return None;
            }
            Some(text.trim().to_owned())
        };
        let (owner, contact) = (named("owner"), named("contact"));
        let place = format!("{field}.select");
        let select = self.select_and(node.get("select"), &place, &["service_accounts", "roles"]);
        let mut globs = |key: &str| {
            let given = node.get("select").and_then(|select| select.get(key));
            let all = self.texts(given, &format!("{place}.{key}"));
            all.into_iter().map(|(_, text)| Glob::new(&text)).collect()
        };
        let (service_accounts, roles) = (globs("service_accounts"), globs("roles"));
        let origin = format!("{}:{}", self.source.path, self.line(node.at));
        Some(OwnerRule { owner: owner?, contact, origin, select, service_accounts, roles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(spec: &str) -> Result<OwnerRules, Vec<LoadError>> {
        let schema = Schema::builder().build().unwrap();
        let text = format!("apiVersion: rolecall/v1\nkind: Owners\nspec:\n{spec}");
        OwnerRules::load(&SourceFile { path: "owners.yaml".to_owned(), text }, &schema)
    }

    const RULES: &str = r#"
  owners:
    - {owner: ledger, contact: "ledger@example.com", select: {namespaces: [ledger*], service_accounts: [poster]}}
    - {owner: payments, select: {ou: "/workloads/**", clusters: [shop-*], namespaces: [payments]}}
    - {owner: platform, select: {roles: ["arn:aws:iam::*:role/platform/*"]}}
    - {owner: sandbox, select: {accounts: ["444455556666"]}}
"#;

    #[test]
    fn the_first_rule_that_takes_every_place_decides() {
        let rules = load(RULES).unwrap();
        let account: AccountId = "111122223333".parse().unwrap();
        let plain = OwnerPlace {
            account_id: account,
            ou_path: Some("/workloads/prod"),
            cluster: Some("shop-1"),
            namespace: Some("web"),
            service_account: Some("poster"),
            roles: Some(&[]),
        };
        let payments = OwnerPlace { namespace: Some("payments"), ..plain };
        let platform = OwnerPlace { roles: Some(&["arn:aws:iam::111122223333:role/platform/dns"]), ..plain };
        let sandbox = OwnerPlace { account_id: "444455556666".parse().unwrap(), ..plain };
        let cases: [(&[OwnerPlace<'_>], &str); 11] = [
            (&[plain], "nobody"),
            (&[OwnerPlace { namespace: Some("ledger-eu"), ..plain }], "ledger owners.yaml:6"),
            (&[OwnerPlace { namespace: Some("ledger-eu"), service_account: Some("x"), ..plain }], "nobody"),
            (&[payments], "payments owners.yaml:7"),
            (&[OwnerPlace { ou_path: None, ..payments }], "OU not seen"),
            (&[OwnerPlace { ou_path: Some("/sandbox"), ..payments }], "nobody"),
            (&[payments, plain], "nobody"),
            (&[platform], "platform owners.yaml:8"),
            (&[OwnerPlace { roles: None, ..plain }], "roles not seen"),
            (&[sandbox], "sandbox owners.yaml:9"),
            // What may be of the platform is not known to be of the sandbox.
            (&[OwnerPlace { roles: None, ..sandbox }], "roles not seen"),
        ];
        for (places, expected) in cases {
            let found = match rules.of(places) {
                Ruled::By(rule) => format!("{} {}", rule.owner, rule.origin),
                Ruled::ByNone => "nobody".to_owned(),
                Ruled::OuNotSeen(_) => "OU not seen".to_owned(),
                Ruled::RolesNotSeen(_) => "roles not seen".to_owned(),
            };
            assert_eq!(found, expected, "{places:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_line_field_and_remedy() {
        for (spec, expected) in [
            ("  owner: []", "no field `owner` is known here; did you mean `owners`?"),
            ("  owners: payments", "spec.owners: a list is needed"),
            (
                "  owners:\n    - {select: {namespaces: [a]}}",
                "owners.yaml:5:7: spec.owners[0].owner: `owner` is missing",
            ),
            ("  owners:\n    - {owner: ' '}", "spec.owners[0].owner: there is no text"),
            ("  owners:\n    - {owner: a, select: {namespace: [a]}}", "did you mean `namespaces`?"),
            ("  owners:\n    - {owner: a, select: {role: [a]}}", "did you mean `roles`?"),
            ("  owners:\n    - {owner: a, select: {ou: prod}}", "spec.owners[0].select.ou: `prod` is not an OU path"),
            ("  owners:\n    - {owner: a, select: {accounts: [12]}}", "`12` is not an account id"),
            (
                "  owners:\n    - {owner: a}\n    - {owner: b}",
                "owners.yaml:6:7: spec.owners[1]: nothing gets to this rule",
            ),
        ] {
            let errors: Vec<String> = load(spec).unwrap_err().iter().map(ToString::to_string).collect();
            assert!(errors.iter().any(|error| error.contains(expected)), "{spec}: {errors:#?}");
        }
        let schema = Schema::builder().build().unwrap();
        let file =
            SourceFile { path: "x.yaml".to_owned(), text: "apiVersion: rolecall/v1\nkind: Binding\n".to_owned() };
        let errors = OwnerRules::load(&file, &schema).unwrap_err();
        assert_eq!(errors[0].message, "`Owners` is needed");
    }
}
