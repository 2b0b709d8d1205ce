//! `onlay mirror prune`.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use onlay_mirror::{Mirror, Prunable, Stop};
use onlay_push::TagsInFlight;

use super::scope::{Ends, Scope, Wanted};
use super::show;
use crate::exit_code;
use crate::options::RegistryOptions;
use crate::progress::Progress;

/// Which images, and whether they go.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    scope: Scope,

    /// Delete them
    #[arg(long)]
    delete: bool,
}

impl Prune {
    /// Which repositories it is about, and how they are spoken to.
    pub(super) fn wanted(&self) -> anyhow::Result<(Wanted, &RegistryOptions)> {
        Ok((self.scope.wanted()?, &self.scope.registry))
    }

    /// Finds what may go, says so, and deletes it if asked to.
    pub(super) async fn run(mut self, in_flight: &TagsInFlight) -> anyhow::Result<ExitCode> {
        let wanted = self.scope.wanted()?;
        let progress = Progress::new(&self.scope.work.show)?;
        let ends = Ends {
            in_flight: in_flight.clone(),
            stop: Stop::NEVER,
        };
        let mirror = self.scope.mirror(&wanted, 1, &progress, &ends).await?;
        progress.status("looking for what may go".to_owned());
        let found = mirror.prunable(&wanted.entries).await;
        progress.finish();
        let (mut text, mut count, mut troubles) = (String::new(), 0, 0);
        for prunable in &found {
            let ended = match self.delete {
                true => deleted(&mirror, prunable).await,
                false => listed(prunable),
            };
            count += ended.images;
            troubles += ended.troubles;
            text.push_str(&ended.text);
        }
        let end = match (self.delete, found.is_empty()) {
            (_, true) => "nothing is kept by number: `keep` says how many".to_owned(),
            (true, _) => format!("{count} images deleted"),
            (false, _) => format!("{count} images would be deleted; `--delete` does it"),
        };
        show::print(&(text + &end))?;
        Ok(ExitCode::from(match troubles {
            0 => exit_code::DONE,
            _ => exit_code::SOME_FAILED,
        }))
    }
}

/// What became of a repository.
#[derive(Default)]
struct Ended {
    text: String,
    images: usize,
    troubles: usize,
}

impl Ended {
    fn trouble(&mut self, place: &str, reason: &str) {
        self.troubles += 1;
        let _ = writeln!(self.text, "failed   {place}  ({reason})");
    }
}

fn place(prunable: &Prunable) -> String {
    format!("{}/{}", prunable.registry, prunable.repository)
}

fn listed(prunable: &Prunable) -> Ended {
    let mut ended = Ended::default();
    match &prunable.images {
        Ok(images) => {
            for image in images {
                let tags: Vec<&str> = image.tags.iter().map(|tag| tag.as_str()).collect();
                let place = place(prunable);
                let _ = writeln!(
                    ended.text,
                    "delete   {place}@{}  ({})",
                    image.digest,
                    tags.join(", ")
                );
                ended.images += 1;
            }
        }
        Err(reason) => ended.trouble(&place(prunable), reason),
    }
    ended
}

async fn deleted(mirror: &Mirror, prunable: &Prunable) -> Ended {
    let mut ended = Ended::default();
    let place = place(prunable);
    let images = match &prunable.images {
        Ok(images) => images,
        Err(reason) => {
            ended.trouble(&place, reason);
            return ended;
        }
    };
    match mirror.delete(prunable).await {
        Ok(left) => {
            for image in images {
                match left.iter().find(|(digest, _)| *digest == image.digest) {
                    Some((digest, reason)) => ended.trouble(&format!("{place}@{digest}"), reason),
                    None => {
                        let _ = writeln!(ended.text, "deleted  {place}@{}", image.digest);
                        ended.images += 1;
                    }
                }
            }
        }
        Err(reason) => ended.trouble(&place, &reason),
    }
    ended
}
