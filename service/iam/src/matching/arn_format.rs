//! The ARN formats of the catalogue, and which of its actions can act where a pattern matches.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.

use crate::arn::ArnText;
use crate::catalogue::catalogue;
use crate::matching::action_set::ActionSet;
use crate::matching::overlap::{Places, Step, meet_somewhere, steps};
use crate::matching::pattern::ResourcePattern;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Actions that can be limited to resources.
static LIMITABLE: LazyLock<ActionSet> = LazyLock::new(|| {
    ActionSet::from_numbers(catalogue().actions().iter().filter(|a| a.on_resources).map(|a| a.number))
});

/// Actions that act on no resource; those of S3 are asked for on `arn:aws:s3:::*`, others on `*`.
pub(crate) static BARE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::all().minus(&LIMITABLE).minus(&S3_BARE));

pub(crate) static S3_BARE: LazyLock<ActionSet> = LazyLock::new(|| ActionSet::service("s3").minus(&LIMITABLE));

pub(crate) const S3_PLACES: [&str; 3] = ["arn:aws:s3:::*", "arn:aws-cn:s3:::*", "arn:aws-us-gov:s3:::*"];

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
        match ArnText(arn).service() {
            Some(service) if !service.contains('$') => {
                by_service.entry(service).or_default().push(number);
            }
            _ => open.push(number),
        }
    }
    by_service.values_mut().for_each(|forms| forms.extend(&open));
    let all = numbers.into_iter().map(|(arn, numbers)| {
        let text = with_stars(arn, |_| None);
        let no_slash = arn.ends_with("::${BucketName}");
        let (pattern, steps) = (ResourcePattern::new(&text), form_steps(&text));
        let begins = text.splitn(6, ':').nth(5).and_then(|rest| rest.split('*').next()).unwrap_or_default().to_owned();
        let places = Places::new(&steps);
        Form { pattern, steps, places, begins, no_slash, actions: ActionSet::from_numbers(numbers) }
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

/// The service that every ARN of the pattern has; `None` where it leaves it open.
fn arn_service(pattern: &ResourcePattern) -> Option<&str> {
    let mut segments = pattern.as_str().splitn(4, ':');
    let mut fixed = || segments.next().filter(|s| !s.contains(['*', '?', '$']));
    let (_, _, service) = (fixed().filter(|s| *s == "arn")?, fixed()?, fixed()?);
    segments.next().map(|_| service)
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
pub(crate) fn acting_on(pattern: &ResourcePattern) -> ActionSet {
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
