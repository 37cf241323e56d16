//! The options that name an estate in files.

use crate::audit::import::{self, Files, ImportOptions, Problems};
use crate::error::Error;
use chrono::{DateTime, Utc};
use rolecall_estate::Estate;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use std::path::PathBuf;

/// Against which estate a question is put, and of where what does not say so is.
#[derive(Debug, clap::Args)]
pub struct EstateArgs {
    /// Files or a folder as `import` reads them, in the place of the stored estate; may be given more than once
    #[arg(long, value_name = "PATH")]
    pub estate: Vec<PathBuf>,
    /// Declare the listings in the files of --estate complete
    #[arg(long, requires = "estate")]
    pub complete: bool,
    /// Assumptions about data that the files of --estate do not have, as of `import`
    #[arg(long, value_name = "STATEMENT", value_delimiter = ',', requires = "estate")]
    pub assume: Vec<Assumption>,
    /// The account of what does not name one
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<AccountId>,
    /// The region of what does not name one
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
}

impl EstateArgs {
    /// The estate that the files hold, and its date; `None` where the stored one is meant.
    ///
    /// # Errors
    /// Where no file held anything.
    pub(super) async fn read(&self) -> Result<Option<(Estate, DateTime<Utc>)>, Error> {
        if self.estate.is_empty() {
            return Ok(None);
        }
        let options =
            ImportOptions { complete: self.complete, assume: self.assume.clone(), ..ImportOptions::default() };
        let unread = Problems::default();
        let read = import::estate(Files::find(&self.estate)?, &options, &unread).await;
        unread.print();
        read.map(Some)
    }
}
