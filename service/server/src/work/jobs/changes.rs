//! The job `changes`: judges the open changes again, without a scan.

use crate::app::App;
use crate::audit::changes::judge_again;
use crate::error::Error;

pub(super) async fn run(app: &App) -> Result<(), Error> {
    let findings = judge_again(&app.store, &app.rules, &app.config.assume).await?;
    tracing::info!(findings, "changes were judged again");
    Ok(())
}
