//! Commands and code of a remediation: templates in rule files, and their text once values are put in.
//!
//! `{{role_name}}` stands for a value of the finding. A known value is quoted for the language it is put into; one
//! that is not known becomes a variable of that language, with a comment that says what it is. So no value of AWS or
//! Kubernetes can become a command. Refuses to know where values come from.

use super::text::closest;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

rolecall_iam::vocabulary! {
    /// What a snippet is for.
    pub enum Tool: "a tool" {
        /// A shell with the AWS CLI.
        AwsCli = "aws_cli",
        /// A shell with kubectl.
        Kubectl = "kubectl",
        /// Terraform.
        Terraform = "terraform",
        /// A CloudFormation template, as YAML.
        CloudFormation = "cloudformation",
    }
}

impl Tool {
    /// Its name, as people write it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AwsCli => "AWS CLI",
            Self::Kubectl => "kubectl",
            Self::Terraform => "Terraform",
            Self::CloudFormation => "CloudFormation",
        }
    }

    /// A value as one word of the language, whatever is in it.
    #[must_use]
    pub fn quote(self, value: &str) -> String {
        match self {
            Self::AwsCli | Self::Kubectl => shell(value),
            Self::Terraform => hcl(value),
            Self::CloudFormation => serde_json::Value::from(value).to_string(),
        }
    }

    fn variable(self, name: &str) -> String {
        match self {
            Self::AwsCli | Self::Kubectl => format!("\"${name}\""),
            Self::Terraform => format!("var.{name}"),
            Self::CloudFormation => format!("!Ref {}", camel(name)),
        }
    }

    fn declared(self, name: &str, doc: &str) -> String {
        match self {
            Self::AwsCli | Self::Kubectl => format!("{name}=''  # {doc}"),
            Self::Terraform => format!("# var.{name}: {doc}"),
            Self::CloudFormation => format!("# Parameter {}: {doc}", camel(name)),
        }
    }
}

/// The values that a template may name, each with what it is.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("access_key_id", "the access key id of the session"),
    ("account_id", "the account of the finding's subject"),
    ("association_id", "the id of the association, such as a-0123456789abcdef0"),
    ("cluster_arn", "the ARN of the cluster"),
    ("cluster_name", "the name of the cluster"),
    ("event_id", "the id of the CloudTrail event"),
    ("external_id", "the external id that EKS made for the association"),
    ("namespace", "the Kubernetes namespace"),
    ("new_service_account", "a name for the workload's own service account"),
    ("oidc_subject_key", "the condition key of the subject: the issuer and `:sub`"),
    ("principal_arn", "the IAM principal of the access entry"),
    ("region", "the Region of the finding's subject"),
    ("role_arn", "the ARN of the role"),
    ("role_name", "the name of the role"),
    ("service_account", "the Kubernetes service account"),
    ("target_role_arn", "the ARN of the target role"),
    ("target_role_name", "the name of the target role"),
    ("trail_arn", "the ARN of the trail"),
];

/// A template of a command or of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Template(String);

/// The pieces of a template: text, or the name of a value.
enum Piece<'a> {
    Text(&'a str),
    Value(&'a str),
}

impl Template {
    /// A template.
    ///
    /// # Errors
    /// It names a value that there is not, with the nearest one that there is.
    pub fn new(text: &str) -> Result<Self, (String, String)> {
        for piece in pieces(text) {
            let Piece::Value(name) = piece else { continue };
            let names = || PLACEHOLDERS.iter().map(|(name, _)| *name);
            if !names().any(|known| known == name) {
                let remedy = closest(name, names()).map_or_else(
                    || format!("choose one of {}", names().collect::<Vec<_>>().join(", ")),
                    |near| format!("write `{{{{{near}}}}}`"),
                );
                return Err((format!("there is no value `{name}`"), remedy));
            }
        }
        Ok(Self(text.trim_end().to_owned()))
    }

    /// The text as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with values put in.
    #[must_use]
    pub fn fill(&self, tool: Tool, values: &BTreeMap<&'static str, String>) -> String {
        let mut body = String::new();
        let mut open: BTreeMap<&str, &str> = BTreeMap::new();
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => body.push_str(text),
                Piece::Value(name) => match values.get(name) {
                    Some(value) => {
                        // A value that looks like an option is given to the one before it.
                        if matches!(tool, Tool::AwsCli | Tool::Kubectl) && value.starts_with('-') && body.ends_with(' ')
                        {
                            body.pop();
                            body.push('=');
                        }
                        body.push_str(&tool.quote(value));
                    }
                    None => {
                        let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
                        if let Some((name, doc)) = known {
                            open.insert(name, doc);
                            body.push_str(&tool.variable(name));
                        }
                    }
                },
            }
        }
        let declared: Vec<String> = open.iter().map(|(name, doc)| format!("{}\n", tool.declared(name, doc))).collect();
        format!("{}{body}", declared.concat())
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, next)) = after.split_once("}}") else { break };
        out.extend([Piece::Text(before), Piece::Value(name.trim())]);
        rest = next;
    }
    out.push(Piece::Text(rest));
    out
}

/// A word of a POSIX shell: as it is where nothing in it is special, in single quotes otherwise.
fn shell(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=,@+".contains(&b);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// A string of HCL, without templates in it.
fn hcl(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
    no_templates(&out).into_owned()
}

/// HCL text in which `${` and `%{` stand for themselves.
#[must_use]
pub fn no_templates(text: &str) -> Cow<'_, str> {
    if text.contains("${") || text.contains("%{") {
        return text.replace("${", "$${").replace("%{", "%%{").into();
    }
    text.into()
}

fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(tool: Tool, text: &str, role: Option<&str>) -> String {
        let values = role.map(|role| ("role_name", role.to_owned())).into_iter().collect();
        Template::new(text).unwrap().fill(tool, &values)
    }

    #[test]
    fn values_are_quoted_for_the_language_and_unknown_ones_become_variables() {
        let cli = "aws iam get-role --role-name {{role_name}}";
        for (tool, text, role, expected) in [
            (Tool::AwsCli, cli, Some("api"), "aws iam get-role --role-name api"),
            (Tool::AwsCli, cli, Some("a b"), "aws iam get-role --role-name 'a b'"),
            (Tool::AwsCli, cli, Some("$(id)`id`\"'"), "aws iam get-role --role-name '$(id)`id`\"'\\'''"),
            (Tool::AwsCli, cli, Some("a\nrm -r x"), "aws iam get-role --role-name 'a\nrm -r x'"),
            (Tool::AwsCli, cli, Some("-x"), "aws iam get-role --role-name=-x"),
            (Tool::AwsCli, cli, Some(""), "aws iam get-role --role-name ''"),
            (
                Tool::AwsCli,
                cli,
                None,
                "role_name=''  # the name of the role\naws iam get-role --role-name \"$role_name\"",
            ),
            (Tool::Terraform, "role = {{role_name}}", Some("a\"${x}%{y}\n\\"), "role = \"a\\\"$${x}%%{y}\\n\\\\\""),
            (
                Tool::Terraform,
                "role = {{ role_name }}",
                None,
                "# var.role_name: the name of the role\nrole = var.role_name",
            ),
            (Tool::CloudFormation, "RoleName: {{role_name}}", Some("a\"b"), "RoleName: \"a\\\"b\""),
            (
                Tool::CloudFormation,
                "RoleName: {{role_name}}",
                None,
                "# Parameter RoleName: the name of the role\nRoleName: !Ref RoleName",
            ),
        ] {
            assert_eq!(fill(tool, text, role), expected);
        }
    }

    #[test]
    fn a_value_that_there_is_not_is_refused_with_the_nearest() {
        let (message, remedy) = Template::new("--role-name {{rolename}}").unwrap_err();
        assert_eq!((message.as_str(), remedy.as_str()), ("there is no value `rolename`", "write `{{role_name}}`"));
        assert!(Template::new("{{x}}").unwrap_err().1.contains("role_arn"));
        assert_eq!(Template::new("a {{ b").unwrap().as_str(), "a {{ b");
    }

    proptest! {
        /// What the quotes of a shell hold is the value, and nothing after it is left open.
        #[test]
        fn a_shell_reads_one_word(value in any::<String>()) {
            let quoted = shell(&value);
            let read = match quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
                Some(inner) => {
                    let parts: Vec<&str> = inner.split(r"'\''").collect();
                    prop_assert!(parts.iter().all(|part| !part.contains('\'')), "{}", quoted);
                    parts.join("'")
                }
                None => {
                    prop_assert!(!quoted.contains(|c: char| " \t\n$`\"'\\;&|<>()*?[]{}!#~".contains(c)), "{}", quoted);
                    quoted.clone()
                }
            };
            prop_assert_eq!(read, value);
        }
    }
}
