//! What a person sees while they wait: bars on a terminal, plain lines elsewhere.
//!
//! Knows stderr. Refuses to know what the work is; and says nothing on stdout, which is for
//! results.

use crate::terminal;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Tells of progress. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    kind: Kind,
    current: Arc<Mutex<Option<ProgressBar>>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Bars(MultiProgress),
    Lines,
    Silent,
}

impl Progress {
    /// Bars if stderr is a terminal, plain lines if not.
    #[must_use]
    pub fn stderr() -> Self {
        let kind = if std::io::stderr().is_terminal() { Kind::Bars(MultiProgress::new()) } else { Kind::Lines };
        Self { kind, current: Arc::default() }
    }

    /// Nothing: for work that nobody waits for.
    #[must_use]
    pub fn silent() -> Self {
        Self { kind: Kind::Silent, current: Arc::default() }
    }

    /// A new step begins, and with it the one before has ended.
    pub fn step(&self, text: &str) {
        self.begin(text, None);
    }

    /// A new step of a known number of parts begins.
    pub fn steps(&self, text: &str, parts: u64) {
        self.begin(text, Some(parts));
    }

    /// A part of the present step is done; `text` names it.
    pub fn part(&self, text: &str) {
        match &self.kind {
            Kind::Bars(_) => {
                if let Some(bar) = self.lock().as_ref() {
                    bar.inc(1);
                    bar.set_message(terminal::harmless(text).into_owned());
                }
            }
            Kind::Lines => terminal::err(&format!("  {text}")),
            Kind::Silent => {}
        }
    }

    /// The last step has ended.
    pub fn done(&self) {
        if let Some(bar) = self.lock().take() {
            bar.finish_and_clear();
        }
    }

    fn begin(&self, text: &str, parts: Option<u64>) {
        match &self.kind {
            Kind::Bars(bars) => {
                self.done();
                let (bar, template) = match parts {
                    Some(parts) => (ProgressBar::new(parts), "{spinner} {prefix} {bar:24} {pos}/{len} {msg}"),
                    None => (ProgressBar::new_spinner(), "{spinner} {prefix} {msg}"),
                };
                let bar = bars.add(bar);
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_prefix(terminal::harmless(text).into_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                *self.lock() = Some(bar);
            }
            Kind::Lines => terminal::err(text),
            Kind::Silent => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
