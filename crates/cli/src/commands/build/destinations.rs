use clap::{ArgAction, Args};
use onlay_oci::{PlatformSelection, Reference};
use onlay_store::Destination;

use super::output::{Output, references};
use crate::failure::Usage;
use crate::options::OutputOptions;

/// What docker and buildx have beside `-t` for where the result goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct DestinationFlags {
    /// Build only, and print the digest; the same as --push=false
    #[arg(long)]
    no_push: bool,

    /// Publish at the names of -t, as happens anyhow unless -o or --load says otherwise
    #[arg(long, value_name = "true|false", num_args(0..=1), require_equals(true), default_missing_value("true"), hide_possible_values(true))]
    push: Option<bool>,

    /// Give the image to Docker on this machine, under the names of -t, instead of publishing it
    #[arg(long, value_name = "true|false", num_args(0..=1), require_equals(true), default_missing_value("true"), default_value("false"), action(ArgAction::Set), hide_possible_values(true), hide_default_value(true))]
    load: bool,

    /// Where the result goes, in buildx's words: type=registry, type=oci,dest=FILE[,tar=false], type=docker[,dest=FILE]
    /// or type=cacheonly; -t then only names it
    #[arg(short, long = "output", value_name = "type=TYPE[,KEY=VALUE]")]
    outputs: Vec<Output>,
}

/// Where the result goes.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    /// Where it is published.
    pub(crate) published: Vec<Destination>,
    /// The names under which Docker is to load it, if it is.
    pub(crate) loaded: Option<Vec<Reference>>,
    /// Whether it was asked for that nothing is published.
    pub(crate) is_nothing_wanted: bool,
}

impl DestinationFlags {
    /// All places that flags and `-t` name, read before anything is built.
    pub(crate) fn resolve(
        &self,
        options: &OutputOptions,
        platforms: Option<&PlatformSelection>,
    ) -> Result<Destinations, Usage> {
        self.verify(options)?;
        let is_pushed_elsewhere = self.load || !self.outputs.is_empty();
        let mut destinations = Destinations {
            is_nothing_wanted: self.no_push || self.push == Some(false) || is_pushed_elsewhere,
            ..Destinations::default()
        };
        if self.load {
            destinations.loaded = Some(references(&options.tag).map_err(Usage)?);
        }
        for output in &self.outputs {
            let wrong = |error: String| Usage(format!("`--output`: {error}"));
            destinations
                .published
                .extend(output.destinations(&options.tag).map_err(wrong)?);
            if let Some(names) = output.loaded_names(&options.tag).map_err(wrong)? {
                destinations.loaded = Some(names);
            }
        }
        if self.push == Some(true) || !destinations.is_nothing_wanted {
            destinations.published.extend(options.destinations()?);
        }
        if let (Some(_), Some(PlatformSelection::Only(platforms))) = (&destinations.loaded, platforms)
            && platforms.len() > 1
        {
            return Err(one_platform());
        }
        Ok(destinations)
    }

    /// Refuses flags that contradict each other.
    fn verify(&self, options: &OutputOptions) -> Result<(), Usage> {
        if self.no_push && (self.push == Some(true) || self.load || !self.outputs.is_empty()) {
            return Err(Usage(
                "`--no-push` builds only; leave out `--push`, `--load` and `--output`, or `--no-push` itself"
                    .to_owned(),
            ));
        }
        if self.push == Some(true) && options.tag.is_empty() {
            return Err(Usage(
                "`--push` needs a destination, expected `-t HOST/REPOSITORY[:TAG]`".to_owned(),
            ));
        }
        Ok(())
    }
}

/// What `docker load` cannot take.
pub(crate) fn one_platform() -> Usage {
    Usage("docker loads an image of one platform; choose it with `--platform`".to_owned())
}
