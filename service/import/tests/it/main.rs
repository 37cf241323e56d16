//! Files as people have them.

#[cfg(test)]
mod import;
#[cfg(test)]
mod listings;
