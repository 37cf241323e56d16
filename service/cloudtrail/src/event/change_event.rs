//! The change event that a record is.

use super::parts::Identity;
use super::{Event, LONGEST_TEXT, bounded, str_of};
use crate::change::{self, Call, Evidence, Parameters, Program, call_of, class_of};
use crate::denial::is_denial;
use crate::problem::Fault;
use chrono::{DateTime, Utc};
use rolecall_estate::ChangeEvent;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;

impl Event<'_> {
    /// By what the call names what it changes; `None` where it changes nothing that is watched. A VPC
    /// endpoint does not know what the service did, but what it refused itself.
    pub(crate) fn change_call(&self) -> Option<Call> {
        let call = call_of(str_of(&self.source)?, str_of(&self.name)?)?;
        (!self.is_network_activity() || self.error_code.get().is_some()).then_some(call)
    }

    /// The change event that the record is.
    pub(crate) fn change(
        &self,
        call: Call,
        (account_id, region): (AccountId, &Region),
        event_time: DateTime<Utc>,
    ) -> Result<ChangeEvent, Fault> {
        let none = Parameters::default();
        let asked = self.asked.as_deref().unwrap_or(&none);
        let error_message = str_of(&self.error_message);
        let resources = change::resources(
            call,
            &Evidence {
                account: account_id,
                region,
                request: &asked.request.value,
                response: &asked.response.value,
                details: &asked.details.value,
                error_message,
            },
        );
        let cut = |text: Option<&str>| text.map(|text| change::beginning(text, LONGEST_TEXT));
        let identity = self.identity.get();
        let (source, name) = self.call()?;
        // What an event that is no call tells stands in the place of what was asked for.
        let is_call = !matches!(asked.request.value, serde_json::Value::Null);
        let said = if is_call { &asked.request } else { &asked.details };
        let program = Program {
            user_agent: str_of(&self.agent),
            invoked_by: identity.and_then(|identity| str_of(&identity.invoked_by)),
            is_service: identity.and_then(|identity| str_of(&identity.kind)) == Some("AWSService")
                || str_of(&self.kind) == Some("AwsServiceEvent"),
            from_console: str_of(&self.from_console) == Some("true"),
        };
        Ok(ChangeEvent {
            event_id: bounded(self.event_id()?, "/eventID")?,
            event_time,
            account_id,
            region: region.clone(),
            event_source: bounded(source, "/eventSource")?,
            event_name: bounded(name, "/eventName")?,
            actor: identity.map(Identity::actor).transpose()?.unwrap_or_default(),
            source_ip: cut(str_of(&self.source_ip)),
            user_agent: cut(program.user_agent),
            agent_class: class_of(program),
            error_code: cut(self.error()),
            is_denied: self.error().is_some_and(is_denial),
            error_message: cut(error_message),
            resources,
            request: said.value.clone(),
            is_request_cut: said.is_cut,
        })
    }

    /// About how many bytes a change event of it takes.
    pub(crate) fn change_weight(&self) -> usize {
        self.asked.as_ref().map_or(0, |asked| 2 * (asked.request.bytes + asked.details.bytes))
    }
}
