//! Every action of every AWS service: its access level, and whether it can be limited to resources.
//!
//! Knows the committed list in `data/catalogue.txt`, parsed once. Refuses to know actions that the
//! list does not have: AWS may be ahead of it, so callers must not read "not listed" as "harmless".

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// What an action does, in AWS's own five classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessLevel {
    /// Sees what there is.
    List,
    /// Reads content.
    Read,
    /// Changes things.
    Write,
    /// Changes tags.
    Tagging,
    /// Changes who may do what.
    PermissionsManagement,
}

impl AccessLevel {
    /// Whether it changes anything: write, tagging, permissions management.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Tagging | Self::PermissionsManagement)
    }

    /// The snake-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Tagging => "tagging",
            Self::PermissionsManagement => "permissions_management",
        }
    }
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `service:Name`.
    pub name: Box<str>,
    /// How long the service prefix is, in bytes, without the colon.
    service: usize,
    /// What it does.
    pub level: AccessLevel,
    /// Whether a policy can limit it to resources; otherwise it only takes `*`.
    pub on_resources: bool,
}

impl Action {
    /// The service prefix.
    #[must_use]
    pub fn service(&self) -> &str {
        self.name.get(..self.service).unwrap_or_default()
    }

    /// The name after the colon.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.get(self.service + 1..).unwrap_or_default()
    }
}

/// All actions, numbered.
#[derive(Debug)]
pub struct Catalogue {
    actions: Vec<Action>,
    services: HashMap<Box<str>, Range<usize>>,
    /// By name in lower case.
    numbers: HashMap<Box<str>, usize>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::parse(include_str!("../data/catalogue.txt")));

/// The committed catalogue.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

impl Catalogue {
    fn parse(text: &str) -> Self {
        let mut out = Self { actions: Vec::new(), services: HashMap::new(), numbers: HashMap::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let Some(service) = words.next() else { continue };
            let start = out.actions.len();
            for (code, names) in words.filter_map(|group| group.split_once(':')) {
                let level = match code.to_ascii_uppercase().as_str() {
                    "L" => AccessLevel::List,
                    "R" => AccessLevel::Read,
                    "T" => AccessLevel::Tagging,
                    "P" => AccessLevel::PermissionsManagement,
                    _ => AccessLevel::Write,
                };
                let on_resources = code.bytes().all(|b| b.is_ascii_uppercase());
                for name in names.split(',') {
                    let name = format!("{service}:{name}");
                    out.numbers.insert(name.to_ascii_lowercase().into(), out.actions.len());
                    out.actions.push(Action { name: name.into(), service: service.len(), level, on_resources });
                }
            }
            out.services.insert(service.to_ascii_lowercase().into(), start..out.actions.len());
        }
        out
    }

    /// Every action, in the order of its number.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The action with this name, in any letter case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Action> {
        self.actions.get(self.number(name)?)
    }

    /// The number of the action with this name, in any letter case.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// The numbers of a service's actions; `None` for a service that is not listed.
    #[must_use]
    pub fn service(&self, prefix: &str) -> Option<Range<usize>> {
        self.services.get(prefix.to_ascii_lowercase().as_str()).cloned()
    }

    /// Every service prefix with its actions' numbers, in no order.
    pub fn services(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.services.iter().map(|(prefix, range)| (&**prefix, range.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_actions_are_what_they_are() {
        let all = catalogue();
        assert!(all.actions().len() > 20_000);
        let of = |name: &str| all.find(name).map(|a| (a.level, a.on_resources));
        assert_eq!(of("S3:getobject"), Some((AccessLevel::Read, true)));
        assert_eq!(of("s3:ListAllMyBuckets"), Some((AccessLevel::List, false)));
        assert_eq!(of("iam:PutRolePolicy"), Some((AccessLevel::PermissionsManagement, true)));
        assert_eq!(of("s3:MakeCoffee"), None);
        let pass = all.find("iam:PassRole").unwrap();
        assert_eq!((pass.service(), pass.short_name()), ("iam", "PassRole"));
        let eks = all.service("EKS").unwrap();
        assert!(all.actions()[eks].iter().all(|a| a.service() == "eks"));
        assert_eq!(all.services().count(), all.services.len());
    }

    #[test]
    fn every_number_finds_its_action() {
        for (number, action) in catalogue().actions().iter().enumerate() {
            assert_eq!(catalogue().number(&action.name), Some(number));
        }
    }
}
