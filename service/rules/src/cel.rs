//! The one place that knows the `cel` crate: its parser, and the tree that it gives.
//!
//! The tree is turned into our own [`Expr`] at once. Macros are not expanded, so that a comprehension
//! stays what the author wrote. The parser recurses deeply and may panic on odd input: it runs on a
//! thread of its own with a stack that the caps below cannot exhaust. Refuses to know types.

use cel::common::ast::{self, EntryExpr, LiteralValue, operators};
use std::cell::Cell;
use std::panic;
use std::thread;

/// An expression longer than this is refused, in bytes.
pub(super) const LONGEST: usize = 8 * 1024;
/// Brackets within brackets, at most.
const DEEPEST_BRACKETS: usize = 32;
/// Nodes on the way from the root to a leaf, at most: a chain of operators counts each.
const DEEPEST_TREE: usize = 256;
/// What 32 brackets and an 8 KiB chain of operators need in a debug build, several times over.
const STACK: usize = 64 * 1024 * 1024;

/// An expression, with the byte offset in its text that stands for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Ident(String),
    Select(Box<Expr>, String),
    Has(Box<Expr>, String),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Cond(Box<[Expr; 3]>),
    Compare(Comparison, Box<[Expr; 2]>),
    Arith(Arith, Box<[Expr; 2]>),
    In(Box<[Expr; 2]>),
    Index(Box<[Expr; 2]>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Each { how: Each, list: Box<Expr>, var: String, only: Option<Box<Expr>>, body: Box<Expr> },
    Call { target: Option<Box<Expr>>, name: String, args: Vec<Expr> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The comparison with its sides exchanged.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arith {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arith {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// The comprehensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    Exists,
    All,
    ExistsOne,
    Filter,
    Map,
}

/// What is wrong with an expression's text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Expr, Syntax> {
    if text.len() > LONGEST {
        return Err(Syntax {
            at: 0,
            message: format!("the expression has {} bytes; at most {LONGEST} are read", text.len()),
        });
    }
    if text.trim().is_empty() {
        return Err(Syntax { at: 0, message: "the expression is empty".to_owned() });
    }
    brackets(text)?;
    let gave_up = || Err(Syntax { at: 0, message: "the parser gave up on the expression".to_owned() });
    if ROOMY.get() {
        return panic::catch_unwind(|| parse_here(text)).unwrap_or_else(|_| gave_up());
    }
    thread::scope(|scope| {
        let parser = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse_here(text));
        match parser.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(_)) => gave_up(),
            Err(error) => Err(Syntax { at: 0, message: format!("the parser could not start: {error}") }),
        }
    })
}

thread_local! {
    /// Whether this thread has a stack for the parser.
    static ROOMY: Cell<bool> = const { Cell::new(false) };
}

/// Does work that parses many expressions, on one thread with a stack for all of them: a thread for each
/// costs more than to parse it. Where none can be had, each expression says so.
pub(super) fn with_room<T: Send>(work: impl Fn() -> T + Sync) -> T {
    thread::scope(|scope| {
        let roomy = || {
            ROOMY.set(true);
            work()
        };
        let worker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, roomy);
        worker.ok().and_then(|worker| worker.join().ok()).unwrap_or_else(&work)
    })
}

/// Refuses too many brackets within each other, before the parser meets them.
fn brackets(text: &str) -> Result<(), Syntax> {
    let mut depth = 0_usize;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if let Some(q) = quote {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == q || c == '\n' {
                quote = None;
            }
            continue;
        }
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => {
                depth += 1;
                if depth > DEEPEST_BRACKETS {
                    let message = format!("brackets stand more than {DEEPEST_BRACKETS} deep");
                    return Err(Syntax { at, message });
                }
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn parse_here(text: &str) -> Result<Expr, Syntax> {
    let parser = cel::Env::default().with_optional_support(false).parser();
    let (tree, source) = parser.parse_with_source_info(text).map_err(|errors| first_error(text, &errors))?;
    Reader { source: &source }.read(tree, 0)
}

fn first_error(text: &str, errors: &cel::ParseErrors) -> Syntax {
    let Some(error) = errors.errors.first() else {
        return Syntax { at: 0, message: "the expression cannot be read".to_owned() };
    };
    let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
    let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let message = error.msg.trim_start_matches("Syntax error: ");
    // The parser lists every token that could follow: true, long, and of no help.
    let message = message.split(" expecting {").next().unwrap_or(message);
    let message = match message.strip_prefix("token recognition error at: ") {
        Some(token) => format!("unexpected character {}", token.trim()),
        None if message.contains("'<EOF>'") => "the expression ends too early".to_owned(),
        None => message.to_owned(),
    };
    Syntax { at: (before + column - 1).min(text.len()), message }
}

struct Reader<'a> {
    source: &'a ast::SourceInfo,
}

impl Reader<'_> {
    fn at(&self, id: u64) -> usize {
        self.source.offset_for(id).and_then(|(start, _)| usize::try_from(start).ok()).unwrap_or(0)
    }

    fn boxed(&self, expr: ast::IdedExpr, depth: usize) -> Result<Box<Expr>, Syntax> {
        self.read(expr, depth).map(Box::new)
    }

    fn all(&self, list: Vec<ast::IdedExpr>, depth: usize) -> Result<Vec<Expr>, Syntax> {
        list.into_iter().map(|expr| self.read(expr, depth)).collect()
    }

    fn read(&self, expr: ast::IdedExpr, depth: usize) -> Result<Expr, Syntax> {
        let at = self.at(expr.id);
        if depth > DEEPEST_TREE {
            return Err(Syntax { at, message: format!("the expression is more than {DEEPEST_TREE} operators deep") });
        }
        let depth = depth + 1;
        let refuse = |message: &str| Err(Syntax { at, message: message.to_owned() });
        let kind = match expr.expr {
            ast::Expr::Literal(literal) => match literal {
                LiteralValue::Null => Kind::Null,
                LiteralValue::Boolean(b) => Kind::Bool(*b.inner()),
                LiteralValue::Int(n) => Kind::Int(*n.inner()),
                LiteralValue::Double(n) => Kind::Double(*n.inner()),
                LiteralValue::String(s) => Kind::Text(s.inner().to_owned()),
                LiteralValue::UInt(_) => return refuse("unsigned numbers are not supported; leave out the `u`"),
                LiteralValue::Bytes(_) => return refuse("bytes are not supported; leave out the `b`"),
            },
            ast::Expr::Ident(name) => Kind::Ident(name),
            ast::Expr::Select(select) => Kind::Select(self.boxed(*select.operand, depth)?, select.field),
            ast::Expr::List(list) => Kind::List(self.all(list.elements, depth)?),
            ast::Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in map.entries {
                    let EntryExpr::MapEntry(entry) = entry.expr else {
                        return refuse("messages are not supported");
                    };
                    entries.push((self.read(entry.key, depth)?, self.read(entry.value, depth)?));
                }
                Kind::Map(entries)
            }
            ast::Expr::Call(call) => return self.call(at, call, depth),
            ast::Expr::Struct(_) => return refuse("messages such as `Type{…}` are not supported"),
            ast::Expr::Comprehension(_) | ast::Expr::Unspecified => {
                return refuse("the expression cannot be read");
            }
        };
        // A selection is placed at its dot; the name after it is what people look for.
        let at = if matches!(kind, Kind::Select(..)) { at + 1 } else { at };
        Ok(Expr { at, kind })
    }

    fn call(&self, at: usize, call: ast::CallExpr, depth: usize) -> Result<Expr, Syntax> {
        let ast::CallExpr { func_name: name, target, args } = call;
        let refuse = |message: String| Err(Syntax { at, message });
        let count = args.len();
        let mut args = self.all(args, depth)?;
        let target = target.map(|target| self.read(*target, depth)).transpose()?;
        // A call is placed at its bracket: the name stands right before it.
        let named = at.saturating_sub(name.len());

        let kind = match (name.as_str(), target, count) {
            (operators::LOGICAL_AND, None, _) => Kind::And(args),
            (operators::LOGICAL_OR, None, _) => Kind::Or(args),
            (operators::LOGICAL_NOT, None, 1) => Kind::Not(Box::new(args.remove(0))),
            (operators::NEGATE, None, 1) => Kind::Negate(Box::new(args.remove(0))),
            (operators::CONDITIONAL, None, 3) => match <[Expr; 3]>::try_from(args) {
                Ok(three) => Kind::Cond(Box::new(three)),
                Err(_) => return refuse("the expression cannot be read".to_owned()),
            },
            ("has", None, _) => {
                let only = if count == 1 { args.pop() } else { None };
                match only.map(|arg| arg.kind) {
                    Some(Kind::Select(operand, field)) => {
                        return Ok(Expr { at: named, kind: Kind::Has(operand, field) });
                    }
                    _ => return refuse("has(…) takes a field, as in `has(role.boundary)`".to_owned()),
                }
            }
            (method, Some(target), 2 | 3) if each(method).is_some_and(|how| count == 2 || how == Each::Map) => {
                let how = each(method).unwrap_or(Each::Map);
                let body = args.pop().map(Box::new);
                let only = if count == 3 { args.pop().map(Box::new) } else { None };
                let (Some(Kind::Ident(var)), Some(body)) = (args.pop().map(|arg| arg.kind), body) else {
                    return refuse(format!("the first argument of `{method}` is a new name, as in `x.{method}(e, …)`"));
                };
                return Ok(Expr { at: named, kind: Kind::Each { how, list: Box::new(target), var, only, body } });
            }
            (method, Some(_), _) if each(method).is_some() => {
                return refuse(format!("`{method}` takes a name and an expression, as in `x.{method}(e, …)`"));
            }
            (_, None, 2) if binary(&name).is_some() => match (<[Expr; 2]>::try_from(args), binary(&name)) {
                (Ok(two), Some(make)) => make(Box::new(two)),
                _ => return refuse("the expression cannot be read".to_owned()),
            },
            (_, target, _) => {
                return Ok(Expr { at: named, kind: Kind::Call { target: target.map(Box::new), name, args } });
            }
        };
        Ok(Expr { at, kind })
    }
}

fn each(method: &str) -> Option<Each> {
    Some(match method {
        "exists" => Each::Exists,
        "all" => Each::All,
        "exists_one" | "existsOne" => Each::ExistsOne,
        "filter" => Each::Filter,
        "map" => Each::Map,
        _ => return None,
    })
}

type OfTwo = fn(Box<[Expr; 2]>) -> Kind;

fn binary(operator: &str) -> Option<OfTwo> {
    Some(match operator {
        operators::EQUALS => |two| Kind::Compare(Comparison::Equal, two),
        operators::NOT_EQUALS => |two| Kind::Compare(Comparison::NotEqual, two),
        operators::LESS => |two| Kind::Compare(Comparison::Less, two),
        operators::LESS_EQUALS => |two| Kind::Compare(Comparison::LessOrEqual, two),
        operators::GREATER => |two| Kind::Compare(Comparison::Greater, two),
        operators::GREATER_EQUALS => |two| Kind::Compare(Comparison::GreaterOrEqual, two),
        operators::ADD => |two| Kind::Arith(Arith::Add, two),
        operators::SUBSTRACT => |two| Kind::Arith(Arith::Subtract, two),
        operators::MULTIPLY => |two| Kind::Arith(Arith::Multiply, two),
        operators::DIVIDE => |two| Kind::Arith(Arith::Divide, two),
        operators::MODULO => |two| Kind::Arith(Arith::Modulo, two),
        operators::IN => Kind::In,
        operators::INDEX => Kind::Index,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        for (text, at, message) in [
            ("", 0, "the expression is empty"),
            ("a + ", 4, "the expression ends too early"),
            ("a $ b", 2, "unexpected character '$'"),
            ("1u", 0, "unsigned numbers are not supported; leave out the `u`"),
            ("a.B{c: 1}", 3, "messages such as `Type{…}` are not supported"),
            ("has(a)", 3, "has(…) takes a field, as in `has(role.boundary)`"),
            ("x.exists(y)", 8, "`exists` takes a name and an expression, as in `x.exists(e, …)`"),
            ("x.exists(1, y)", 8, "the first argument of `exists` is a new name, as in `x.exists(e, …)`"),
        ] {
            assert_eq!(parse(text), Err(Syntax { at, message: message.to_owned() }), "{text}");
        }
    }

    #[test]
    fn deep_and_long_expressions_neither_crash_nor_pass() {
        for n in [33, 300, 2000] {
            for text in [
                format!("{}a{}", "(".repeat(n), ")".repeat(n)),
                format!("{}a{}", "[".repeat(n), "]".repeat(n)),
                format!("{}a{}", "!(".repeat(n), ")".repeat(n)),
                "(".repeat(n),
            ] {
                assert!(parse(&text).unwrap_err().message.contains("brackets stand more than 32 deep"));
            }
        }
        assert!(parse(&format!("{}a{}", "(".repeat(32), ")".repeat(32))).is_ok());
        for text in ["1+".repeat(3000) + "1", format!("a{}", ".b".repeat(3000)), format!("a{}", "[0]".repeat(2500))] {
            assert!(parse(&text).unwrap_err().message.contains("operators deep"));
        }
        assert!(parse(&"a&&".repeat(5000)).unwrap_err().message.contains("at most 8192"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_crash(text in "[a-c0-9 .,()\\[\\]{}?:'\"!&|<>=+*/%-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
