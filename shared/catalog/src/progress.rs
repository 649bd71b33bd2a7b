//! How far a clip has come, as a number that people are shown.

use toktik_events::Function;

use crate::ledger::StepItem;
use crate::videos::Status;

/// From 0 to 1. It only looks at what is given, so that it may go back where a step begins again.
pub fn progress(status: Status, steps: &[StepItem]) -> f64 {
    match status {
        Status::Uploading => return 0.0,
        Status::Processing | Status::Playable => {}
        Status::Ready | Status::Rejected | Status::Failed | Status::Deleted => return 1.0,
    }
    // Before there is a plan, nobody knows how much there is to do.
    let planned = steps.iter().any(|item| item.step == Function::Package.name());
    let whole: f64 = steps.iter().map(weight).sum();
    if !planned || whole == 0.0 {
        return 0.01;
    }
    let done: f64 = steps
        .iter()
        .map(|item| weight(item) * if item.is_settled() { 1.0 } else { item.progress })
        .sum();
    (done / whole).clamp(0.01, 0.99)
}

/// What each step is of the whole, roughly by the time it takes.
fn weight(item: &StepItem) -> f64 {
    match item.step.parse() {
        Ok(Function::Transcode) if item.unit != "audio" => 20.0,
        Ok(Function::Thumbnail) => 3.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::ledger::State;

    fn item(step: &str, unit: &str, state: State, progress: f64) -> StepItem {
        StepItem {
            step: step.into(),
            unit: unit.into(),
            state,
            attempts: 1,
            interrupted: 0,
            postponed: 0,
            lease_until: None,
            requested_at: DateTime::UNIX_EPOCH,
            progress,
            result: None,
            error: None,
        }
    }

    #[test]
    fn progress_rises_from_nothing_to_all() {
        let probe = item("probe", "", State::Done, 1.0);
        let half = item("transcode", "video-0", State::Running, 0.5);
        let package = item("package", "", State::Pending, 0.0);
        let unplanned = progress(Status::Processing, std::slice::from_ref(&probe));
        let under_way = progress(Status::Processing, &[probe, half, package]);
        assert!(progress(Status::Uploading, &[]) < unplanned && unplanned < under_way && under_way < 1.0);
        assert!((under_way - 0.5).abs() < 0.1);
        assert!(progress(Status::Ready, &[]) >= 1.0);
    }
}
