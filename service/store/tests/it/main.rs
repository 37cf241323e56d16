//! The store on a real PostgreSQL.

#[cfg(test)]
mod access;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod audit_log;
#[cfg(test)]
mod baselines;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod limited;
#[cfg(test)]
mod owed;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod tickets;
#[cfg(test)]
mod trail;
#[cfg(test)]
mod triage;
