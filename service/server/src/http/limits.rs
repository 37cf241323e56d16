//! Why nobody with limits comes to some routes: what they are told. Refuses to know which routes these are.

pub(crate) const BASELINES: &str =
    "what is approved is compared with all changes; a credential with limits cannot approve a state";
pub(crate) const CREDENTIALS: &str =
    "tokens, webhooks and the audit log are of everybody; a credential with limits cannot ask for them";
pub(crate) const INGESTION: &str =
    "how CloudTrail is read is of all accounts; a credential with limits cannot ask for it";
pub(crate) const METRICS: &str = "the metrics count all accounts; a credential with limits cannot read them";
pub(crate) const ROLE_USE: &str = "what a role does not use depends on every workload that has it; a credential whose limits name its account asks \
     for it, another one for that of an association";
pub(crate) const SCANS: &str = "a scan is of all accounts; a credential with limits cannot read or start one";
pub(crate) const WHAT_IF: &str =
    "proposed changes are judged over all accounts; a credential with limits cannot ask what they come to";
