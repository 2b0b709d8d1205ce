//! What the history says of each instruction, in BuildKit's words.
//!
//! Each function gives the `created_by` of one instruction from its expanded values. The texts are not meant to be
//! parsed again: values are joined by spaces, quoted only where BuildKit happens to print a list with Go's `%q`.
//!
//! [`Image`](crate::Image) writes the entries of configuration instructions itself. RUN, COPY and ADD come with a layer
//! that somebody else made, so their texts are asked for here and given to
//! [`Image::with_layer`](crate::Image::with_layer).
//!
//! Source: BuildKit `frontend/dockerfile/dockerfile2llb` (convert.go, convert_copy.go), measured at 73ed6825c4.

use crate::go;
use crate::healthcheck::HealthcheckMember;

/// The `comment` of every entry that an instruction makes.
pub const COMMENT: &str = "buildkit.dockerfile.v0";

/// The `comment` of the rows that stand for layers which the base's history does not mention.
pub const MISSING_COMMENT: &str = "onlay: missing base history";

/// What BuildKit puts behind the instructions that it carries out itself.
const EXECUTED: &str = " # buildkit";

/// The text of `RUN`: `RUN |1 A=b /bin/sh -c make # buildkit`.
///
/// `build_args` are the stage's ARGs with the values that they have for this RUN, one for each name, in the order of
/// their first declaration. `command` is what is executed, the shell included.
pub fn run(build_args: &[(String, String)], command: &[String]) -> String {
    let mut text = "RUN".to_owned();
    if !build_args.is_empty() {
        text += &format!(" |{}", build_args.len());
    }
    for (name, value) in build_args {
        text += &format!(" {name}={value}");
    }
    for word in command {
        text += &format!(" {word}");
    }
    text + EXECUTED
}

/// COPY and ADD as the history tells them; `--from`, `--link` and `--exclude` do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// `COPY` or `ADD`.
    pub keyword: &'a str,
    /// Whether `--parents` was given.
    pub parents: bool,
    /// The value of `--chown`, expanded; an empty one does not show.
    pub chown: Option<&'a str>,
    /// The value of `--chmod`, expanded; an empty one does not show.
    pub chmod: Option<&'a str>,
    /// The sources, expanded, in the order of the line.
    pub sources: &'a [String],
    /// The names of the heredocs among the sources.
    pub heredocs: &'a [String],
    /// The destination as written, expanded.
    pub destination: &'a str,
}

/// The text of `COPY` and `ADD`: `COPY --chown=app a b /dst/ # buildkit`.
pub fn transfer(transfer: &Transfer<'_>) -> String {
    let mut text = transfer.keyword.to_owned();
    if transfer.parents {
        text += " --parents";
    }
    for (flag, value) in [("chown", transfer.chown), ("chmod", transfer.chmod)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text += &format!(" --{flag}={value}");
        }
    }
    for source in transfer.sources {
        text += &format!(" {source}");
    }
    for name in transfer.heredocs {
        text += &format!(" <<{name}");
    }
    text + " " + transfer.destination + EXECUTED
}

/// The text of `ENV` and `LABEL`: `ENV a=1 b=two words`.
pub(crate) fn assignments(keyword: &str, pairs: &[(String, String)]) -> String {
    let mut text = keyword.to_owned();
    for (name, value) in pairs {
        text += &format!(" {name}={value}");
    }
    text
}

/// The text of `ARG`: `ARG A=1 B`.
pub(crate) fn arg(args: &[(String, Option<String>)]) -> String {
    let mut text = "ARG".to_owned();
    for (name, value) in args {
        text += &match value {
            Some(value) => format!(" {name}={value}"),
            None => format!(" {name}"),
        };
    }
    text
}

/// The text of `EXPOSE`, `VOLUME` and `SHELL`: `VOLUME [/a /b]`.
pub(crate) fn list(keyword: &str, items: &[String]) -> String {
    format!("{keyword} {}", go::list(items))
}

/// The text of `CMD` and `ENTRYPOINT`: `CMD ["a" "b"]`.
pub(crate) fn command(keyword: &str, words: &[String]) -> String {
    format!("{keyword} {}", go::quoted_list(words))
}

/// The text of `USER`, `WORKDIR`, `STOPSIGNAL` and `MAINTAINER`: `USER app`.
pub(crate) fn word(keyword: &str, value: &str) -> String {
    format!("{keyword} {value}")
}

pub(crate) fn healthcheck(member: &HealthcheckMember) -> String {
    format!("HEALTHCHECK {member}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    #[test]
    fn run_shows_build_arguments_and_the_shell() {
        let arg = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let check = |args: &[(String, String)], command: &[&str], expected: &str| {
            assert_eq!(run(args, &words(command)), expected);
        };
        check(
            &[],
            &["/bin/sh", "-c", "mkdir /x"],
            "RUN /bin/sh -c mkdir /x # buildkit",
        );
        check(&[], &["a", "b c"], "RUN a b c # buildkit");
        let args = [arg("A", "1"), arg("B", "")];
        check(
            &args,
            &["/bin/sh", "-c", "a\nb\n"],
            "RUN |2 A=1 B= /bin/sh -c a\nb\n # buildkit",
        );
        check(&[], &["/dev/pipes/EOF"], "RUN /dev/pipes/EOF # buildkit");
    }

    #[test]
    fn transfers_show_ownership_and_mode_only() {
        let (sources, heredocs) = (words(&["a", "b c"]), words(&["EOF"]));
        let plain = Transfer {
            keyword: "COPY",
            parents: false,
            chown: None,
            chmod: Some(""),
            sources: &sources[..1],
            heredocs: &[],
            destination: "dst/",
        };
        assert_eq!(transfer(&plain), "COPY a dst/ # buildkit");
        let all = Transfer {
            keyword: "ADD",
            parents: true,
            chown: Some("app:app"),
            chmod: Some("u=rw"),
            sources: &sources,
            heredocs: &heredocs,
            ..plain
        };
        assert_eq!(
            transfer(&all),
            "ADD --parents --chown=app:app --chmod=u=rw a b c <<EOF dst/ # buildkit"
        );
    }
}
