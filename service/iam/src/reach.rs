//! Which resources a statement reaches, and which of the catalogue's actions can act there.
//!
//! Knows how to compare what two statements reach: whether one covers the other (never wrongly yes)
//! and whether they have something in common (never wrongly no). Refuses to know conditions, and
//! which resources there are.

use crate::action_set::ActionSet;
use crate::catalogue::catalogue;
use crate::document::{Clause, Statement};
use crate::pattern::ResourcePattern;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// A part of what a statement reaches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach<'a> {
    /// Every resource; also the place of actions that act on none, where it is spelt `*`.
    All {
        /// Whether actions that act on no resource are reached.
        star: bool,
    },
    /// What the pattern matches.
    Only(&'a ResourcePattern),
    /// What both patterns match.
    Both(&'a ResourcePattern, &'a ResourcePattern),
    /// All but what the patterns match.
    But(&'a [ResourcePattern]),
}

/// Actions that can be limited to resources.
static LIMITABLE: LazyLock<ActionSet> =
    LazyLock::new(|| ActionSet::of(catalogue().actions().iter().filter(|a| a.on_resources).map(|a| a.number)));

/// Actions that act on no resource; those of S3 are asked for on `arn:aws:s3:::*`, others on `*`.
static BARE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::all().minus(&LIMITABLE).minus(&S3_BARE));
static S3_BARE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::of_service("s3").minus(&LIMITABLE));
const S3_PLACES: [&str; 3] = ["arn:aws:s3:::*", "arn:aws-cn:s3:::*", "arn:aws-us-gov:s3:::*"];

/// A form of ARN: that of one type of resources, or of several that share it.
#[derive(Debug)]
struct Form {
    pattern: ResourcePattern,
    steps: Vec<Step>,
    /// The same as bits, where it is short enough.
    places: Option<Places>,
    /// How the part after the fifth colon begins, up to its first placeholder.
    begins: String,
    /// Names of these resources hold no slash: those of S3's buckets, whose ARNs objects' begin with.
    no_slash: bool,
    actions: ActionSet,
}

/// Every form of ARN that the catalogue has, and which of them each action acts on.
#[derive(Debug)]
struct Forms {
    all: Vec<Form>,
    /// By the service in the ARN; the forms that leave it open are among each service's.
    by_service: HashMap<&'static str, Vec<usize>>,
    /// By the action's number.
    by_action: Vec<Vec<usize>>,
}

static FORMS: LazyLock<Forms> = LazyLock::new(|| {
    let mut numbers: Vec<(&'static str, Vec<usize>)> = Vec::new();
    let mut place: HashMap<&'static str, usize> = HashMap::new();
    let mut by_action = Vec::with_capacity(catalogue().actions().len());
    for action in catalogue().actions() {
        let forms = action.resource_types().map(|used| {
            let arn = used.resource_type.arn;
            let form = *place.entry(arn).or_insert_with(|| {
                numbers.push((arn, Vec::new()));
                numbers.len() - 1
            });
            if let Some((_, actions)) = numbers.get_mut(form) {
                actions.push(action.number);
            }
            form
        });
        by_action.push(forms.collect());
    }
    let mut by_service: HashMap<&'static str, Vec<usize>> = HashMap::new();
    let mut open = Vec::new();
    for (number, (arn, _)) in numbers.iter().enumerate() {
        // A form may leave the service open, or be no ARN.
        match arn.split(':').nth(2) {
            Some(service) if !service.is_empty() && !service.contains('$') => {
                by_service.entry(service).or_default().push(number);
            }
            _ => open.push(number),
        }
    }
    by_service.values_mut().for_each(|forms| forms.extend(&open));
    let all = numbers.into_iter().map(|(arn, numbers)| {
        let text = with_stars(arn, |_| None);
        let no_slash = arn.ends_with("::${BucketName}");
        let (pattern, steps) = (ResourcePattern::read(&text), form_steps(&text));
        let begins = text.splitn(6, ':').nth(5).and_then(|rest| rest.split('*').next()).unwrap_or_default().to_owned();
        let places = Places::of(&steps);
        Form { pattern, steps, places, begins, no_slash, actions: ActionSet::of(numbers) }
    });
    Forms { all: all.collect(), by_service, by_action }
});

/// The form of an ARN as a pattern: its placeholders filled in where that is known, stars otherwise.
pub(crate) fn with_stars(form: &str, known: impl Fn(&str) -> Option<String>) -> String {
    let mut arn = String::with_capacity(form.len());
    let mut rest = form;
    while let Some((before, tail)) = rest.split_once("${") {
        let (name, tail) = tail.split_once('}').unwrap_or((tail, ""));
        arn.push_str(before);
        arn.push_str(&known(name).unwrap_or_else(|| "*".to_owned()));
        rest = tail;
    }
    arn + rest
}

/// The steps of a form: before the fifth colon its stars stand for text without a colon.
fn form_steps(text: &str) -> Vec<Step> {
    let mut colons = 0;
    let within = |step: Step| {
        colons += usize::from(step == Step::Char(':'));
        if step == Step::Any && colons < 5 { Step::Within } else { step }
    };
    steps(text).into_iter().map(within).collect()
}

/// Whether the part after the fifth colon has a slash, those of variables aside.
fn has_slash(pattern: &str) -> bool {
    let steps = steps(pattern);
    let mut colons = 0;
    steps.iter().any(|step| {
        colons += usize::from(*step == Step::Char(':'));
        colons >= 5 && *step == Step::Char('/')
    })
}

impl Form {
    /// Whether a pattern may match a resource of this form, by its text and its steps. Never wrongly no.
    fn may_match(&self, text: &str, pattern: &[Step]) -> bool {
        if let Some(begins) = begins(text)
            && !(self.begins.starts_with(begins) || begins.starts_with(&self.begins))
        {
            return false;
        }
        let meets = self.places.as_ref().map_or_else(|| meet_somewhere(&self.steps, pattern), |own| own.meet(pattern));
        meets && !(self.no_slash && has_slash(text))
    }

    /// Whether this is the ARN of such a resource.
    fn is_of(&self, arn: &str) -> bool {
        self.pattern.matches(arn) && !(self.no_slash && has_slash(arn))
    }
}

/// Whether an action can act on the resource at all. What is no ARN, and an action that the catalogue
/// does not list or that acts on no resource, is taken to go together.
///
/// The catalogue says of each action on which types of resources it acts, and how their ARNs look:
/// whatever a policy says, there is no `ec2:RunInstances` on a bucket. Source: Service Authorization
/// Reference, "Resource types".
pub(crate) fn acts_on(action: &str, resource: &str) -> bool {
    if !resource.starts_with("arn:") {
        return true;
    }
    let forms = catalogue().number(action).and_then(|number| FORMS.by_action.get(number));
    let mut forms = forms.into_iter().flatten().filter_map(|form| FORMS.all.get(*form)).peekable();
    forms.peek().is_none() || forms.any(|form| form.is_of(resource))
}

/// Actions that can be limited to resources.
pub(crate) fn limitable() -> &'static ActionSet {
    &LIMITABLE
}

/// What a statement reaches, part by part; none where it reaches nothing.
pub(crate) fn reaches(statement: &Statement) -> Vec<Reach<'_>> {
    let star = |list: &[ResourcePattern]| list.iter().any(|pattern| pattern.matches("*"));
    match &statement.resources {
        None => vec![Reach::All { star: true }],
        Some(Clause::In(list)) if list.iter().any(ResourcePattern::is_everything) => {
            vec![Reach::All { star: star(list) }]
        }
        Some(Clause::In(list)) => list.iter().map(Reach::Only).collect(),
        Some(Clause::NotIn(list)) if list.is_empty() => vec![Reach::All { star: true }],
        Some(Clause::NotIn(list)) if list.iter().any(|p| p.is_everything() && p.matches("*")) => Vec::new(),
        Some(Clause::NotIn(list)) => vec![Reach::But(list)],
    }
}

impl<'a> Reach<'a> {
    /// What of a set of actions can act on something within reach. Never too little.
    pub(crate) fn fit(self, actions: &ActionSet) -> ActionSet {
        match self {
            Self::All { star: true } => actions.clone(),
            Self::All { star: false } => actions.minus(&BARE),
            Self::But(list) => {
                if list.iter().any(|pattern| pattern.matches("*")) {
                    actions.minus(&BARE)
                } else {
                    actions.clone()
                }
            }
            Self::Both(one, other) => Self::Only(one).fit(&Self::Only(other).fit(actions)),
            Self::Only(pattern) => {
                let mut left = actions.minus(&BARE).minus(&S3_BARE);
                if !left.is_empty() {
                    left = left.intersection(&acting_on(pattern));
                }
                if pattern.matches("*") {
                    left = left.union(&actions.intersection(&BARE));
                }
                if S3_PLACES.iter().any(|place| pattern.matches(place)) {
                    left = left.union(&actions.intersection(&S3_BARE));
                }
                left
            }
        }
    }

    /// Something that holds all that both reach; `None` where they have nothing in common.
    pub(crate) fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::All { star: a }, Self::All { star: b }) => Some(Self::All { star: a && b }),
            (Self::All { .. }, narrow) | (narrow, Self::All { .. }) => Some(narrow),
            (Self::Only(a), Self::Only(b)) if covers(a, b) => Some(Self::Only(b)),
            (Self::Only(a), Self::Only(b)) if covers(b, a) => Some(Self::Only(a)),
            (Self::Only(a), Self::Only(b)) => overlaps(a.as_str(), b.as_str()).then_some(Self::Both(a, b)),
            // Of more than two patterns two are kept.
            (Self::Both(a, b), narrow) => match (Self::Only(a).meet(narrow)?, Self::Only(b).meet(narrow)?) {
                (Self::Only(one), Self::Only(other)) => Some(Self::Both(one, other)),
                (Self::Both(..), Self::Both(..)) => Some(self),
                (other, _) => Some(other),
            },
            (narrow, Self::Both(a, b)) => Self::Both(a, b).meet(narrow),
            (Self::But(but), Self::Only(only)) | (Self::Only(only), Self::But(but)) => {
                (!but.iter().any(|pattern| pattern.covers(only))).then_some(Self::Only(only))
            }
            (Self::But(_), Self::But(_)) => Some(self),
        }
    }

    /// The steps of comparing it with another.
    pub(crate) fn weight(self) -> usize {
        match self {
            Self::All { .. } => 1,
            Self::Only(pattern) => of_pattern(pattern),
            Self::Both(a, b) => of_pattern(a) + of_pattern(b),
            Self::But(list) => 1 + list.iter().map(of_pattern).sum::<usize>(),
        }
    }

    /// Whether a policy variable has a say in it.
    pub(crate) fn has_variable(self) -> bool {
        match self {
            Self::All { .. } => false,
            Self::Only(pattern) => pattern.has_variable(),
            Self::Both(a, b) => a.has_variable() || b.has_variable(),
            Self::But(list) => list.iter().any(ResourcePattern::has_variable),
        }
    }

    /// Whether all that the other reaches is within reach, where both are read in one version of the
    /// language. Never wrongly yes.
    pub(crate) fn covers(self, other: Self) -> bool {
        match (self, other) {
            // What it may lack are the actions on no resource: sets leave those out by themselves.
            (Self::All { .. }, _) => true,
            (own, Self::Both(a, b)) => own.covers(Self::Only(a)) || own.covers(Self::Only(b)),
            (Self::Only(a), Self::Only(b)) => covers(a, b),
            (Self::Both(a, b), other) => Self::Only(a).covers(other) && Self::Only(b).covers(other),
            // What a variable without a value comes to in `NotResource` is not relied on.
            (Self::But(_), _) if self.has_variable() => false,
            (Self::But(but), Self::Only(only)) => !but.iter().any(|p| overlaps(p.as_str(), only.as_str())),
            (Self::But(but), Self::But(other)) => but.iter().all(|own| other.iter().any(|p| covers(p, own))),
            (Self::Only(_), Self::All { .. } | Self::But(_)) | (Self::But(_), Self::All { .. }) => false,
        }
    }
}

/// The same text is the same resource for one request, variables included.
fn covers(a: &ResourcePattern, b: &ResourcePattern) -> bool {
    let fixed = a.as_str().split(['*', '?', '$']).next().unwrap_or_default();
    // Most pairs differ before the first wildcard; AWS completes what is no whole ARN.
    let differ = !b.as_str().starts_with(fixed) && !a.is_incomplete() && !b.is_incomplete();
    !differ && (a.as_str() == b.as_str() || a.covers(b))
}

/// The service that every ARN of the pattern has; `None` where it leaves it open.
fn arn_service(pattern: &ResourcePattern) -> Option<&str> {
    let mut segments = pattern.as_str().splitn(4, ':');
    let mut fixed = || segments.next().filter(|s| !s.contains(['*', '?', '$']));
    let (_, _, service) = (fixed().filter(|s| *s == "arn")?, fixed()?, fixed()?);
    segments.next().map(|_| service)
}

/// The steps of comparing a pattern with another: letter by letter, several times.
fn of_pattern(pattern: &ResourcePattern) -> usize {
    1 + pattern.as_str().len() / 8
}

/// The steps of finding the actions that can act on what a pattern matches.
pub(crate) fn of_acting_on(pattern: &ResourcePattern) -> usize {
    let forms = match arn_service(pattern) {
        Some(service) => FORMS.by_service.get(service).map_or(0, Vec::len),
        None => FORMS.all.len(),
    };
    // A step of each form for eight letters.
    1 + forms.saturating_mul(1 + pattern.as_str().len() / 8) / 4
}

/// How the part after the fifth colon begins, up to its first wildcard; `None` where a wildcard before
/// it may take colons in.
fn begins(pattern: &str) -> Option<&str> {
    let rest = pattern.splitn(6, ':').nth(5)?;
    let before = pattern.get(..pattern.len() - rest.len())?;
    let fixed = |text: &str| text.find(['*', '?', '$']);
    fixed(before).is_none().then(|| fixed(rest).and_then(|end| rest.get(..end)).unwrap_or(rest))
}

/// Unions of the actions of several forms: most patterns match the same few.
static UNIONS: LazyLock<Mutex<HashMap<Box<[usize]>, ActionSet>>> = LazyLock::new(Mutex::default);
/// So many unions are kept; what patterns match is bounded by nothing else.
const UNIONS_KEPT: usize = 4_096;

fn union_of_forms(numbers: &[usize]) -> ActionSet {
    let form = |number: &usize| FORMS.all.get(*number).map(|form| &form.actions);
    if let [one] = numbers {
        return form(one).cloned().unwrap_or_default();
    }
    if let Some(known) = UNIONS.lock().unwrap_or_else(PoisonError::into_inner).get(numbers) {
        return known.clone();
    }
    let union = ActionSet::union_of(numbers.iter().filter_map(form));
    let mut unions = UNIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if unions.len() < UNIONS_KEPT {
        unions.insert(numbers.into(), union.clone());
    }
    union
}

/// The actions that can act on a resource that the pattern matches. Never too few.
fn acting_on(pattern: &ResourcePattern) -> ActionSet {
    // AWS completes what is no whole ARN.
    let text = match pattern.as_str() {
        text if pattern.is_incomplete() => format!("{text}:*"),
        text => text.to_owned(),
    };
    let mut steps = steps(&text);
    // No ARN has a colon in its partition.
    if let Some(partition) = steps.get_mut("arn:".len()).filter(|_| text.starts_with("arn:*:")) {
        *partition = Step::Within;
    }
    let matched = |number: &usize| FORMS.all.get(*number).is_some_and(|form| form.may_match(&text, &steps));
    let numbers: Vec<usize> = match arn_service(pattern) {
        Some(service) => FORMS.by_service.get(service).into_iter().flatten().copied().filter(matched).collect(),
        None => (0..FORMS.all.len()).filter(matched).collect(),
    };
    union_of_forms(&numbers)
}

/// The service of which the pattern names every resource: `arn:aws:s3:::*`, `arn:aws:sqs:*`.
fn every_resource_of(pattern: &ResourcePattern, strict: bool) -> Option<&str> {
    if pattern.has_variable() {
        return None;
    }
    let open = |s: &&str| s.is_empty() || s.bytes().all(|b| b == b'*');
    let account = |s: &&str| open(s) || (!strict && s.bytes().all(|b| b.is_ascii_digit()));
    match pattern.as_str().splitn(6, ':').collect::<Vec<_>>().as_slice() {
        ["arn", _, service, region, owner, "*"] if open(region) && account(owner) => Some(service),
        ["arn", _, service, rest @ .., "*"] if rest.iter().all(open) => Some(service),
        _ => None,
    }
}

/// The actions that a statement names on every resource they can act on.
///
/// Strict is what a Deny or a certain Allow takes: in every account, and every type of resource that
/// the action has. Otherwise every resource of one account is every resource.
pub(crate) fn on_everything(statement: &Statement, named: &ActionSet, strict: bool) -> ActionSet {
    let parts = reaches(statement);
    let each = parts.iter().map(|part| match part {
        Reach::All { star } if *star || strict => part.fit(named),
        Reach::All { .. } => named.clone(),
        // Two patterns at once are only met in ceilings.
        Reach::But(_) | Reach::Both(..) if strict => ActionSet::default(),
        Reach::But(_) | Reach::Both(..) => named.clone(),
        Reach::Only(pattern) => {
            let Some(service) = every_resource_of(pattern, strict) else { return ActionSet::default() };
            let own = ActionSet::of_service(service).intersection(named);
            if strict { ActionSet::of(own.numbers().filter(|number| covers_types(pattern, *number))) } else { own }
        }
    });
    ActionSet::union_of(&each.collect::<Vec<_>>())
}

/// Whether the pattern matches every resource of every type that the action has.
fn covers_types(pattern: &ResourcePattern, number: usize) -> bool {
    let Some(action) = catalogue().actions().get(number) else { return false };
    if !action.on_resources {
        return pattern.matches("*") || (action.service() == "s3" && pattern.matches("arn:aws:s3:::*"));
    }
    let partition = pattern.as_str().split(':').nth(1).unwrap_or("*");
    let known = |name: &str| (name == "Partition").then(|| partition.to_owned());
    let mut types = action.resource_types();
    types.all(|used| pattern.covers(&ResourcePattern::read(&with_stars(used.resource_type.arn, known))))
}

/// One step of a pattern, its wildcards taken as wide as they can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Char(char),
    One,
    Any,
    /// Any text without a colon.
    Within,
}

impl Step {
    fn is_star(self) -> bool {
        matches!(self, Self::Any | Self::Within)
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let variable = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')).map(|(_, tail)| tail);
        rest = variable.unwrap_or_else(|| rest.get(c.len_utf8()..).unwrap_or_default());
        steps.push(match c {
            _ if variable.is_some() => Step::Any,
            '*' => Step::Any,
            '?' => Step::One,
            c => Step::Char(c),
        });
    }
    steps
}

/// Whether some text may match both patterns. Never wrongly no.
pub(crate) fn overlaps(a: &str, b: &str) -> bool {
    meet_somewhere(&steps(a), &steps(b))
}

fn meet_somewhere(a: &[Step], b: &[Step]) -> bool {
    let differ = |pair: (&Step, &Step)| matches!(pair, (Step::Char(x), Step::Char(y)) if x != y);
    let fixed = |pair: &(&Step, &Step)| !pair.0.is_star() && !pair.1.is_star();
    // Most pairs differ before their first star, or after their last.
    if a.iter().zip(b).take_while(fixed).any(differ) || a.iter().rev().zip(b.iter().rev()).take_while(fixed).any(differ)
    {
        return false;
    }
    match (Places::of(a), Places::of(b)) {
        (_, Some(places)) => places.meet(a),
        (Some(places), None) => places.meet(b),
        (None, None) => meet_step_by_step(a, b),
    }
}

/// The steps of a pattern as bits, so that all of its beginnings are compared at once.
///
/// Bit `n` of a set of places means: before step `n`, or behind the last.
#[derive(Debug)]
struct Places {
    /// For each letter of ASCII, which of the masks is its own; the first is of none.
    letters: [u8; 128],
    /// Where each letter stands.
    masks: Vec<u128>,
    others: Vec<(char, u128)>,
    /// Where a `?` stands.
    ones: u128,
    /// Where a star stands, and where one that takes colons too.
    stars: u128,
    free: u128,
    len: usize,
}

impl Places {
    /// `None` for a pattern that is too long.
    fn of(steps: &[Step]) -> Option<Self> {
        if steps.len() > 127 {
            return None;
        }
        let (letters, masks, others) = ([0; 128], vec![0], Vec::new());
        let mut places = Self { letters, masks, others, ones: 0, stars: 0, free: 0, len: steps.len() };
        for (at, step) in steps.iter().enumerate() {
            let bit = 1_u128 << at;
            match step {
                Step::Char(c) => places.put(*c, bit),
                Step::One => places.ones |= bit,
                Step::Any => (places.stars, places.free) = (places.stars | bit, places.free | bit),
                Step::Within => places.stars |= bit,
            }
        }
        Some(places)
    }

    fn put(&mut self, c: char, bit: u128) {
        let next = u8::try_from(self.masks.len()).unwrap_or(u8::MAX);
        match self.letters.get_mut(usize::try_from(u32::from(c)).unwrap_or(usize::MAX)) {
            Some(place @ 0) => {
                *place = next;
                self.masks.push(bit);
            }
            Some(place) => self.masks.get_mut(usize::from(*place)).into_iter().for_each(|mask| *mask |= bit),
            None => self.others.push((c, bit)),
        }
    }

    fn letter(&self, c: char) -> u128 {
        match self.letters.get(usize::try_from(u32::from(c)).unwrap_or(usize::MAX)) {
            Some(place) => self.masks.get(usize::from(*place)).copied().unwrap_or(0),
            None => self.others.iter().filter(|(other, _)| *other == c).fold(0, |all, (_, mask)| all | mask),
        }
    }

    /// A star may stand for nothing.
    fn past_stars(&self, mut reached: u128) -> u128 {
        loop {
            let more = reached | (reached & self.stars) << 1;
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }

    /// As [`meet_step_by_step`].
    fn meet(&self, other: &[Step]) -> bool {
        let (end, colons) = (1_u128 << self.len, self.letter(':'));
        let mut reached = self.past_stars(1);
        for step in other {
            reached = match step {
                Step::Char(c) => {
                    let taking = if *c == ':' { self.free } else { self.stars };
                    self.past_stars((reached & (self.letter(*c) | self.ones)) << 1 | reached & taking)
                }
                Step::One => self.past_stars((reached & !self.stars & !end) << 1 | reached & self.stars),
                // Everything behind the first place.
                Step::Any => (end << 1).wrapping_sub(reached & reached.wrapping_neg()),
                Step::Within => {
                    let mut open = reached;
                    loop {
                        let more = open | (open & !colons & !end) << 1;
                        if more == open {
                            break open;
                        }
                        open = more;
                    }
                }
            };
            if reached == 0 {
                return false;
            }
        }
        reached & end != 0
    }
}

/// Which beginnings of `b` can go with each beginning of `a`, one after the other.
fn meet_step_by_step(a: &[Step], b: &[Step]) -> bool {
    let mut reached: Vec<bool> = Vec::with_capacity(b.len() + 1);
    let mut next: Vec<bool> = Vec::with_capacity(b.len() + 1);
    reached.push(true);
    for step in b {
        reached.push(step.is_star() && reached.last().copied().unwrap_or_default());
    }
    for x in a {
        next.clear();
        next.push(x.is_star() && reached.first().copied().unwrap_or_default());
        for (y, pair) in b.iter().zip(reached.windows(2)) {
            let (diagonal, above) =
                (pair.first().copied().unwrap_or_default(), pair.last().copied().unwrap_or_default());
            let left = next.last().copied().unwrap_or_default();
            let together = match (x, y) {
                (Step::Char(x), Step::Char(y)) => diagonal && x == y,
                (Step::Any | Step::Within, Step::Any | Step::Within) => diagonal || above || left,
                // A star stands for nothing, or takes the other's step in, as long as it may.
                (Step::Within, Step::Char(':')) => above,
                (Step::Char(':'), Step::Within) => left,
                (Step::Any | Step::Within, _) | (_, Step::Any | Step::Within) => left || above,
                _ => diagonal,
            };
            next.push(together);
        }
        std::mem::swap(&mut reached, &mut next);
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_and_cannot_have_something_in_common() {
        let cases = [
            ("arn:aws:s3:::a/*", "arn:aws:s3:::b/*", false),
            ("arn:aws:s3:::a*", "arn:aws:s3:::*b", true),
            ("arn:aws:s3:::a", "arn:aws:s3:::a", true),
            ("arn:aws:s3:::a", "arn:aws:s3:::a?", false),
            ("*", "anything", true),
            ("*-prod", "*-test", false),
            ("a*b*c", "a?c", true),
            ("a*bb*c", "a?c", false),
            ("a*b*c", "a??c", true),
            ("role/${aws:username}", "role/ann", true),
            ("role/${aws:username}-x", "role/ann", false),
            ("", "*", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (a, b, wanted) in cases {
            assert_eq!(overlaps(a, b), wanted, "{a} {b}");
            assert_eq!(overlaps(b, a), wanted, "{b} {a}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn all_at_once_is_as_step_by_step(a in "[ab:*?]{0,12}", b in "[ab:*?]{0,12}", within in any::<[bool; 2]>()) {
            let narrowed = |text: &str, within: bool| -> Vec<Step> {
                let narrow = |step| if step == Step::Any && within { Step::Within } else { step };
                steps(text).into_iter().map(narrow).collect()
            };
            let [a, b] = [narrowed(&a, within[0]), narrowed(&b, within[1])];
            prop_assert_eq!(Places::of(&b).unwrap().meet(&a), meet_step_by_step(&a, &b));
        }

        #[test]
        fn a_text_that_matches_both_is_never_missed(
            a in "[ab:*?]{0,8}", b in "[ab:*?]{0,8}", text in "[ab:]{0,6}",
        ) {
            if crate::pattern::like(&a, &text) && crate::pattern::like(&b, &text) {
                prop_assert!(overlaps(&a, &b), "{} {} {}", a, b, text);
            }
        }
    }

    #[test]
    fn a_pattern_fits_the_actions_of_its_service() {
        let fits = |pattern: &str, action: &str| {
            let pattern = ResourcePattern::read(pattern);
            Reach::Only(&pattern).fit(ActionSet::all()).contains(action)
        };
        assert!(fits("arn:aws:s3:::b/*", "s3:GetObject"));
        assert!(!fits("arn:aws:s3:::b/*", "ec2:RunInstances"));
        assert!(!fits("arn:aws:s3:::b/*", "s3:ListAllMyBuckets"));
        assert!(fits("arn:aws:s3:::*", "s3:ListAllMyBuckets"));
        assert!(fits("arn:aws:iam::111122223333:role/x", "iam:PassRole"));
        assert!(fits("arn:aws:*", "s3:GetObject") && fits("*role/x", "iam:PassRole"));
        assert!(!fits("arn:aws:nothing:::x", "s3:GetObject"), "what acts on objects acts on nothing else");
    }

    #[test]
    fn an_action_acts_on_resources_of_its_types() {
        let fits = |pattern: &str, action: &str| {
            let pattern = ResourcePattern::read(pattern);
            Reach::Only(&pattern).fit(ActionSet::all()).contains(action)
        };
        // Pattern, an action that can act there, one of the same service that cannot.
        let cases = [
            ("arn:aws:s3:::invoices/*", "s3:PutObject", "s3:ListBucket"),
            ("arn:aws:s3:::invoices", "s3:PutBucketPolicy", "s3:GetObject"),
            ("arn:aws:iam::111122223333:role/*", "iam:PassRole", "iam:CreateAccessKey"),
            ("arn:aws:iam::111122223333:role/team/*", "iam:PutRolePolicy", "iam:PutUserPolicy"),
            ("arn:*:iam::*:role/*", "iam:PutRolePolicy", "s3:GetObject"),
            ("arn:aws:iam::111122223333:user/${aws:username}", "iam:CreateAccessKey", "iam:PassRole"),
            ("arn:aws:iam::111122223333:policy/team/*", "iam:CreatePolicyVersion", "iam:AttachRolePolicy"),
            ("arn:aws:dynamodb:eu-west-1:111122223333:table/orders", "dynamodb:Scan", "dynamodb:GetRecords"),
            ("arn:aws:kms:eu-west-1:111122223333:alias/app-*", "kms:CreateAlias", "kms:Decrypt"),
            ("arn:aws:iam", "iam:CreateAccessKey", "s3:ListBucket"),
        ];
        for (pattern, can, cannot) in cases {
            assert!(fits(pattern, can), "{pattern} {can}");
            assert!(!fits(pattern, cannot), "{pattern} {cannot}");
        }
        let asked = [
            ("iam:PassRole", "arn:aws:iam::111122223333:role/x", true),
            ("iam:PassRole", "arn:aws:s3:::b", false),
            ("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1", true),
            ("ec2:RunInstances", "arn:aws:sqs:eu-west-1:111122223333:q", false),
            ("s3:ListBucket", "arn:aws:s3:::b", true),
            ("s3:ListBucket", "arn:aws:s3:::b/k", false),
            ("s3:ListAllMyBuckets", "arn:aws:s3:::b", true),
            ("new:Thing", "arn:aws:s3:::b", true),
            ("iam:PassRole", "*", true),
        ];
        for (action, resource, wanted) in asked {
            assert_eq!(acts_on(action, resource), wanted, "{action} on {resource}");
        }
    }
}
