//! A policy document's syntax tree, with what is worked out of it when first asked for.
//!
//! Knows which of the catalogue's actions each statement names, and where those can act. The tree
//! itself knows nothing of this: whoever only reads or writes documents needs no catalogue.

use crate::catalogue::action_name::ActionName;
use crate::condition::Condition;
use crate::matching::action_set::ActionSet;
use crate::matching::arn_format::of_acting_on;
use crate::matching::pattern::ActionPattern;
use crate::policy::ast::{Clause, Policy, Statement};
use crate::policy::index::{Candidate, Candidates, Index, unlisted};
use crate::policy::reach::{on_everything, reaches};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A policy and what is worked out of it once. It dereferences to its syntax tree.
#[derive(Debug)]
pub struct CompiledPolicy {
    ast: Policy,
    /// Whether its one statement allows every action on everything to everyone.
    allows_everything: bool,
    /// Its statements by action.
    index: OnceLock<Index>,
    /// In the order of the document.
    statements: Box<[CompiledStatement]>,
}

/// A statement and its sets of actions. Cloning it copies two references.
#[derive(Debug, Clone)]
pub(crate) struct CompiledStatement {
    statement: Arc<Statement>,
    sets: Arc<StatementSets>,
}

/// What a statement names, in the catalogue's terms.
#[derive(Debug, Default)]
struct StatementSets {
    /// The actions, and where patterns stand that name none of the catalogue.
    actions: OnceLock<(ActionSet, Box<[usize]>)>,
    resources: OnceLock<Box<OnResources>>,
}

/// Where the actions of a statement can act.
#[derive(Debug)]
struct OnResources {
    /// For each part that it reaches: what of the actions can act there.
    fits: Box<[ActionSet]>,
    /// On every resource that they can act on, taken generously and strictly.
    everywhere: ActionSet,
    certainly_everywhere: ActionSet,
    conditional: bool,
}

impl Deref for CompiledPolicy {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.ast
    }
}

impl From<Policy> for CompiledPolicy {
    fn from(ast: Policy) -> Self {
        let each = ast.statements.iter();
        let compiled =
            |statement: &Arc<Statement>| CompiledStatement { statement: Arc::clone(statement), sets: Arc::default() };
        let allows_everything = matches!(&*ast.statements, [only] if only.allows_everything());
        Self { allows_everything, statements: each.map(compiled).collect(), index: OnceLock::new(), ast }
    }
}

impl CompiledPolicy {
    /// Whether its one statement allows every action on everything to everyone.
    pub(crate) fn allows_everything(&self) -> bool {
        self.allows_everything
    }

    /// The statements with their sets, in their order.
    pub(crate) fn compiled(&self) -> &[CompiledStatement] {
        &self.statements
    }

    /// The statements that name an action, each effect by itself: those that ask for nothing else
    /// first. What is not listed is looked for in every statement, and kept in `scratch`.
    pub(crate) fn naming<'a>(&'a self, action: &ActionName, scratch: &'a mut [Vec<Candidate>; 2]) -> Candidates<'a> {
        let index = || {
            self.index
                .get_or_init(|| Index::new(&self.ast, self.statements.iter().map(CompiledStatement::actions_named)))
        };
        if let Some(found) = action.number().and_then(|number| index().listed(number)) {
            return found;
        }
        *scratch = unlisted(&self.ast, |at, statement| match action.number() {
            Some(number) => self.statements.get(at).is_some_and(|s| s.actions_named().contains_number(number)),
            None => statement.names_action(action.as_str()),
        });
        let [deny, allow] = scratch;
        Candidates { deny, allow }
    }

    /// The statement at a position.
    pub(crate) fn at(&self, position: u32) -> Option<&Arc<Statement>> {
        self.ast.statements.get(usize::try_from(position).ok()?)
    }
}

impl Deref for CompiledStatement {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

impl CompiledStatement {
    /// The statement, to be kept.
    pub(crate) fn shared(&self) -> &Arc<Statement> {
        &self.statement
    }

    /// The catalogue's actions that the statement names.
    pub(crate) fn actions_named(&self) -> &ActionSet {
        &self.read_actions().0
    }

    /// Where patterns stand that name nothing that the catalogue has.
    pub(crate) fn places_of_nothing(&self) -> &[usize] {
        &self.read_actions().1
    }

    /// Patterns that may be of an action, or a service, that is newer than the catalogue.
    pub(crate) fn patterns_of_nothing(&self) -> impl Iterator<Item = &ActionPattern> {
        let elements = self.actions.elements();
        let nothing = self.places_of_nothing().iter().filter_map(|place| elements.get(*place));
        nothing.filter(|pattern| pattern.may_name_an_action())
    }

    fn read_actions(&self) -> &(ActionSet, Box<[usize]>) {
        self.sets.actions.get_or_init(|| {
            let elements: Vec<ActionSet> = self.actions.elements().iter().map(ActionSet::named_by).collect();
            let union = ActionSet::union_of(&elements);
            let of_nothing = elements.iter().enumerate().filter(|(_, set)| set.is_empty()).map(|(place, _)| place);
            let of_nothing = of_nothing.collect();
            (if self.actions.is_not() { ActionSet::all().minus(&union) } else { union }, of_nothing)
        })
    }

    /// For each part that it reaches: what of the actions that it names can act there.
    pub(crate) fn actions_fitting(&self) -> &[ActionSet] {
        &self.on_resources().fits
    }

    /// What it names on every resource of one account at least; see [`on_everything`].
    pub(crate) fn everywhere(&self) -> &ActionSet {
        &self.on_resources().everywhere
    }

    /// What it names on every resource of every account and type.
    pub(crate) fn certainly_everywhere(&self) -> &ActionSet {
        &self.on_resources().certainly_everywhere
    }

    /// Whether a condition that can fail stands before it.
    pub(crate) fn is_conditional(&self) -> bool {
        self.on_resources().conditional
    }

    /// The steps of working out what it names: few for names and beginnings of names, many for
    /// patterns that have to be compared with every action of a service, or every type of resource.
    pub(crate) fn compiling_steps(&self) -> usize {
        let actions = self.actions.elements().iter().map(ActionSet::naming_steps);
        let resources = self.resources.iter().flat_map(Clause::elements).map(of_acting_on);
        actions.chain(resources).fold(1, usize::saturating_add)
    }

    fn on_resources(&self) -> &OnResources {
        self.sets.resources.get_or_init(|| {
            let actions = self.actions_named().clone();
            Box::new(OnResources {
                fits: reaches(self).into_iter().map(|part| part.fit(&actions)).collect(),
                everywhere: on_everything(self, &actions, false),
                certainly_everywhere: on_everything(self, &actions, true),
                conditional: !self.conditions.iter().all(Condition::is_always_true),
            })
        })
    }
}
