//! What onlay must reach, judged from the rows that were measured. It is printed, never asserted: machines differ.

use std::time::Duration;

use crate::comparison::Outcome;
use crate::contender::Role;
use onlay_benches::statistics::ratio;
use onlay_benches::target::Target;

/// More than the base's manifest and configuration have, far less than its smallest layer, in bytes.
const MANIFEST_AND_CONFIG: u64 = 16 * 1024;

/// Judges the targets whose rows were all measured. Of docker's builders the faster one counts, with
/// nothing cached: that is the state in which a fresh runner has it.
pub(crate) fn judge(outcomes: &[Outcome]) -> Vec<Target> {
    let times = |slower, faster| Some(ratio(fastest(outcomes, slower)?, fastest(outcomes, faster)?));
    let onlay = || outcomes.iter().filter(|outcome| outcome.role.is_onlay());
    let memory = onlay().map(|outcome| outcome.peak_memory).max();
    let layer = onlay()
        .flat_map(|outcome| outcome.added_layers.iter().copied())
        .max();
    let config_only = onlay()
        .find(|outcome| outcome.role == Role::OnlayConfigOnly)
        .map(|outcome| outcome.traffic.downloaded);
    let targets = [
        times(Role::OnlayWarm, Role::Append)
            .map(|found| Target::at_most("onlay, listing cached ÷ crane append", 1.5, found)),
        times(Role::DockerCold, Role::OnlayWarm)
            .map(|found| Target::at_least("docker, nothing cached ÷ onlay, listing cached", 50.0, found)),
        times(Role::DockerCold, Role::OnlayCold)
            .map(|found| Target::at_least("docker, nothing cached ÷ onlay, nothing cached", 5.0, found)),
        memory.map(|found| Target::below("onlay: peak memory", 40_000_000, found)),
        layer.map(|found| Target::below("onlay: largest added layer", 1024, found)),
        config_only
            .map(|found| Target::below("onlay: downloaded for VOLUME only", MANIFEST_AND_CONFIG, found)),
    ];
    targets.into_iter().flatten().collect()
}

/// The median of the fastest row with this role.
pub(crate) fn fastest(outcomes: &[Outcome], role: Role) -> Option<Duration> {
    let rows = outcomes.iter().filter(|outcome| outcome.role == role);
    rows.map(|outcome| outcome.wall.median()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Traffic;
    use onlay_benches::statistics::Sample;

    fn row(role: Role, milliseconds: u64) -> Outcome {
        let mut wall = Sample::default();
        wall.push(Duration::from_millis(milliseconds));
        Outcome {
            name: String::new(),
            version: String::new(),
            role,
            wall,
            peak_memory: 50_000_000,
            traffic: Traffic::default(),
            added_layers: vec![1000],
        }
    }

    fn verdicts(rows: &[Outcome]) -> Vec<String> {
        judge(rows).iter().map(Target::to_string).collect()
    }

    #[test]
    fn only_what_was_measured_is_judged() {
        assert!(verdicts(&[]).is_empty());
        assert!(verdicts(&[row(Role::Append, 10), row(Role::DockerCold, 1000)]).is_empty());
    }

    #[test]
    fn the_faster_docker_counts() {
        let rows = [
            row(Role::OnlayWarm, 20),
            row(Role::DockerCold, 3000),
            row(Role::DockerCold, 900),
        ];
        assert_eq!(
            verdicts(&rows),
            [
                "| docker, nothing cached ÷ onlay, listing cached | ≥ 50 | 45.0 | **missed** |",
                "| onlay: peak memory | < 40.0 MB | 50.0 MB | **missed** |",
                "| onlay: largest added layer | < 1.0 kB | 1.0 kB | met |",
            ]
        );
    }
}
