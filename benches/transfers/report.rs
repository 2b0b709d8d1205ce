//! What was measured, as Markdown.

use std::fmt;
use std::time::Duration;

use onlay_benches::machine;
use onlay_benches::statistics::{Sample, bytes, ratio, seconds};
use onlay_benches::target::Target;
use onlay_testkit::LoggedRequest;

use crate::options::Options;
use crate::row::Row;
use crate::site::{MANIFESTS, MANIFESTS_PER_SECOND};

/// The most memory that a transfer may take, whatever its size, in bytes.
const MEMORY: u64 = 64 << 20;

/// What was found out about a row.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) row: Row,
    /// The wall time of each run.
    pub(crate) wall: Sample,
    /// The largest process in any run, in bytes.
    pub(crate) peak_memory: u64,
    /// Of one more run.
    pub(crate) first: Requests,
    /// Of that run once more.
    pub(crate) second: Requests,
}

/// Requests to both ends, as clients count them: a redirect is one of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) all: usize,
    /// Those with the method GET.
    pub(crate) reads: usize,
    /// Those that came too fast.
    pub(crate) throttled: usize,
}

impl Requests {
    pub(crate) fn count(requests: &[LoggedRequest]) -> Self {
        let those = |is: fn(&&LoggedRequest) -> bool| requests.iter().filter(is).count();
        Self {
            all: requests.len(),
            reads: those(|request| request.method == "GET"),
            throttled: those(|request| request.status == Some(429)),
        }
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.all, self.reads)
    }
}

/// Everything that was measured.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) outcomes: &'a [Outcome],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { runs, size_mb, .. } = self.options;
        writeln!(
            f,
            "A blob of {size_mb} MiB, and an image of eight layers of that size together, between registries on the loopback."
        )?;
        writeln!(
            f,
            "{}; medians of {runs} runs, all rows in turns.\n",
            machine::describe()
        )?;
        writeln!(
            f,
            "| transfer | wall time | shortest to longest | MB/s | peak memory | requests (GETs) | the second time |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|")?;
        for outcome in self.outcomes {
            self.row(outcome, f)?;
        }
        writeln!(f, "\n| target | required | found | |\n|---|--:|--:|---|")?;
        self.targets()
            .iter()
            .try_for_each(|target| writeln!(f, "{target}"))
    }
}

impl Report<'_> {
    fn row(&self, outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wall = &outcome.wall;
        let megabytes = f64::from(self.options.size_mb) * f64::from(1 << 20) / 1e6;
        let speed = match outcome.row {
            Row::OnlayPaced => "–".to_owned(),
            _ => format!("{:.0}", megabytes / wall.median().as_secs_f64()),
        };
        writeln!(
            f,
            "| {} | {} | {} to {} | {speed} | {} | {} | {} |",
            outcome.row.name(),
            seconds(wall.median()),
            seconds(wall.shortest()),
            seconds(wall.longest()),
            bytes(outcome.peak_memory),
            outcome.first,
            outcome.second,
        )
    }

    /// Judges the targets whose rows were all measured.
    fn targets(&self) -> Vec<Target> {
        let speed = |of, beside| Some(ratio(self.median(beside)?, self.median(of)?));
        let copy = self.find(Row::OnlayCopy);
        let second = copy.map(|copy| copy.second);
        let memory =
            [Row::OnlayPush, Row::OnlayCopy].map(|row| self.find(row).map(|outcome| outcome.peak_memory));
        let requests = |row| Some(self.find(row)?.first.all as f64);
        let ideal = Duration::from_secs((MANIFESTS / MANIFESTS_PER_SECOND).into());
        let paced = self.median(Row::OnlayPaced).map(|found| ratio(found, ideal));
        let throttled = self.find(Row::OnlayPaced).map(|outcome| outcome.first.throttled);
        let beside = || Some(requests(Row::OnlayCopy)? / requests(Row::CraneCopy)?);
        [
            speed(Row::OnlayPush, Row::CurlUpload)
                .map(|found| Target::at_least("onlay's speed ÷ curl's, one blob", 0.8, found)),
            memory
                .into_iter()
                .max()
                .flatten()
                .map(|found| Target::below("onlay: peak memory", MEMORY, found)),
            beside().map(|found| Target::at_most("onlay's requests ÷ crane's, a copy", 1.0, found)),
            paced.map(|found| Target::at_most("onlay: time ÷ ideal, 60 manifests at 10/s", 1.2, found)),
            throttled.map(|found| Target::at_most("onlay: refused for coming too fast", 0.0, found as f64)),
            second.map(|found| Target::at_most("onlay: GETs of a second copy", 0.0, found.reads as f64)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn find(&self, row: Row) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.row == row)
    }

    fn median(&self, row: Row) -> Option<Duration> {
        Some(self.find(row)?.wall.median())
    }
}
