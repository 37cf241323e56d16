//! The type checker: says at load everything that could go wrong with an expression later.
//!
//! It resolves names, compiles patterns and tracks which optional fields a guard has shown to be
//! there. What it lets through cannot meet a missing field or a wrong type when it is judged.
//! Refuses to know where expressions stand in a file.

use super::cel::{self, Comparison, Each, Expr, Kind};
use super::ir::{BECAUSE, BUILTINS, Builtin, DEEPEST_COMPREHENSION, ELEMENT, FIRST_VARIABLE, Ir, NOW, SUBJECT};
use super::literal::regex;
use super::schema::{Function, Schema, Type};
use super::text;
use super::value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A mistake in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Byte in the expression's text.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// The names that an expression may use.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    pub(super) schema: &'a Schema,
    /// The subject's variable and type.
    pub(super) subject: (&'a str, Type),
    /// The variable of `each` and its type.
    pub(super) element: Option<(&'a str, Type)>,
    /// Whether `because` may be named: in the texts of a rule that lists its causes.
    pub(super) because: bool,
    /// Parameters in the order in which values are given.
    pub(super) params: &'a [(Arc<str>, Type)],
}

/// A checked expression with its type and the parameters that it uses.
pub(super) struct Checked {
    pub(super) ir: Ir,
    pub(super) ty: Type,
    pub(super) params: BTreeSet<usize>,
}

/// Parses and checks an expression.
pub(super) fn check(source: &str, scope: &Scope<'_>) -> Result<Checked, Vec<Mistake>> {
    let expr = cel::parse(source).map_err(|syntax| {
        vec![Mistake { at: syntax.at, message: syntax.message, remedy: "correct the expression".to_owned() }]
    })?;
    let mut checker = Checker { scope, variables: Vec::new(), mistakes: Vec::new(), params: BTreeSet::new() };
    let (ir, ty) = checker.expr(&expr, &BTreeSet::new());
    if checker.mistakes.is_empty() { Ok(Checked { ir, ty, params: checker.params }) } else { Err(checker.mistakes) }
}

/// Paths such as `association.target_role` that are there for certain.
type Present = BTreeSet<String>;

struct Checker<'a> {
    scope: &'a Scope<'a>,
    variables: Vec<(String, Type)>,
    mistakes: Vec<Mistake>,
    params: BTreeSet<usize>,
}

type Typed = (Ir, Type);

/// Goes on after a mistake: fits everywhere, so that one mistake is reported once.
fn poison() -> Typed {
    (Ir::Const(Value::Null), Type::Nothing)
}

/// The path that an expression spells, if it is a variable and fields of it.
fn path(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.clone()),
        Kind::Select(of, field) => path(of).map(|of| format!("{of}.{field}")),
        _ => None,
    }
}

/// What is there if the expression has the given value. INVARIANT: if a path in the result is absent,
/// the expression is known not to have that value, however much else is unknown.
fn shown(expr: &Expr, value: bool) -> Present {
    let both = |sets: Vec<Present>, all: bool| -> Present {
        let mut sets = sets.into_iter();
        let first = sets.next().unwrap_or_default();
        sets.fold(first, |a, b| if all { &a | &b } else { &a & &b })
    };
    match &expr.kind {
        Kind::Has(of, field) if value => path(of).map(|of| format!("{of}.{field}")).into_iter().collect(),
        Kind::Compare(how @ (Comparison::Equal | Comparison::NotEqual), sides) => {
            let [a, b] = sides.as_ref();
            let tested = match (&a.kind, &b.kind) {
                (Kind::Null, _) => path(b),
                (_, Kind::Null) => path(a),
                _ => None,
            };
            if value == (*how == Comparison::NotEqual) { tested.into_iter().collect() } else { Present::new() }
        }
        Kind::Not(of) => shown(of, !value),
        Kind::And(parts) => both(parts.iter().map(|part| shown(part, value)).collect(), value),
        Kind::Or(parts) => both(parts.iter().map(|part| shown(part, value)).collect(), !value),
        _ => Present::new(),
    }
}

impl Checker<'_> {
    fn mistake(&mut self, at: usize, message: impl Into<String>, remedy: impl Into<String>) -> Typed {
        self.mistakes.push(Mistake { at, message: message.into(), remedy: remedy.into() });
        poison()
    }

    fn unknown_name(&mut self, at: usize, what: String, name: &str, candidates: &[&str]) -> Typed {
        let (message, remedy) = match text::closest(name, candidates.iter().copied()) {
            Some(near) => (format!("{what}; did you mean `{near}`?"), format!("write `{near}`")),
            None => (what, format!("known are: {}", candidates.join(", "))),
        };
        self.mistake(at, message, remedy)
    }

    fn variable(&self, name: &str) -> Option<Typed> {
        for (depth, (known, ty)) in self.variables.iter().enumerate() {
            if known == name {
                return Some((Ir::Slot(FIRST_VARIABLE + depth), ty.clone()));
            }
        }
        if name == self.scope.subject.0 {
            return Some((Ir::Slot(SUBJECT), self.scope.subject.1.clone()));
        }
        match &self.scope.element {
            Some((known, ty)) if *known == name => return Some((Ir::Slot(ELEMENT), ty.clone())),
            _ => {}
        }
        if name == "now" {
            return Some((Ir::Slot(NOW), Type::Timestamp));
        }
        if name == "because" && self.scope.because {
            return Some((Ir::Slot(BECAUSE), Type::list(Type::String)));
        }
        None
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        names.push(self.scope.subject.0);
        names.extend(self.scope.element.as_ref().map(|(name, _)| *name));
        names.extend(["params", "now"]);
        names.extend(self.scope.because.then_some("because"));
        names
    }

    /// An expression that must be there.
    fn expr(&mut self, expr: &Expr, present: &Present) -> Typed {
        let (ir, ty) = self.perhaps(expr, present);
        match ty {
            Type::Optional(_) => {
                let what = path(expr).map_or_else(|| "the value".to_owned(), |path| format!("`{path}`"));
                let guard = match &expr.kind {
                    Kind::Select(..) => path(expr).map(|path| format!("guard it with `has({path}) && …`")),
                    _ => None,
                };
                let remedy = guard.unwrap_or_else(|| "give another value with `.orValue(…)`".to_owned());
                self.mistake(expr.at, format!("{what} may be absent here"), remedy)
            }
            ty => (ir, ty),
        }
    }

    /// An expression of one type.
    fn wanted(&mut self, expr: &Expr, present: &Present, wanted: &Type, whose: &str) -> Ir {
        let (ir, ty) =
            if matches!(wanted, Type::Optional(_)) { self.perhaps(expr, present) } else { self.expr(expr, present) };
        if ty.fits(wanted) {
            return ir;
        }
        self.mistake(expr.at, format!("{whose} is {ty}, but {wanted} is needed"), convert(&ty, wanted)).0
    }

    /// An expression that may be absent: its type may be optional.
    fn perhaps(&mut self, expr: &Expr, present: &Present) -> Typed {
        let at = expr.at;
        match &expr.kind {
            Kind::Null => (Ir::Const(Value::Null), Type::Null),
            Kind::Bool(b) => (Ir::Const(Value::Bool(*b)), Type::Bool),
            Kind::Int(n) => (Ir::Const(Value::Int(*n)), Type::Int),
            Kind::Double(n) => (Ir::Const(Value::Double(*n)), Type::Double),
            Kind::Text(text) => (Ir::Const(Value::text(text.as_str())), Type::String),
            Kind::Ident(name) => match self.variable(name) {
                Some((ir, Type::Optional(of))) if present.contains(name) => (ir, of.as_ref().clone()),
                Some(typed) => typed,
                None if name == "params" => {
                    self.mistake(at, "`params` is not a value", "name a parameter, as in `params.limit`")
                }
                None => {
                    let names: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    self.unknown_name(at, format!("no variable `{name}`"), name, &names)
                }
            },
            Kind::Select(of, field) => {
                let (ir, ty) = self.select(of, field, at, present);
                match ty {
                    Type::Optional(inner) if path(expr).is_some_and(|path| present.contains(&path)) => {
                        (ir, inner.as_ref().clone())
                    }
                    ty => (ir, ty),
                }
            }
            Kind::Has(of, field) => {
                let (ir, _) = self.select(of, field, at, present);
                (Ir::Present(Box::new(ir)), Type::Bool)
            }
            Kind::Not(of) => {
                (Ir::Not(Box::new(self.wanted(of, present, &Type::Bool, "the operand of `!`"))), Type::Bool)
            }
            Kind::Negate(of) => {
                let (ir, ty) = self.expr(of, present);
                if matches!(ty, Type::Int | Type::Double | Type::Duration | Type::Nothing) {
                    (Ir::Negate(Box::new(ir)), ty)
                } else {
                    self.mistake(at, format!("`-` does not apply to {ty}"), "negate a number or a duration")
                }
            }
            Kind::And(parts) | Kind::Or(parts) => self.junction(parts, present, matches!(expr.kind, Kind::And(_))),
            Kind::Cond(three) => self.condition(at, three, present),
            Kind::Compare(how, sides) => self.compare(at, *how, sides, present),
            Kind::Arith(how, sides) => self.arith(at, *how, sides, present),
            Kind::In(sides) => self.membership(at, sides, present),
            Kind::Index(sides) => self.index(at, sides, present),
            Kind::List(items) => {
                let mut of = Type::Nothing;
                let mut irs = Vec::new();
                for item in items {
                    let (ir, ty) = self.expr(item, present);
                    match of.join(&ty) {
                        Some(both) => of = both,
                        None => {
                            let message = format!("the list holds {of} and {ty}");
                            self.mistake(item.at, message, "let all elements have one type");
                        }
                    }
                    irs.push(ir);
                }
                (Ir::List(irs), Type::list(of))
            }
            Kind::Map(entries) => {
                let mut of = Type::Nothing;
                let mut irs = Vec::new();
                for (key, value) in entries {
                    let key = self.wanted(key, present, &Type::String, "the key");
                    let (ir, ty) = self.expr(value, present);
                    match of.join(&ty) {
                        Some(both) => of = both,
                        None => {
                            let message = format!("the map holds {of} and {ty}");
                            self.mistake(value.at, message, "let all values have one type");
                        }
                    }
                    irs.push((key, ir));
                }
                (Ir::Map(irs), Type::map(of))
            }
            Kind::Each { how, list, var, only, body } => self.each(at, *how, list, var, only.as_deref(), body, present),
            Kind::Call { target, name, args } => self.call(at, target.as_deref(), name, args, present),
        }
    }

    fn select(&mut self, of: &Expr, field: &str, at: usize, present: &Present) -> Typed {
        if matches!(&of.kind, Kind::Ident(name) if name == "params") {
            let found = self.scope.params.iter().position(|(name, _)| name.as_ref() == field);
            return match found.and_then(|index| self.scope.params.get(index).map(|(_, ty)| (index, ty.clone()))) {
                Some((index, ty)) => {
                    self.params.insert(index);
                    (Ir::Param(index), ty)
                }
                None => {
                    let names: Vec<&str> = self.scope.params.iter().map(|(name, _)| name.as_ref()).collect();
                    self.unknown_name(at, format!("no parameter `{field}`"), field, &names)
                }
            };
        }
        let (ir, ty) = self.expr(of, present);
        match &ty {
            Type::Nothing => poison(),
            Type::Object(name) => {
                let Some(object) = self.scope.schema.object(name) else { return poison() };
                if let Some((index, found)) = object.find(field) {
                    return (Ir::Field(Box::new(ir), index), found.ty.clone());
                }
                let names: Vec<&str> = object.fields.iter().map(|field| field.name.as_ref()).collect();
                self.unknown_name(at, format!("type {name} has no field `{field}`"), field, &names)
            }
            Type::Map(of) => {
                let key = Ir::Const(Value::text(field));
                (Ir::Index(Box::new([ir, key])), Type::optional(of.as_ref().clone()))
            }
            ty => self.mistake(at, format!("{ty} has no fields, so no `{field}`"), "select a field of an object"),
        }
    }

    fn junction(&mut self, parts: &[Expr], present: &Present, and: bool) -> Typed {
        let operator = if and { "the operand of `&&`" } else { "the operand of `||`" };
        let mut known = present.clone();
        let mut irs = Vec::new();
        for part in parts {
            irs.push(self.wanted(part, &known, &Type::Bool, operator));
            known.extend(shown(part, and));
        }
        (if and { Ir::And(irs) } else { Ir::Or(irs) }, Type::Bool)
    }

    fn condition(&mut self, at: usize, three: &[Expr; 3], present: &Present) -> Typed {
        let [test, yes, no] = three;
        let test_ir = self.wanted(test, present, &Type::Bool, "the condition of `?`");
        let (yes, a) = self.perhaps(yes, &(present | &shown(test, true)));
        let (no, b) = self.perhaps(no, &(present | &shown(test, false)));
        match a.join(&b) {
            Some(ty) => (Ir::Cond(Box::new([test_ir, yes, no])), ty),
            None => self.mistake(at, format!("`?` gives {a} or {b}"), "let both branches have one type"),
        }
    }

    fn compare(&mut self, at: usize, how: Comparison, sides: &[Expr; 2], present: &Present) -> Typed {
        let [left, right] = sides;
        let symbol = how.symbol();
        let equality = matches!(how, Comparison::Equal | Comparison::NotEqual);
        let null = |e: &Expr| equality && matches!(e.kind, Kind::Null);
        if null(left) || null(right) {
            let (tested, other) = if null(left) { (right, left) } else { (left, right) };
            if null(tested) && null(other) {
                return self.mistake(at, "`null` is compared with `null`", "compare a field with `null`");
            }
            // Asked in the wide scope: a guard already given does not make the question wrong.
            let (ir, ty) = self.perhaps(tested, &without(present, path(tested)));
            if !matches!(ty, Type::Optional(_) | Type::Nothing) {
                let always = if how == Comparison::Equal { "false" } else { "true" };
                let message = format!("{ty} is never absent, so `{symbol} null` is always {always}");
                return self.mistake(at, message, "leave the comparison out");
            }
            let there = Ir::Present(Box::new(ir));
            let ir = if how == Comparison::NotEqual { there } else { Ir::Not(Box::new(there)) };
            return (ir, Type::Bool);
        }
        let ((a, a_ty), (b, b_ty)) = (self.expr(left, present), self.expr(right, present));
        let ir = Ir::Compare(how, Box::new([a, b]));
        let Some(ty) = a_ty.join(&b_ty) else {
            let message = if equality {
                let always = if how == Comparison::Equal { "false" } else { "true" };
                format!("`{symbol}` compares {a_ty} with {b_ty}, which is always {always}")
            } else {
                format!("`{symbol}` cannot compare {a_ty} with {b_ty}")
            };
            return self.mistake(at, message, convert(&a_ty, &b_ty));
        };
        let fits = if equality {
            comparable(&ty)
        } else {
            matches!(ty, Type::Int | Type::Double | Type::String | Type::Timestamp | Type::Duration | Type::Nothing)
        };
        if fits {
            (ir, Type::Bool)
        } else {
            self.mistake(at, format!("`{symbol}` does not apply to {ty}"), "compare fields of it instead")
        }
    }

    fn arith(&mut self, at: usize, how: cel::Arith, sides: &[Expr; 2], present: &Present) -> Typed {
        use cel::Arith::{Add, Divide, Modulo, Multiply, Subtract};
        let [left, right] = sides;
        let ((a, a_ty), (b, b_ty)) = (self.expr(left, present), self.expr(right, present));
        let ty = match (how, &a_ty, &b_ty) {
            (_, Type::Nothing, _) | (_, _, Type::Nothing) => Some(Type::Nothing),
            (_, Type::Int, Type::Int) => Some(Type::Int),
            (Add | Subtract | Multiply | Divide, Type::Double, Type::Double) => Some(Type::Double),
            (Add, Type::String, Type::String) => Some(Type::String),
            (Add, Type::List(_), Type::List(_)) => a_ty.join(&b_ty),
            (Add | Subtract, Type::Timestamp | Type::Duration, Type::Duration) => Some(a_ty.clone()),
            (Add, Type::Duration, Type::Timestamp) => Some(Type::Timestamp),
            (Subtract, Type::Timestamp, Type::Timestamp) => Some(Type::Duration),
            (Multiply | Divide | Modulo | Add | Subtract, _, _) => None,
        };
        match ty {
            Some(ty) => (Ir::Arith(how, Box::new([a, b])), ty),
            None => {
                let message = format!("`{}` does not apply to {a_ty} and {b_ty}", how.symbol());
                let remedy = if how == Add && (a_ty == Type::String || b_ty == Type::String) {
                    "turn the other side into text with `string(…)`".to_owned()
                } else {
                    convert(&a_ty, &b_ty)
                };
                self.mistake(at, message, remedy)
            }
        }
    }

    fn membership(&mut self, at: usize, sides: &[Expr; 2], present: &Present) -> Typed {
        let [item, list] = sides;
        let ((a, a_ty), (b, b_ty)) = (self.expr(item, present), self.expr(list, present));
        let of = match &b_ty {
            Type::List(of) => of.as_ref().clone(),
            Type::Map(_) => Type::String,
            Type::Nothing => Type::Nothing,
            ty => {
                let remedy =
                    if *ty == Type::String { "use `text.contains(part)`" } else { "look into a list or a map" };
                return self.mistake(at, format!("`in` looks into a list or a map, not into {ty}"), remedy);
            }
        };
        match a_ty.join(&of) {
            Some(ty) if comparable(&ty) => (Ir::In(Box::new([a, b])), Type::Bool),
            Some(ty) => {
                self.mistake(at, format!("`in` does not compare {ty}"), "use `exists` with a condition on fields")
            }
            None => self.mistake(
                at,
                format!("`in` looks for {a_ty} among {of}, which is always false"),
                convert(&a_ty, &of),
            ),
        }
    }

    fn index(&mut self, at: usize, sides: &[Expr; 2], present: &Present) -> Typed {
        let [of, index] = sides;
        let (ir, ty) = self.expr(of, present);
        match ty {
            Type::List(item) => {
                let index = self.wanted(index, present, &Type::Int, "the index");
                (Ir::Index(Box::new([ir, index])), item.as_ref().clone())
            }
            Type::Map(value) => {
                let index = self.wanted(index, present, &Type::String, "the key");
                (Ir::Index(Box::new([ir, index])), Type::optional(value.as_ref().clone()))
            }
            Type::Nothing => poison(),
            ty => self.mistake(at, format!("{ty} has no elements"), "index a list or a map"),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one syntax node")]
    fn each(
        &mut self,
        at: usize,
        how: Each,
        list: &Expr,
        var: &str,
        only: Option<&Expr>,
        body: &Expr,
        present: &Present,
    ) -> Typed {
        let (list_ir, list_ty) = self.expr(list, present);
        let of = match &list_ty {
            Type::List(of) => of.as_ref().clone(),
            Type::Nothing => Type::Nothing,
            ty => {
                let remedy = if matches!(ty, Type::Map(_)) { "go through its `.keys()`" } else { "go through a list" };
                return self.mistake(at, format!("a comprehension goes through a list, not {ty}"), remedy);
            }
        };
        if self.variables.len() >= DEEPEST_COMPREHENSION {
            let deep = self.variables.len() + 1;
            let message = format!("comprehensions are nested {deep} deep (limit {DEEPEST_COMPREHENSION})");
            return self.mistake(at, message, "ask for a fact or function that answers the inner question");
        }
        if self.names().contains(&var) || has_namespace(self.scope.schema, var) {
            return self.mistake(at, format!("`{var}` has a meaning already"), "choose another name");
        }
        self.variables.push((var.to_owned(), of.clone()));
        let slot = FIRST_VARIABLE + self.variables.len() - 1;
        let mut known = present.clone();
        let only = only.map(|only| {
            let ir = self.wanted(only, &known, &Type::Bool, "the condition of `map`");
            known.extend(shown(only, true));
            Box::new(ir)
        });
        let (body, ty) = if how == Each::Map {
            let (ir, ty) = self.expr(body, &known);
            (ir, Type::list(ty))
        } else {
            let ir = self.wanted(body, &known, &Type::Bool, "the condition");
            (ir, if how == Each::Filter { Type::list(of) } else { Type::Bool })
        };
        self.variables.pop();
        (Ir::Each { how, list: Box::new(list_ir), slot, only, body: Box::new(body) }, ty)
    }

    fn call(&mut self, at: usize, target: Option<&Expr>, name: &str, args: &[Expr], present: &Present) -> Typed {
        // `iam.grants(x)`: a name with a dot, unless the part before it is a variable.
        if let Some(Expr { kind: Kind::Ident(space), at: start }) = target
            && self.variable(space).is_none()
        {
            let whole = format!("{space}.{name}");
            if space != "params" {
                return self.free(*start, &whole, args, present);
            }
        }
        match target {
            None => self.free(at, name, args, present),
            Some(target) => self.method(at, target, name, args, present),
        }
    }

    fn free(&mut self, at: usize, name: &str, args: &[Expr], present: &Present) -> Typed {
        let schema = self.scope.schema;
        if let Some(function) = schema.functions().iter().find(|f| f.receiver.is_none() && f.name.as_ref() == name) {
            return self.native(at, function, None, args, present);
        }
        let builtin = BUILTINS.iter().find(|(known, _, _)| *known == name).map(|(_, builtin, _)| *builtin);
        if let Some(builtin) = builtin.filter(|builtin| FREE.contains(builtin)) {
            return self.free_builtin(at, builtin, name, args, present);
        }
        if builtin.is_some() {
            return self.mistake(
                at,
                format!("`{name}` is a method"),
                format!("call it on a value, as in `x.{name}(…)`"),
            );
        }
        let mut names: Vec<&str> =
            schema.functions().iter().filter(|f| f.receiver.is_none()).map(|f| f.name.as_ref()).collect();
        names.extend(BUILTINS.iter().filter(|(_, builtin, _)| FREE.contains(builtin)).map(|(name, _, _)| *name));
        // `asociation.tags.size()` reads like a function of the name space `asociation`.
        if let Some((space, _)) = name.split_once('.')
            && !has_namespace(schema, space)
        {
            let variables: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
            let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
            return self.unknown_name(at, format!("no variable `{space}`"), space, &variables);
        }
        self.unknown_name(at, format!("no function `{name}`"), name, &names)
    }

    fn method(&mut self, at: usize, target: &Expr, name: &str, args: &[Expr], present: &Present) -> Typed {
        if name == "orValue" {
            return self.or_value(at, target, args, present);
        }
        let (ir, ty) = self.expr(target, present);
        if ty == Type::Nothing {
            for arg in args {
                self.expr(arg, present);
            }
            return poison();
        }
        let schema = self.scope.schema;
        let fits = |f: &&Function| f.receiver.as_ref().is_some_and(|receiver| ty.fits(receiver));
        if let Some(function) = schema.functions().iter().filter(fits).find(|f| f.name.as_ref() == name) {
            return self.native(at, function, Some(ir), args, present);
        }
        if let Some((_, builtin, _)) = BUILTINS.iter().find(|(known, _, _)| *known == name) {
            return self.builtin_method(at, *builtin, name, (ir, ty), args, present);
        }
        let mut names: Vec<&str> = schema.functions().iter().filter(fits).map(|f| f.name.as_ref()).collect();
        names.extend(
            BUILTINS
                .iter()
                .filter(|(name, builtin, _)| !name.contains('.') && method_result(*builtin, &ty).is_some())
                .map(|(name, _, _)| *name),
        );
        names.extend(["exists", "all", "exists_one", "filter", "map"].iter().filter(|_| matches!(ty, Type::List(_))));
        self.unknown_name(at, format!("{ty} has no method `{name}`"), name, &names)
    }

    fn count(&mut self, at: usize, name: &str, args: usize, wanted: &[usize]) -> bool {
        if wanted.contains(&args) {
            return true;
        }
        let list: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let list = list.join(" or ");
        self.mistake(
            at,
            format!("`{name}` takes {list} arguments, {args} are given"),
            "see `rolecall policies schema`",
        );
        false
    }

    fn native(
        &mut self,
        at: usize,
        function: &Function,
        target: Option<Ir>,
        args: &[Expr],
        present: &Present,
    ) -> Typed {
        if !self.count(at, &function.name, args.len(), &[function.params.len()]) {
            return poison();
        }
        let mut irs: Vec<Ir> = target.into_iter().collect();
        for ((name, ty), arg) in function.params.iter().zip(args) {
            irs.push(self.wanted(arg, present, ty, &format!("argument `{name}` of `{}`", function.name)));
        }
        let native = Arc::clone(&function.native);
        (Ir::Native { name: Arc::clone(&function.name), native, args: irs }, function.result.clone())
    }

    fn or_value(&mut self, at: usize, target: &Expr, args: &[Expr], present: &Present) -> Typed {
        let (ir, ty) = self.perhaps(target, present);
        let [other] = args else {
            self.count(at, "orValue", args.len(), &[1]);
            return poison();
        };
        let (other, other_ty) = self.expr(other, present);
        match ty {
            Type::Nothing => poison(),
            Type::Optional(of) => match of.join(&other_ty) {
                Some(ty) => (Ir::Call(Builtin::OrValue, vec![ir, other]), ty),
                None => {
                    self.mistake(at, format!("`orValue` gives {of} or {other_ty}"), "give a value of the same type")
                }
            },
            ty => self.mistake(at, format!("{ty} is never absent here"), "leave `.orValue(…)` out"),
        }
    }

    fn builtin_method(
        &mut self,
        at: usize,
        builtin: Builtin,
        name: &str,
        (ir, ty): Typed,
        args: &[Expr],
        present: &Present,
    ) -> Typed {
        let Some(result) = method_result(builtin, &ty) else {
            return self.mistake(at, format!("{ty} has no method `{name}`"), "see `rolecall policies schema`");
        };
        let text_args = match builtin {
            Builtin::Contains | Builtin::StartsWith | Builtin::EndsWith | Builtin::Split | Builtin::Join => 1,
            Builtin::MatchesParam => {
                return match args {
                    [pattern] => self.matches(ir, pattern, present),
                    _ => {
                        self.count(at, name, args.len(), &[1]);
                        poison()
                    }
                };
            }
            _ => 0,
        };
        if !self.count(at, name, args.len(), &[text_args]) {
            return poison();
        }
        let mut irs = vec![ir];
        for arg in args {
            irs.push(self.wanted(arg, present, &Type::String, &format!("the argument of `{name}`")));
        }
        (Ir::Call(builtin, irs), result)
    }

    fn matches(&mut self, ir: Ir, pattern: &Expr, present: &Present) -> Typed {
        if let Kind::Text(text) = &pattern.kind {
            return match regex(text) {
                Ok(regex) => (Ir::Matches(Box::new(ir), regex), Type::Bool),
                Err(why) => {
                    self.mistake(pattern.at, format!("the pattern cannot be read: {why}"), "correct the pattern")
                }
            };
        }
        let (pattern_ir, ty) = self.expr(pattern, present);
        if matches!(ty, Type::Regex | Type::Nothing) {
            return (Ir::Call(Builtin::MatchesParam, vec![ir, pattern_ir]), Type::Bool);
        }
        self.mistake(
            pattern.at,
            format!("the pattern is {ty}, and would be compiled only when the rule is judged"),
            "write a literal pattern, or a parameter of type `regex` or `map(regex)`",
        )
    }

    fn free_builtin(&mut self, at: usize, builtin: Builtin, name: &str, args: &[Expr], present: &Present) -> Typed {
        let counts: &[usize] = match builtin {
            Builtin::Min | Builtin::Max | Builtin::GlobMatches | Builtin::Evidence => &[2],
            Builtin::GlobLookup => &[2, 3],
            _ => &[1],
        };
        if !self.count(at, name, args.len(), counts) {
            return poison();
        }
        match builtin {
            Builtin::GlobMatches => {
                let irs =
                    args.iter().map(|arg| self.wanted(arg, present, &Type::String, "the argument of `glob.matches`"));
                let irs = irs.collect();
                return (Ir::Call(builtin, irs), Type::Bool);
            }
            Builtin::Evidence => {
                let [label, value] = args else { return poison() };
                let label = self.wanted(label, present, &Type::String, "the label");
                let (value, _) = self.perhaps(value, present);
                return (Ir::Call(builtin, vec![label, value]), Type::object("Evidence"));
            }
            _ => {}
        }
        let mut typed = Vec::new();
        for arg in args {
            typed.push(self.expr(arg, present));
        }
        let types: Vec<Type> = typed.iter().map(|(_, ty)| ty.clone()).collect();
        let irs: Vec<Ir> = typed.into_iter().map(|(ir, _)| ir).collect();
        if types.contains(&Type::Nothing) {
            return poison();
        }
        // What is written as a literal is read now.
        if let (Some(Ir::Const(Value::Str(literal))), Builtin::ToTimestamp | Builtin::ToDuration) =
            (irs.first(), builtin)
        {
            let read = if builtin == Builtin::ToDuration {
                text::read_duration(literal).map(|d| (Value::Duration(d), Type::Duration))
            } else {
                super::literal::read_timestamp(literal).map(|t| (Value::Timestamp(t), Type::Timestamp))
            };
            return match read {
                Ok((value, ty)) => (Ir::Const(value), ty),
                Err(why) => self.mistake(at, why, "correct the text"),
            };
        }
        let result = match (builtin, types.as_slice()) {
            (Builtin::Size, [Type::List(_) | Type::Map(_) | Type::String]) => Some(Type::Int),
            (
                Builtin::ToText,
                [Type::Bool | Type::Int | Type::Double | Type::String | Type::Timestamp | Type::Duration],
            ) => Some(Type::String),
            (Builtin::ToInt, [Type::Int | Type::Double | Type::String]) => Some(Type::Int),
            (Builtin::ToDouble, [Type::Int | Type::Double | Type::String]) => Some(Type::Double),
            (Builtin::ToTimestamp, [Type::String]) => Some(Type::Timestamp),
            (Builtin::ToDuration, [Type::String]) => Some(Type::Duration),
            (Builtin::Min | Builtin::Max, [a, b]) if a == b && ordered(a) => Some(a.clone()),
            (Builtin::GlobLookup, [Type::Map(of), Type::String]) => Some(of.as_ref().clone()),
            (Builtin::GlobLookup, [Type::Map(of), Type::String, other]) => of.join(other),
            _ => None,
        };
        match result {
            Some(ty) => (Ir::Call(builtin, irs), ty),
            None => {
                let list: Vec<String> = types.iter().map(ToString::to_string).collect();
                let how =
                    BUILTINS.iter().find(|(known, _, _)| *known == name).map(|(_, _, doc)| *doc).unwrap_or_default();
                self.mistake(at, format!("`{name}` does not apply to {}", list.join(", ")), how)
            }
        }
    }
}

/// The language's functions that are called without a receiver.
const FREE: [Builtin; 11] = [
    Builtin::Size,
    Builtin::Min,
    Builtin::Max,
    Builtin::ToText,
    Builtin::ToInt,
    Builtin::ToDouble,
    Builtin::ToTimestamp,
    Builtin::ToDuration,
    Builtin::GlobMatches,
    Builtin::GlobLookup,
    Builtin::Evidence,
];

/// What a built-in method gives on a receiver of this type; `None` where there is no such method.
fn method_result(builtin: Builtin, receiver: &Type) -> Option<Type> {
    Some(match (builtin, receiver) {
        (Builtin::Size, Type::List(_) | Type::Map(_) | Type::String) => Type::Int,
        (Builtin::Contains | Builtin::StartsWith | Builtin::EndsWith | Builtin::MatchesParam, Type::String) => {
            Type::Bool
        }
        (Builtin::LowerAscii | Builtin::UpperAscii | Builtin::Trim, Type::String) => Type::String,
        (Builtin::Split, Type::String) => Type::list(Type::String),
        (Builtin::Join, Type::List(of)) if of.fits(&Type::String) => Type::String,
        (Builtin::Distinct, Type::List(of)) if comparable(of) => receiver.clone(),
        (Builtin::Flatten, Type::List(of)) if matches!(**of, Type::List(_)) => of.as_ref().clone(),
        (Builtin::Min | Builtin::Max, Type::List(of)) if ordered(of) => of.as_ref().clone(),
        (Builtin::Keys, Type::Map(_)) => Type::list(Type::String),
        _ => return None,
    })
}

/// Whether `==` means something.
fn comparable(ty: &Type) -> bool {
    match ty {
        Type::Object(_) | Type::Regex | Type::Json => false,
        Type::List(of) | Type::Map(of) | Type::Optional(of) => comparable(of),
        _ => true,
    }
}

fn ordered(ty: &Type) -> bool {
    matches!(ty, Type::Int | Type::Double | Type::String | Type::Timestamp | Type::Duration)
}

fn without(present: &Present, path: Option<String>) -> Present {
    let mut rest = present.clone();
    if let Some(path) = path {
        rest.remove(&path);
    }
    rest
}

fn has_namespace(schema: &Schema, space: &str) -> bool {
    let names = schema.functions().iter().filter(|f| f.receiver.is_none()).map(|f| f.name.as_ref());
    names
        .chain(BUILTINS.iter().map(|(name, _, _)| *name))
        .any(|name| name.split_once('.').is_some_and(|(s, _)| s == space))
}

/// How to make one type of the other, in words.
fn convert(from: &Type, to: &Type) -> String {
    match (from, to) {
        (Type::Int, Type::String) | (Type::String, Type::Int) => {
            "write the number in quotes, or convert with `string(…)` or `int(…)`".to_owned()
        }
        (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
            "write the number as in `1.0`, or convert with `double(…)`".to_owned()
        }
        (Type::List(_), Type::Bool) => "ask with `exists`, `all` or `size() > 0`".to_owned(),
        _ => format!("give {to}"),
    }
}
