//! With what kind of program a call was made, by its user agent and by what AWS says of the caller.
//!
//! Refuses to trust it: a user agent is the caller's own word.

use rolecall_estate::AgentClass;

/// What a record says of the caller's program.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Program<'e> {
    pub(crate) user_agent: Option<&'e str>,
    /// `userIdentity.invokedBy`.
    pub(crate) invoked_by: Option<&'e str>,
    /// `userIdentity.type` is `AWSService`, or the event is no call.
    pub(crate) is_service: bool,
    /// `sessionCredentialFromConsole`.
    pub(crate) from_console: bool,
}

/// What user agents hold, in lower case, most telling first: a program of its own is built with an SDK,
/// and names both.
const MARKS: [(&str, AgentClass); 31] = [
    ("cloudformation.amazonaws.com", AgentClass::CloudFormation),
    ("eksctl", AgentClass::Eksctl),
    ("terraform", AgentClass::Terraform),
    ("opentofu", AgentClass::Terraform),
    ("aws-controllers-k8s", AgentClass::Controller),
    ("services.k8s.aws", AgentClass::Controller),
    ("crossplane", AgentClass::Controller),
    ("upjet", AgentClass::Controller),
    ("cluster.x-k8s.io", AgentClass::Controller),
    ("cluster-api-provider-aws", AgentClass::Controller),
    ("karpenter", AgentClass::Controller),
    ("elbv2.k8s.aws", AgentClass::Controller),
    ("external-dns", AgentClass::Controller),
    ("cluster-autoscaler", AgentClass::Controller),
    ("pulumi", AgentClass::Other),
    ("aws-cli", AgentClass::Cli),
    ("awspowershell", AgentClass::Cli),
    ("aws-tools-for-powershell", AgentClass::Cli),
    ("console.amazonaws.com", AgentClass::Console),
    ("signin.amazonaws.com", AgentClass::Console),
    ("console.aws", AgentClass::Console),
    ("awsconsole", AgentClass::Console),
    ("aws-console", AgentClass::Console),
    ("mozilla/", AgentClass::Console),
    ("aws-sdk", AgentClass::Sdk),
    ("aws_sdk", AgentClass::Sdk),
    ("boto", AgentClass::Sdk),
    ("awssdk", AgentClass::Sdk),
    ("awscpp", AgentClass::Sdk),
    ("sdk/", AgentClass::Sdk),
    ("aws-internal", AgentClass::AwsService),
];

/// The class of a program.
pub(crate) fn class_of(program: Program<'_>) -> AgentClass {
    // A service that says its own name calls for a principal; `AWS Internal` says nothing.
    let service = program.invoked_by.filter(|name| name.contains('.'));
    if let Some(name) = service {
        return if name.starts_with("cloudformation.") { AgentClass::CloudFormation } else { AgentClass::AwsService };
    }
    let agent = program.user_agent.unwrap_or_default().to_ascii_lowercase();
    let told = MARKS.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, class)| *class);
    match told {
        // What a person does in the console may be done by an SDK within it.
        Some(AgentClass::Sdk | AgentClass::AwsService) | None if program.from_console => AgentClass::Console,
        Some(class) => class,
        None if program.is_service || program.invoked_by.is_some() => AgentClass::AwsService,
        None if agent.ends_with(".amazonaws.com") || agent == "aws internal" => AgentClass::AwsService,
        None => AgentClass::Other,
    }
}
