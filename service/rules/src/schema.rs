//! Which objects, fields and functions a rule may name, with their types and documentation.
//!
//! The schema is declared by whoever owns the facts; the checker resolves names against it once, at
//! load. Refuses to know where the facts come from.

use super::value::Value;
use crate::verdict::SubjectKind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Every subject kind, in the order of the documentation.
pub(super) const SUBJECTS: [SubjectKind; 7] = [
    SubjectKind::Role,
    SubjectKind::Policy,
    SubjectKind::Association,
    SubjectKind::Session,
    SubjectKind::Cluster,
    SubjectKind::Account,
    SubjectKind::Change,
];

/// A type of the rule language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A 64-bit whole number; overflow is an error.
    Int,
    /// A 64-bit floating point number.
    Double,
    /// Text.
    String,
    /// A moment.
    Timestamp,
    /// A span of time.
    Duration,
    /// A list.
    List(Arc<Type>),
    /// A map by text.
    Map(Arc<Type>),
    /// An object of the schema, by name.
    Object(Arc<str>),
    /// Perhaps absent: must be guarded with `has(…)` or `!= null` before use.
    Optional(Arc<Type>),
    /// A compiled pattern (a parameter of type `regex`).
    Regex,
    /// JSON that may be passed on and not looked into.
    Json,
    /// The type of `null`.
    Null,
    /// The type of the elements of `[]`: fits every type.
    Nothing,
}

impl Type {
    /// A list of this.
    #[must_use]
    pub fn list(of: Type) -> Self {
        Self::List(Arc::new(of))
    }

    /// A map of this, by text.
    #[must_use]
    pub fn map(of: Type) -> Self {
        Self::Map(Arc::new(of))
    }

    /// An object of the schema.
    #[must_use]
    pub fn object(name: &str) -> Self {
        Self::Object(name.into())
    }

    /// Perhaps absent.
    #[must_use]
    pub fn optional(of: Type) -> Self {
        match of {
            Self::Optional(_) | Self::Null => of,
            of => Self::Optional(Arc::new(of)),
        }
    }

    /// Whether a value of this type may be given where `wanted` is asked for.
    pub(super) fn fits(&self, wanted: &Type) -> bool {
        match (self, wanted) {
            (Self::Nothing, _) => true,
            (Self::Null, Self::Optional(_)) => true,
            (Self::Optional(a), Self::Optional(b)) => a.fits(b),
            (a, Self::Optional(b)) => a.fits(b),
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (a, b) => a == b,
        }
    }

    /// The type that holds both, if one does.
    pub(super) fn join(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Self::Nothing, t) | (t, Self::Nothing) => Some(t.clone()),
            (Self::Null, t) | (t, Self::Null) => Some(Type::optional(t.clone())),
            (Self::Optional(a), Self::Optional(b)) => a.join(b).map(Type::optional),
            (Self::Optional(a), b) | (b, Self::Optional(a)) => a.join(b).map(Type::optional),
            (Self::List(a), Self::List(b)) => a.join(b).map(Type::list),
            (Self::Map(a), Self::Map(b)) => a.join(b).map(Type::map),
            _ => None,
        }
    }

    fn objects<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Self::Object(name) => into.push(name),
            Self::List(of) | Self::Map(of) | Self::Optional(of) => of.objects(into),
            _ => {}
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(of) => write!(f, "map({of})"),
            Self::Object(name) => f.write_str(name),
            Self::Optional(of) => write!(f, "optional({of})"),
            Self::Regex => f.write_str("regex"),
            Self::Json => f.write_str("json"),
            Self::Null => f.write_str("null"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// A field of an object.
#[derive(Debug, Clone)]
pub struct Field {
    /// As rules write it.
    pub name: Arc<str>,
    /// Its type; `Optional` where it may be absent.
    pub ty: Type,
    /// What it says, in one sentence.
    pub doc: String,
    /// What a test fixture has that does not state it. Without one: `null` for optional fields,
    /// empty for lists and maps, and *not known* for everything else.
    pub fixture: Option<Value>,
}

/// A type of objects. Declare fields in the order in which [`super::Object::get`] counts them.
#[derive(Debug, Clone)]
pub struct ObjectType {
    /// As types write it, in upper camel case: `Role`.
    pub name: Arc<str>,
    /// What it is, in one sentence.
    pub doc: String,
    /// Its fields; the place in this list is the index that `get` is asked for.
    pub fields: Vec<Field>,
}

impl ObjectType {
    /// A type without fields yet.
    #[must_use]
    pub fn new(name: &str, doc: &str) -> Self {
        Self { name: name.into(), doc: doc.to_owned(), fields: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, ty: Type, doc: &str) -> Self {
        self.fields.push(Field { name: name.into(), ty, doc: doc.to_owned(), fixture: None });
        self
    }

    /// Adds a field with what a fixture has that does not state it.
    #[must_use]
    pub fn field_with(mut self, name: &str, ty: Type, doc: &str, fixture: impl Into<Value>) -> Self {
        self.fields.push(Field { name: name.into(), ty, doc: doc.to_owned(), fixture: Some(fixture.into()) });
        self
    }

    /// The index and declaration of a field.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name.as_ref() == name)
    }
}

/// The code of a function: arguments as declared, the receiver first, none of them unknown.
pub type Native = Arc<dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync>;

/// A function that the owner of the facts offers.
///
/// It is called only with arguments that are known (though objects may have unknown fields and lists
/// may be partial); an unknown argument makes the result unknown without a call. `Err` makes the
/// rule's outcome an error.
#[derive(Clone)]
pub struct Function {
    /// `allows` for a method, `iam.grants` or `distance` for a free function.
    pub name: Arc<str>,
    /// The type it is called on, for methods.
    pub receiver: Option<Type>,
    /// Names and types of the other arguments.
    pub params: Vec<(Arc<str>, Type)>,
    /// The result's type.
    pub result: Type,
    /// What it says, in one sentence.
    pub doc: String,
    pub(super) native: Native,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.signature())
    }
}

impl Function {
    /// A free function, such as `iam.grants(association)`.
    #[must_use]
    pub fn free(
        name: &str,
        params: &[(&str, Type)],
        result: Type,
        doc: &str,
        native: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            receiver: None,
            params: params.iter().map(|(name, ty)| (Arc::from(*name), ty.clone())).collect(),
            result,
            doc: doc.to_owned(),
            native: Arc::new(native),
        }
    }

    /// A method, such as `trust.allows(arn)`. A fixture object answers it by a key of the same name
    /// and an empty pair of brackets: `{"allows()": true}`.
    #[must_use]
    pub fn method(
        receiver: Type,
        name: &str,
        params: &[(&str, Type)],
        result: Type,
        doc: &str,
        native: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Self { receiver: Some(receiver), ..Self::free(name, params, result, doc, native) }
    }

    /// As the documentation prints it: `Trust.allows(arn: string) -> bool`.
    #[must_use]
    pub fn signature(&self) -> String {
        let params: Vec<String> = self.params.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        let receiver = self.receiver.as_ref().map(|ty| format!("{ty}.")).unwrap_or_default();
        format!("{receiver}{}({}) -> {}", self.name, params.join(", "), self.result)
    }
}

/// A declaration that does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema: {0}")]
pub struct SchemaError(String);

/// How the schema declares evidence. `Object for Evidence` gives the fields in this order.
fn evidence_type() -> ObjectType {
    ObjectType::new("Evidence", "A statement or fact that decided.")
        .field_with("label", Type::String, "What it shows, in a few words.", "evidence")
        .field_with("source", Type::String, "How people call the document it stands in.", "fixture")
        .field_with("pointer", Type::String, "RFC 6901 pointer into the document.", "")
        .field("document", Type::optional(Type::String), "Digest of the document.")
        .field_with("value", Type::Json, "The statement itself, as JSON.", Value::Null)
}

/// Everything that a rule may name.
#[derive(Debug, Clone)]
pub struct Schema {
    objects: Vec<ObjectType>,
    by_name: BTreeMap<Arc<str>, usize>,
    functions: Vec<Function>,
    subjects: BTreeMap<SubjectKind, Arc<str>>,
}

impl Schema {
    /// An empty declaration. The object `Evidence` is there from the start.
    #[must_use]
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder { objects: vec![evidence_type()], functions: Vec::new(), subjects: BTreeMap::new() }
    }

    /// Every object type.
    #[must_use]
    pub fn objects(&self) -> &[ObjectType] {
        &self.objects
    }

    /// An object type by name.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&ObjectType> {
        self.by_name.get(name).and_then(|index| self.objects.get(*index))
    }

    /// Every function of the schema, without the language's own.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The object type that stands for a kind of subject; its variable has the kind's name.
    #[must_use]
    pub fn subject(&self, kind: SubjectKind) -> Option<&ObjectType> {
        self.subjects.get(&kind).and_then(|name| self.object(name))
    }
}

/// Builds a [`Schema`].
#[derive(Debug, Clone)]
pub struct SchemaBuilder {
    objects: Vec<ObjectType>,
    functions: Vec<Function>,
    subjects: BTreeMap<SubjectKind, Arc<str>>,
}

impl SchemaBuilder {
    /// Adds an object type.
    #[must_use]
    pub fn object(mut self, object: ObjectType) -> Self {
        self.objects.push(object);
        self
    }

    /// Adds a function or method. Methods of one name may differ by receiver.
    #[must_use]
    pub fn function(mut self, function: Function) -> Self {
        self.functions.push(function);
        self
    }

    /// Says which object type stands for a kind of subject.
    #[must_use]
    pub fn subject(mut self, kind: SubjectKind, object: &str) -> Self {
        self.subjects.insert(kind, object.into());
        self
    }

    /// Checks the declarations against each other.
    ///
    /// # Errors
    /// A name declared twice, or a type that nobody declares.
    pub fn build(self) -> Result<Schema, SchemaError> {
        let mut by_name = BTreeMap::new();
        for (index, object) in self.objects.iter().enumerate() {
            if by_name.insert(Arc::clone(&object.name), index).is_some() {
                return Err(SchemaError(format!("object `{}` is declared twice", object.name)));
            }
        }
        let known = |ty: &Type, place: String| {
            let mut names = Vec::new();
            ty.objects(&mut names);
            match names.into_iter().find(|name| !by_name.contains_key(*name)) {
                Some(name) => Err(SchemaError(format!("{place} has type `{name}`, which is not declared"))),
                None => Ok(()),
            }
        };
        for object in &self.objects {
            let mut names = BTreeSet::new();
            for field in &object.fields {
                if !names.insert(&field.name) {
                    return Err(SchemaError(format!("field `{}.{}` is declared twice", object.name, field.name)));
                }
                known(&field.ty, format!("field `{}.{}`", object.name, field.name))?;
            }
        }
        let mut seen = BTreeSet::new();
        for function in &self.functions {
            let place = format!("function `{}`", function.name);
            for ty in function.params.iter().map(|(_, ty)| ty).chain(&function.receiver).chain([&function.result]) {
                known(ty, place.clone())?;
            }
            let key = (Arc::clone(&function.name), function.receiver.as_ref().map(ToString::to_string));
            if !seen.insert(key) {
                return Err(SchemaError(format!("{place} is declared twice")));
            }
        }
        for (kind, name) in &self.subjects {
            known(&Type::Object(Arc::clone(name)), format!("subject `{}`", kind.as_str()))?;
        }
        Ok(Schema { objects: self.objects, by_name, functions: self.functions, subjects: self.subjects })
    }
}
