//! The service, from outside: the built binary, the crates' borders, and the walk over a sandbox.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod aside;
#[cfg(test)]
mod baselines;
#[cfg(test)]
mod change_findings;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod declared;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod event_changes;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod front;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod names;
#[cfg(test)]
mod rescans;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod subsets;
#[cfg(test)]
mod supervision;
#[cfg(test)]
mod support;
#[cfg(test)]
mod truth;
#[cfg(test)]
mod walk;
#[cfg(test)]
mod words;
