//! The audit against data of many hands.

#[cfg(test)]
mod baselines;
#[cfg(test)]
mod change_escalations;
#[cfg(test)]
mod change_rules;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod declared;
#[cfg(test)]
mod depth;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod escalations;
#[cfg(test)]
mod event_changes;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod grouping;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod remediation;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod report;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod small;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod unused;
#[cfg(test)]
mod what_if;
#[cfg(test)]
mod who_can;
