//! Every action of every AWS service: its access level, and what policies can say about it.
//!
//! Knows the committed lists in `data/`: names and levels, read at the first question; resource types
//! with their ARNs and condition keys, read for one service when first asked for.
//! An action's number is its place by service and name, so that names with a common beginning lie
//! together. Refuses to know actions that the lists do not have: AWS may be ahead of them, so callers
//! must not read "not listed" as "harmless".

pub(crate) mod action_name;
pub(crate) mod cloudtrail;

use hashbrown::HashTable;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

crate::vocabulary! {
    /// What an action does, in AWS's own five classes.
    pub enum AccessLevel: "an access level" {
        /// Sees what there is.
        List = "list",
        /// Reads content.
        Read = "read",
        /// Changes things.
        Write = "write",
        /// Changes tags.
        Tagging = "tagging",
        /// Changes who may do what.
        PermissionsManagement = "permissions_management",
    }
}

impl AccessLevel {
    /// Whether it changes anything: write, tagging, permissions management.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Tagging | Self::PermissionsManagement)
    }
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// `service:Name`.
    pub name: &'static str,
    /// Its number, from 0.
    pub number: usize,
    /// How long the service prefix is, in bytes, without the colon.
    prefix: usize,
    /// The service's number.
    service: usize,
    /// What it does.
    pub level: AccessLevel,
    /// Whether a policy can limit it to resources; otherwise it only takes `*`.
    pub on_resources: bool,
}

impl Action {
    /// The service prefix.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.name.get(..self.prefix).unwrap_or_default()
    }

    /// The name after the colon.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.get(self.prefix + 1..).unwrap_or_default()
    }

    fn details(&self) -> Option<(&'static Details, &'static Profile)> {
        let service = catalogue().services.get(self.service)?;
        let details = service.details();
        let place = self.number.checked_sub(service.actions.start)?;
        Some((details, details.profiles.get(*details.of.get(place)?)?))
    }

    /// The resource types that it can be limited to, by name; empty where it takes only `*`.
    pub fn resource_types(&self) -> impl Iterator<Item = ResourceUse> {
        let (details, uses) = self.details().map_or((None, &[][..]), |(d, p)| (Some(d), p.uses.as_slice()));
        uses.iter().filter_map(move |used| {
            let details = details?;
            let keys = details.named(&used.keys);
            Some(ResourceUse { resource_type: details.types.get(used.kind)?, required: used.required, keys })
        })
    }

    /// The condition keys of the action itself, as written; see [`Action::supports_key`].
    #[must_use]
    pub fn condition_keys(&self) -> Vec<&'static str> {
        self.details().map_or_else(Vec::new, |(details, profile)| details.named(&profile.keys))
    }

    /// Whether requests of the action can have the condition key, in any letter case: by itself, by
    /// one of its resources, or because all requests can (`aws:SourceIp`, `aws:PrincipalArn`, …).
    #[must_use]
    pub fn supports_key(&self, key: &str) -> bool {
        let lower = key.to_ascii_lowercase();
        let own = ["aws:requesttag/", "aws:resourcetag/", "aws:tagkeys"].iter().any(|tags| lower.starts_with(tags));
        if lower.starts_with("aws:") && !own {
            return true;
        }
        let Some((details, profile)) = self.details() else { return false };
        let uses = profile.uses.iter().flat_map(|used| {
            let of_type = details.types.get(used.kind).map_or(&[][..], |kind| &kind.key_numbers);
            used.keys.iter().chain(of_type)
        });
        let mut keys = profile.keys.iter().chain(uses).filter_map(|number| details.keys.get(*number));
        keys.any(|known| known.matches(&lower))
    }
}

/// A resource type as an action uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceUse {
    /// The type.
    pub resource_type: &'static ResourceType,
    /// Whether a policy that allows the action must name a resource of this type.
    pub required: bool,
    /// The condition keys that the action has for this type alone.
    pub keys: Vec<&'static str>,
}

/// A type of resources of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name within the service, such as `bucket`.
    pub name: &'static str,
    /// Its ARN with placeholders: `arn:${Partition}:s3:::${BucketName}`.
    pub arn: &'static str,
    key_numbers: Vec<usize>,
}

/// A condition key of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionKey {
    /// As written; `${…}` stands for any text, as in `aws:ResourceTag/${TagKey}`.
    pub name: &'static str,
    /// What its values are.
    pub kind: KeyKind,
}

impl ConditionKey {
    /// Whether this is the key, given in lower case.
    fn matches(&self, lower: &str) -> bool {
        let fixed = self.name.split_once("${").map(|(fixed, _)| fixed);
        match fixed {
            None => self.name.eq_ignore_ascii_case(lower),
            Some(fixed) => lower.get(..fixed.len()).is_some_and(|start| start.eq_ignore_ascii_case(fixed)),
        }
    }
}

/// What the values of a condition key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// One text.
    Text,
    /// One ARN.
    Arn,
    /// One truth value.
    Bool,
    /// One number.
    Number,
    /// One time.
    Date,
    /// One address.
    IpAddress,
    /// Several texts.
    Texts,
    /// Several ARNs.
    Arns,
    /// Several truth values.
    Bools,
    /// AWS does not say.
    Unsaid,
}

impl KeyKind {
    fn parse(letter: char) -> Self {
        match letter {
            'S' => Self::Text,
            'A' => Self::Arn,
            'B' => Self::Bool,
            'N' => Self::Number,
            'D' => Self::Date,
            'I' => Self::IpAddress,
            's' => Self::Texts,
            'a' => Self::Arns,
            'b' => Self::Bools,
            _ => Self::Unsaid,
        }
    }

    /// Whether a request can have several values at once.
    #[must_use]
    pub fn is_multivalued(self) -> bool {
        matches!(self, Self::Texts | Self::Arns | Self::Bools)
    }
}

/// A service of the catalogue.
#[derive(Debug)]
pub struct Service {
    /// The prefix of its actions.
    pub prefix: &'static str,
    /// The numbers of its actions.
    pub actions: Range<usize>,
    text: &'static str,
    details: OnceLock<Details>,
}

impl Service {
    fn details(&self) -> &Details {
        self.details.get_or_init(|| Details::parse(self.text, self.actions.len()))
    }

    /// What AWS calls it, such as `Amazon S3`.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.text.lines().next().and_then(|line| line.split_once('\t')).map_or(self.prefix, |(_, title)| title)
    }

    /// Its resource types.
    #[must_use]
    pub fn resource_types(&self) -> &[ResourceType] {
        &self.details().types
    }

    /// Its condition keys, those of all services that its actions have included.
    #[must_use]
    pub fn condition_keys(&self) -> &[ConditionKey] {
        &self.details().keys
    }
}

#[derive(Debug, Default)]
struct Details {
    keys: Vec<ConditionKey>,
    types: Vec<ResourceType>,
    profiles: Vec<Profile>,
    /// The profile of each action; past the end where it has none.
    of: Vec<usize>,
}

#[derive(Debug)]
struct Profile {
    uses: Vec<Use>,
    keys: Vec<usize>,
}

#[derive(Debug)]
struct Use {
    kind: usize,
    required: bool,
    keys: Vec<usize>,
}

/// Numbers and runs of them, as `0,3-7`.
fn numbers(text: &str) -> impl Iterator<Item = usize> {
    text.split(',').filter(|run| !run.is_empty()).flat_map(|run| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let run: Option<(usize, usize)> = first.parse().ok().zip(last.parse().ok());
        run.into_iter().flat_map(|(first, last)| first..=last)
    })
}

impl Details {
    fn parse(text: &'static str, actions: usize) -> Self {
        let mut out = Self { of: vec![usize::MAX; actions], ..Self::default() };
        for (kind, rest) in text.lines().filter_map(|line| line.split_once(' ')) {
            let mut fields = rest.split('\t');
            let mut field = || fields.next().unwrap_or_default();
            match kind {
                "k" => {
                    let keys = rest.split('\t').filter_map(|key| {
                        let letter = key.chars().next()?;
                        Some(ConditionKey { name: key.strip_prefix(letter)?, kind: KeyKind::parse(letter) })
                    });
                    out.keys = keys.collect();
                }
                "t" => {
                    let (name, arn) = (field(), field());
                    out.types.push(ResourceType { name, arn, key_numbers: numbers(field()).collect() });
                }
                "a" => {
                    let uses = field().split(';').filter_map(|used| {
                        let (kind, keys) = used.split_once(':').unwrap_or((used, ""));
                        let required = kind.ends_with('!');
                        let kind = kind.trim_end_matches('!').parse().ok()?;
                        Some(Use { kind, required, keys: numbers(keys).collect() })
                    });
                    let uses = uses.collect();
                    let keys = numbers(field()).collect();
                    for action in numbers(field()) {
                        if let Some(profile) = out.of.get_mut(action) {
                            *profile = out.profiles.len();
                        }
                    }
                    out.profiles.push(Profile { uses, keys });
                }
                _ => {}
            }
        }
        out
    }

    fn named(&self, numbers: &[usize]) -> Vec<&'static str> {
        numbers.iter().filter_map(|number| self.keys.get(*number)).map(|key| key.name).collect()
    }
}

/// All actions, numbered.
#[derive(Debug)]
pub struct Catalogue {
    actions: Vec<Action>,
    services: Vec<Service>,
    by_prefix: HashMap<&'static str, usize>,
    /// Numbers, by name in any letter case.
    numbers: HashTable<u16>,
}

/// `s3 RGetObject,…` as `s3:GetObject` one after the other, since actions need their whole name.
static NAMES: LazyLock<String> = LazyLock::new(|| {
    let mut names = String::with_capacity(ACTIONS.len() * 2);
    for (service, actions) in listed() {
        for action in actions {
            names.push_str(service);
            names.push(':');
            names.push_str(action.get(1..).unwrap_or_default());
        }
    }
    names
});

const ACTIONS: &str = include_str!("../../data/catalogue.txt");
static DETAILS: &str = include_str!("../../data/details.txt");

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::parse);

/// The committed catalogue.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

fn listed() -> impl Iterator<Item = (&'static str, std::str::Split<'static, char>)> {
    let lines = ACTIONS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(service, actions)| (service, actions.split(',')))
}

/// A hash of a name that letter case does not change. Names of requests are only looked up, never
/// kept, so nobody can fill a bucket.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0, |hash: u64, byte| {
        (hash.rotate_left(5) ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x517c_c1b7_2722_0a95)
    })
}

impl Catalogue {
    fn parse() -> Self {
        let names: &'static str = &NAMES;
        let mut actions: Vec<Action> = Vec::with_capacity(24_000);
        let mut services = Vec::with_capacity(512);
        let mut details = DETAILS;
        let mut at = 0;
        for (prefix, list) in listed() {
            let first = actions.len();
            for listed in list {
                let code = listed.chars().next().unwrap_or('w');
                let end = at + prefix.len() + listed.len();
                let name = names.get(at..end).unwrap_or_default();
                at = end;
                let level = match code.to_ascii_uppercase() {
                    'L' => AccessLevel::List,
                    'R' => AccessLevel::Read,
                    'T' => AccessLevel::Tagging,
                    'P' => AccessLevel::PermissionsManagement,
                    _ => AccessLevel::Write,
                };
                actions.push(Action {
                    name,
                    number: actions.len(),
                    prefix: prefix.len(),
                    service: services.len(),
                    level,
                    on_resources: code.is_ascii_uppercase(),
                });
            }
            // The services stand in the same order in both lists.
            let start = details.find("\n= ").map_or(details.len(), |at| at + 3);
            details = details.get(start..).unwrap_or_default();
            let end = details.find("\n= ").unwrap_or(details.len());
            let text = details.get(..end).unwrap_or_default();
            services.push(Service { prefix, actions: first..actions.len(), text, details: OnceLock::new() });
        }
        let mut numbers = HashTable::with_capacity(actions.len());
        let by_number = |number: &u16| actions.get(usize::from(*number)).map_or(0, |action| hash(action.name));
        for (number, action) in (0_u16..).zip(&actions) {
            numbers.insert_unique(hash(action.name), number, by_number);
        }
        let by_prefix = services.iter().enumerate().map(|(number, service)| (service.prefix, number)).collect();
        Self { actions, services, by_prefix, numbers }
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
        let is = |number: &u16| {
            self.actions.get(usize::from(*number)).is_some_and(|action| action.name.eq_ignore_ascii_case(name))
        };
        self.numbers.find(hash(name), is).map(|number| usize::from(*number))
    }

    /// The numbers of a service's actions, its prefix in any letter case; `None` for a service that is
    /// not listed.
    #[must_use]
    pub fn service(&self, prefix: &str) -> Option<Range<usize>> {
        Some(self.service_named(prefix)?.actions.clone())
    }

    /// The service with this prefix, in any letter case.
    #[must_use]
    pub fn service_named(&self, prefix: &str) -> Option<&Service> {
        let number = match self.by_prefix.get(prefix) {
            Some(number) => *number,
            None => *self.by_prefix.get(prefix.to_ascii_lowercase().as_str())?,
        };
        self.services.get(number)
    }

    /// Every service, by prefix.
    #[must_use]
    pub fn all_services(&self) -> &[Service] {
        &self.services
    }

    /// Every service prefix with its actions' numbers.
    pub fn services(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.services.iter().map(|service| (service.prefix, service.actions.clone()))
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
            assert_eq!(catalogue().number(action.name), Some(number));
            assert_eq!(action.number, number);
            assert_eq!(catalogue().number(&action.name.to_ascii_uppercase()), Some(number));
        }
    }

    #[test]
    fn numbers_follow_the_names_of_each_service() {
        for service in catalogue().all_services() {
            let names: Vec<String> =
                catalogue().actions()[service.actions.clone()].iter().map(|a| a.name.to_ascii_lowercase()).collect();
            assert!(names.is_sorted(), "{}", service.prefix);
        }
        assert!(catalogue().all_services().is_sorted_by_key(|service| service.prefix));
    }

    #[test]
    fn an_action_knows_its_resources_keys_and_dependents() {
        let pass = catalogue().find("iam:PassRole").unwrap();
        let uses: Vec<ResourceUse> = pass.resource_types().collect();
        assert_eq!((uses[0].resource_type.name, uses[0].required, uses.len()), ("role", true, 1));
        assert_eq!(uses[0].resource_type.arn, "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}");
        assert_eq!(pass.condition_keys(), ["iam:AssociatedResourceArn", "iam:PassedToService"]);
        assert!(pass.supports_key("IAM:PassedToService") && pass.supports_key("aws:PrincipalTag/x"));
        assert!(pass.supports_key("aws:ResourceTag/team") && !pass.supports_key("aws:RequestTag/team"));
        assert!(!pass.supports_key("s3:prefix"));
        let tag = catalogue().find("iam:TagRole").unwrap();
        assert!(tag.supports_key("aws:RequestTag/team") && tag.supports_key("aws:TagKeys"));
        let buckets = catalogue().find("s3:ListAllMyBuckets").unwrap();
        assert_eq!(buckets.resource_types().count(), 0);
        let associate = catalogue().find("eks:CreatePodIdentityAssociation").unwrap();
        assert!(associate.dependent_actions().contains(&pass), "{:?}", associate.dependent_actions());
    }

    #[test]
    fn every_service_has_its_own_details() {
        for service in catalogue().all_services() {
            assert!(service.text.starts_with(service.prefix), "{}", service.prefix);
            let details = service.details();
            for action in &catalogue().actions()[service.actions.clone()] {
                assert_eq!(action.resource_types().count() > 0, action.on_resources, "{}", action.name);
            }
            for profile in &details.profiles {
                assert!(profile.keys.iter().all(|key| *key < details.keys.len()), "{}", service.prefix);
            }
        }
        let s3 = catalogue().service_named("s3").unwrap();
        assert_eq!(s3.title(), "Amazon S3");
        assert!(s3.resource_types().iter().any(|kind| kind.name == "bucket"));
        let tags = s3.condition_keys().iter().find(|key| key.name == "aws:TagKeys").unwrap();
        assert!(tags.kind.is_multivalued());
    }
}
