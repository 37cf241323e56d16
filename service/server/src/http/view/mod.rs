//! What pages are made of: words, documents laid out, charts. Display-ready values only; the
//! templates loop and print. Refuses to know the store and requests.

pub mod document;
pub mod flow;
pub mod timeline;
pub mod trend;
pub mod words;
