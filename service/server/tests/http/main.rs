//! The dashboard and the API, from outside, over the demo estate and a real database.

#[cfg(test)]
mod access;
#[cfg(test)]
mod api;
#[cfg(test)]
mod as_of;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod baselines;
#[cfg(test)]
mod borders;
#[cfg(test)]
mod bots;
#[cfg(test)]
mod change_events;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod destinations;
#[cfg(test)]
mod front;
#[cfg(test)]
mod granted;
#[cfg(test)]
mod imported;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod set_aside;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod support;
#[cfg(test)]
mod ticket_bot;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod triage;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod what_if;
