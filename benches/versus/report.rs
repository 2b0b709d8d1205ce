//! The comparison as Markdown.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::comparison::Outcome;
use crate::contender::{Missing, Role};
use crate::options::Options;
use crate::targets;
use onlay_benches::statistics::{bytes, ratio, seconds};

/// Everything that was measured, and under which conditions.
pub(crate) struct Report<'a> {
    pub(crate) machine: String,
    pub(crate) options: &'a Options,
    pub(crate) outcomes: &'a [Outcome],
    pub(crate) missing: &'a [Missing],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { runs, size_mb, .. } = self.options;
        writeln!(
            f,
            "The vault image on a base of {size_mb} MiB, built and pushed to a registry on the loopback."
        )?;
        writeln!(
            f,
            "{}; medians of {runs} runs, all rows in turns.\n",
            self.machine
        )?;
        self.table(f)?;
        writeln!(f, "\n{NOTES}")?;
        self.versions(f)?;
        self.left_out(f)?;
        self.targets(f)
    }
}

const NOTES: &str = "\
\"Nothing cached\": no cache, no storage, an empty destination repository, the base in the registry only. \
\"Base pulled\": what the builder keeps of a base is there, the lines are done anew. Traffic is of one more run, \
through a counting proxy. Memory is that of the largest process; of docker, the daemon included, its helpers not.
";

impl Report<'_> {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| builder | wall time | shortest to longest | ÷ onlay, listing cached | ÷ onlay, nothing cached | \
             requests | downloaded | uploaded | peak memory |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let (warm, cold) = (
            targets::fastest(self.outcomes, Role::OnlayWarm),
            targets::fastest(self.outcomes, Role::OnlayCold),
        );
        for outcome in self.outcomes {
            let wall = &outcome.wall;
            writeln!(
                f,
                "| {} | {} | {} to {} | {} | {} | {} | {} | {} | {} |",
                outcome.name,
                seconds(wall.median()),
                seconds(wall.shortest()),
                seconds(wall.longest()),
                times(wall.median(), warm),
                times(wall.median(), cold),
                outcome.traffic.requests,
                bytes(outcome.traffic.downloaded),
                bytes(outcome.traffic.uploaded),
                bytes(outcome.peak_memory),
            )?;
        }
        Ok(())
    }

    fn versions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: BTreeSet<&str> = self
            .outcomes
            .iter()
            .map(|outcome| outcome.version.as_str())
            .collect();
        let versions: Vec<&str> = versions.into_iter().collect();
        writeln!(f, "Versions: {}.", versions.join("; "))
    }

    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Missing { builder, reason } in self.missing {
            writeln!(f, "Left out: {builder:?}: {reason}.")?;
        }
        Ok(())
    }

    fn targets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets = targets::judge(self.outcomes);
        if targets.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n| target | required | found | |\n|---|--:|--:|---|")?;
        targets.iter().try_for_each(|target| writeln!(f, "{target}"))
    }
}

fn times(duration: Duration, unit: Option<Duration>) -> String {
    unit.map_or_else(|| "–".to_owned(), |unit| format!("{:.1}", ratio(duration, unit)))
}
