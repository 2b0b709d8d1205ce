//! What an image with added lines was made from, as a tag: the page that lists tags tells by it that nothing changed.

use onlay_dockerfile::{Instruction, Located};
use onlay_oci::{Digest, PlatformSelection, Reference, Tag};

use crate::config::CannotRun;

/// What such tags begin with.
pub(crate) const PREFIX: &str = "onlay-";

/// Changes whenever the same base and lines give other bytes, so that all images with lines are made anew then.
pub(crate) const RECIPE: u32 = 1;

/// How many hexadecimal digits of the digest are in the tag.
const DIGITS: usize = 32;

/// The digest of what decides the result: the base's digest and name, the lines, the recipe, the platforms.
///
/// The name is in it since it is in the image, too: two tags of one image would else take this tag from each other in each run.
pub(crate) fn identity(
    source: &Reference,
    base: &Digest,
    lines: &[Located<Instruction>],
    platforms: &PlatformSelection,
    cannot_run: CannotRun,
) -> Option<Tag> {
    let mut text = format!(
        "recipe {RECIPE}\nsource {source}\nbase {base}\nplatforms {}\n",
        platforms_in_words(platforms)
    );
    if cannot_run == CannotRun::Skip && !lines.is_empty() {
        text.push_str("cannot run: skip\n");
    }
    for line in lines {
        text.push_str(&normalised(line));
        text.push('\n');
    }
    let digest = Digest::of(text.as_bytes());
    format!("{PREFIX}{}", digest.encoded().get(..DIGITS)?)
        .parse()
        .ok()
}

/// A line as far as it counts: the keyword in upper case, continuations joined, the arguments as they are, and heredocs
/// behind them (DESIGN.md "Mirror").
pub(crate) fn normalised(line: &Located<Instruction>) -> String {
    let text = line.text.trim();
    let arguments = text
        .split_once(char::is_whitespace)
        .map_or("", |(_, arguments)| arguments.trim());
    format!("{} {arguments}", line.value.keyword())
}

fn platforms_in_words(platforms: &PlatformSelection) -> String {
    match platforms {
        PlatformSelection::All => "all".to_owned(),
        PlatformSelection::Only(platforms) => {
            let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            names.join(",")
        }
    }
}

#[cfg(test)]
mod tests {
    use onlay_dockerfile::{SourceFile, parse_instructions};

    use super::*;

    fn of(base: &str, lines: &str, platforms: &str) -> String {
        let lines = parse_instructions(SourceFile::new("lines", lines)).unwrap();
        let source = "redis:1".parse().unwrap();
        let tag = identity(
            &source,
            &Digest::of(base.as_bytes()),
            &lines,
            &platforms.parse().unwrap(),
            CannotRun::Fail,
        )
        .unwrap();
        tag.as_str().to_owned()
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let vault = of("a", "RUN mkdir /x\nVOLUME /x", "all");
        assert_eq!(vault.len(), PREFIX.len() + DIGITS);
        assert_eq!(of("a", "# a comment\nrun   mkdir /x\nvolume /x\n", "all"), vault);
        assert_eq!(
            of("a", "RUN mkdir \\\n/x\nVOLUME /x", "all"),
            of("a", "RUN mkdir /x\nVOLUME /x", "all")
        );
        let others = [
            of("b", "RUN mkdir /x\nVOLUME /x", "all"),
            of("a", "RUN mkdir /y\nVOLUME /x", "all"),
            of("a", "VOLUME /x\nRUN mkdir /x", "all"),
            of("a", "RUN mkdir /x\nVOLUME /x", "linux/amd64"),
            of("a", "RUN mkdir /x", "all"),
        ];
        assert!(!others.contains(&vault));
    }

    #[test]
    fn heredocs_count() {
        let with = |body: &str| of("a", &format!("COPY <<E /f\n{body}\nE\n"), "all");
        assert_ne!(with("one"), with("two"));
    }
}
