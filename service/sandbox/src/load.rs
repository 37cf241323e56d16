//! Estates as folders: reading and writing them.
//!
//! The layout, every file in the form in which the AWS CLI prints the answer it is named after:
//!
//! ```text
//! accounts.json                                 {"organization", "management", "hub", "accounts": [{"id", "name"}]}
//! iam/ACCOUNT/gaad.json                         GetAccountAuthorizationDetails
//! iam/ACCOUNT/oidc_providers.json               {"OpenIDConnectProviderList": [{"Arn", "ClientIDList", "ThumbprintList"}]}
//! eks/ACCOUNT/REGION/clusters.json              {"clusters": [DescribeCluster.cluster]}
//! eks/ACCOUNT/REGION/pod_identity_associations.json  {"associations": [DescribePodIdentityAssociation.association]}
//! eks/ACCOUNT/REGION/addons.json                {"addons": [DescribeAddon.addon]}
//! eks/ACCOUNT/REGION/access_entries.json        {"accessEntries": [DescribeAccessEntry.accessEntry + associatedAccessPolicies]}
//! cloudtrail/ACCOUNT/trails.json                {"trails": [DescribeTrails.trail + EventSelectors or AdvancedEventSelectors]}
//! trail/AWSLogs/ACCOUNT/CloudTrail/REGION/Y/M/D/*.json[.gz]   {"Records": []}
//! organizations/tree.json                       {"organization", "roots", "units", "accounts"}; units and accounts with ParentId
//! organizations/policies.json                   {"policies": [DescribePolicy.policy + Targets]}
//! ```
//!
//! All but `accounts.json` may be absent. Refuses to know what the objects mean.

use crate::estate::{Account, Cluster, Estate, Event, Member, OrgPolicy, Organization, Unit, text};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a folder is not an estate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file or folder could not be read or written.
    #[error("{}: it cannot be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("{}: it is not JSON", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file is JSON, but not of the form that its name promises.
    #[error("{}: `{field}` is missing or of another form; {remedy}", path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// The member.
        field: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> LoadError + '_ {
    move |source| LoadError::Io { path: path.to_owned(), source }
}

/// A JSON file, gzipped or not; `None` where there is none.
fn json(path: &Path) -> Result<Option<Value>, LoadError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path)(error)),
    };
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).map_err(io_error(path))?;
        plain
    } else {
        bytes
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| LoadError::Json { path: path.to_owned(), source })
}

/// The list that a file holds under a name; empty where there is no file.
fn list(path: &Path, field: &'static str) -> Result<Vec<Value>, LoadError> {
    let Some(mut value) = json(path)? else { return Ok(Vec::new()) };
    match value.get_mut(field).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(LoadError::Shape { path: path.to_owned(), field, remedy: "a list of that name is needed" }),
    }
}

/// The folders in a folder, by name; none where there is no folder.
fn folders(path: &Path) -> Result<Vec<String>, LoadError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error(path))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn files_below(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    for entry in fs::read_dir(path).map_err(io_error(path))? {
        let path = entry.map_err(io_error(path))?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else if path.to_string_lossy().ends_with(".json") || path.to_string_lossy().ends_with(".json.gz") {
            found.push(path);
        }
    }
    Ok(())
}

impl Estate {
    /// Reads a folder in the layout that this module's documentation shows.
    ///
    /// # Errors
    /// The first file that cannot be read, is no JSON, or has another form.
    pub fn from_dir(path: &Path) -> Result<Self, LoadError> {
        let index = path.join("accounts.json");
        let accounts = json(&index)?;
        let shape = |field, remedy| LoadError::Shape { path: index.clone(), field, remedy };
        let accounts = accounts.ok_or_else(|| shape("accounts", "the folder needs an `accounts.json`"))?;
        let listed = accounts.get("accounts").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| shape("accounts", "a list of that name is needed"))?;
        let mut estate = Self::default();
        for account in listed {
            let id = text(account, "id");
            if id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(shape("accounts.id", "each account needs an `id` of twelve digits"));
            }
            estate.accounts.insert(id.to_owned(), self::account(path, id, text(account, "name"))?);
        }
        let first = listed.first().map(|a| text(a, "id")).unwrap_or_default();
        let or = |value: &str, other: &str| if value.is_empty() { other.to_owned() } else { value.to_owned() };
        let management = or(text(&accounts, "management"), first);
        estate.organization = organization(path)?;
        let id = text(&accounts, "organization");
        if estate.organization.is_none() && !id.is_empty() {
            // Only its id is told: all accounts hang on the root.
            let root = "r-root".to_owned();
            let members = estate.accounts.iter().map(|(id, account)| Member {
                id: id.clone(),
                name: account.name.clone(),
                status: "ACTIVE".to_owned(),
                parent: root.clone(),
            });
            let members = members.collect();
            let id = id.to_owned();
            estate.organization =
                Some(Organization { id, management: management.clone(), root, members, ..Default::default() });
        }
        let hub = estate.organization.as_ref().map_or(management, |o| o.management.clone());
        estate.hub = or(text(&accounts, "hub"), &hub);
        Ok(estate)
    }

    /// Writes the estate as such a folder. Files that are there are overwritten, none is deleted.
    ///
    /// # Errors
    /// The first file that cannot be written.
    pub fn to_dir(&self, path: &Path) -> Result<(), LoadError> {
        let accounts: Vec<Value> =
            self.accounts.iter().map(|(id, account)| json!({"id": id, "name": account.name})).collect();
        let mut index = json!({"accounts": accounts, "hub": self.hub});
        if let (Some(organization), Some(map)) = (&self.organization, index.as_object_mut()) {
            map.insert("organization".to_owned(), json!(organization.id));
            map.insert("management".to_owned(), json!(organization.management));
            write_organization(organization, &path.join("organizations"))?;
        }
        write(&path.join("accounts.json"), &index)?;
        for (id, account) in &self.accounts {
            write_account(path, id, account)?;
        }
        Ok(())
    }
}

fn account(path: &Path, id: &str, name: &str) -> Result<Account, LoadError> {
    let gaad = path.join("iam").join(id).join("gaad.json");
    let mut account = Account {
        name: name.to_owned(),
        oidc_providers: list(&path.join("iam").join(id).join("oidc_providers.json"), "OpenIDConnectProviderList")?,
        trails: list(&path.join("cloudtrail").join(id).join("trails.json"), "trails")?,
        ..Account::default()
    };
    if gaad.exists() {
        account.users = list(&gaad, "UserDetailList")?;
        account.groups = list(&gaad, "GroupDetailList")?;
        account.roles = list(&gaad, "RoleDetailList")?;
        account.policies = list(&gaad, "Policies")?;
    }
    for detail in
        account.users.iter_mut().chain(&mut account.groups).chain(&mut account.roles).chain(&mut account.policies)
    {
        decode_documents(detail);
    }
    for region in folders(&path.join("eks").join(id))? {
        let folder = path.join("eks").join(id).join(&region);
        let associations = list(&folder.join("pod_identity_associations.json"), "associations")?;
        let addons = list(&folder.join("addons.json"), "addons")?;
        let entries = list(&folder.join("access_entries.json"), "accessEntries")?;
        let of = |items: &[Value], cluster: &Value| -> Vec<Value> {
            items.iter().filter(|i| text(i, "clusterName") == text(cluster, "name")).cloned().collect()
        };
        for detail in list(&folder.join("clusters.json"), "clusters")? {
            let cluster = Cluster {
                associations: of(&associations, &detail),
                addons: of(&addons, &detail),
                access_entries: of(&entries, &detail),
                detail,
            };
            account.region(&region).clusters.push(cluster);
        }
    }
    let trail = path.join("trail").join("AWSLogs").join(id).join("CloudTrail");
    for region in folders(&trail)? {
        let mut files = Vec::new();
        files_below(&trail.join(&region), &mut files)?;
        files.sort();
        for file in files {
            let events = list(&file, "Records")?;
            account.region(&region).events.extend(events.iter().filter_map(Event::of_record).map(Arc::new));
        }
    }
    Ok(account)
}

/// Documents that a file holds URL-encoded are held decoded, since the wire encodes them again.
fn decode_documents(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match member {
                    Value::String(text) if crate::wire::is_document(key) && text.starts_with("%7B") => {
                        *text = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
                    }
                    member => decode_documents(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(decode_documents),
        _ => {}
    }
}

fn organization(path: &Path) -> Result<Option<Organization>, LoadError> {
    let file = path.join("organizations").join("tree.json");
    let Some(tree) = json(&file)? else { return Ok(None) };
    let about = tree.get("organization").unwrap_or(&Value::Null);
    let items = |field: &str| tree.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(root) = items("roots").first() else {
        return Err(LoadError::Shape { path: file, field: "roots", remedy: "a root with its `Id` is needed" });
    };
    let own = |value: &Value, key: &str| text(value, key).to_owned();
    let mut organization = Organization {
        id: own(about, "Id"),
        management: own(about, "MasterAccountId"),
        root: own(root, "Id"),
        ..Organization::default()
    };
    for unit in items("units") {
        organization.units.push(Unit { id: own(unit, "Id"), name: own(unit, "Name"), parent: own(unit, "ParentId") });
    }
    for member in items("accounts") {
        let [id, name, status, parent] = ["Id", "Name", "Status", "ParentId"].map(|key| own(member, key));
        organization.members.push(Member { id, name, status, parent });
    }
    for policy in list(&path.join("organizations").join("policies.json"), "policies")? {
        let summary = policy.get("PolicySummary").unwrap_or(&Value::Null);
        let targets = policy.get("Targets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        organization.policies.push(OrgPolicy {
            id: own(summary, "Id"),
            name: own(summary, "Name"),
            kind: own(summary, "Type"),
            aws_managed: summary.get("AwsManaged").and_then(Value::as_bool).unwrap_or(false),
            content: policy.get("Content").map(crate::estate::document_text).unwrap_or_default(),
            targets: targets.iter().map(|t| own(t, "TargetId")).collect(),
        });
    }
    Ok(Some(organization))
}

fn write(path: &Path, value: &Value) -> Result<(), LoadError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
    }
    fs::write(path, format!("{value:#}\n")).map_err(io_error(path))
}

fn write_account(path: &Path, id: &str, account: &Account) -> Result<(), LoadError> {
    let iam = path.join("iam").join(id);
    write(
        &iam.join("gaad.json"),
        &json!({
            "UserDetailList": account.users, "GroupDetailList": account.groups, "RoleDetailList": account.roles,
            "Policies": account.policies, "IsTruncated": false,
        }),
    )?;
    write(&iam.join("oidc_providers.json"), &json!({"OpenIDConnectProviderList": account.oidc_providers}))?;
    write(&path.join("cloudtrail").join(id).join("trails.json"), &json!({"trails": account.trails}))?;
    for (name, region) in &account.regions {
        let folder = path.join("eks").join(id).join(name);
        let all =
            |of: fn(&Cluster) -> &Vec<Value>| -> Vec<Value> { region.clusters.iter().flat_map(of).cloned().collect() };
        let details: Vec<&Value> = region.clusters.iter().map(|c| &c.detail).collect();
        if !details.is_empty() {
            write(&folder.join("clusters.json"), &json!({"clusters": details}))?;
            write(&folder.join("pod_identity_associations.json"), &json!({"associations": all(|c| &c.associations)}))?;
            write(&folder.join("addons.json"), &json!({"addons": all(|c| &c.addons)}))?;
            write(&folder.join("access_entries.json"), &json!({"accessEntries": all(|c| &c.access_entries)}))?;
        }
        write_trail(
            &path.join("trail").join("AWSLogs").join(id).join("CloudTrail").join(name),
            id,
            name,
            &region.events,
        )?;
    }
    Ok(())
}

/// One gzipped file a day, as a trail's bucket holds them.
fn write_trail(folder: &Path, account: &str, region: &str, events: &[Arc<Event>]) -> Result<(), LoadError> {
    let mut days = std::collections::BTreeMap::<_, Vec<&Arc<Event>>>::new();
    for event in events {
        days.entry(event.time.date_naive()).or_default().push(event);
    }
    for (day, mut events) in days {
        events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        let tail = crate::ids::pod_suffix(&format!("{account}/{region}/{day}"), 16);
        let folder = folder.join(day.format("%Y/%m/%d").to_string());
        let file = folder.join(format!("{account}_CloudTrail_{region}_{}T2359Z_{tail}.json.gz", day.format("%Y%m%d")));
        let records: Vec<&str> = events.iter().map(|e| e.record.as_str()).collect();
        let body = format!("{{\"Records\":[{}]}}", records.join(","));
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let out = fs::File::create(&file).map_err(io_error(&file))?;
        let mut packer = flate2::write::GzEncoder::new(out, flate2::Compression::default());
        packer.write_all(body.as_bytes()).and_then(|()| packer.finish()).map_err(io_error(&file))?;
    }
    Ok(())
}

fn write_organization(organization: &Organization, folder: &Path) -> Result<(), LoadError> {
    let Organization { id, management, root, units, members, policies } = organization;
    let units: Vec<Value> = units.iter().map(|u| json!({"Id": u.id, "Name": u.name, "ParentId": u.parent})).collect();
    let members: Vec<Value> =
        members.iter().map(|m| json!({"Id": m.id, "Name": m.name, "Status": m.status, "ParentId": m.parent})).collect();
    write(
        &folder.join("tree.json"),
        &json!({
            "organization": {"Id": id, "MasterAccountId": management},
            "roots": [{"Id": root, "Name": "Root"}], "units": units, "accounts": members,
        }),
    )?;
    let policies: Vec<Value> = policies
        .iter()
        .map(|p| {
            let targets: Vec<Value> = p.targets.iter().map(|t| json!({"TargetId": t})).collect();
            json!({"PolicySummary": {"Id": p.id, "Name": p.name, "Type": p.kind, "AwsManaged": p.aws_managed},
                "Content": p.content, "Targets": targets})
        })
        .collect();
    write(&folder.join("policies.json"), &json!({"policies": policies}))
}
