//! The readers of declared state against samples of each format.

#[cfg(test)]
mod declared;
