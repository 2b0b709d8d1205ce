use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::missing_arguments;
use crate::diagnostic::Report;
use crate::evaluate::Evaluation;
use crate::flags::Flags;
use crate::source::Spanned;
use crate::statement::Statement;

/// `EXPOSE port[/protocol] ...`
#[derive(Debug, Clone, PartialEq)]
pub struct Expose {
    /// The arguments in bytewise order, which is the order in which BuildKit takes them.
    pub ports: Vec<Spanned<String>>,
}

/// The ports of an EXPOSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedExpose {
    /// Ports as `80/tcp`, ranges spread out, in the order of the sorted arguments: also the order of the history text.
    pub ports: Vec<String>,
}

impl Expose {
    pub(super) fn parse(statement: &Statement<'_>, report: &mut Report) -> Option<Self> {
        Flags::none(statement, report);
        let mut ports = statement.words();
        if ports.is_empty() {
            missing_arguments(statement, report, "at least one argument");
        }
        ports.sort_by(|left, right| left.value.cmp(&right.value));
        Some(Self { ports })
    }

    pub(super) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> ExpandedExpose {
        let mut ports = Vec::new();
        for argument in &self.ports {
            for word in evaluation.words(argument).unwrap_or_default() {
                match parse_port(&word) {
                    Ok(found) => ports.extend(found),
                    Err(message) => evaluation.report.error(argument.span, message),
                }
            }
        }
        ExpandedExpose { ports }
    }
}

/// Reads `[[address:]host port:]port[-port][/protocol]`. Address and host port are checked and mean nothing.
fn parse_port(text: &str) -> Result<impl Iterator<Item = String>, String> {
    let mut parts = text.rsplitn(3, ':');
    let port = parts.next().unwrap_or_default();
    let host_port = parts.next().filter(|port| !port.is_empty());
    let address = parts.next().unwrap_or_default();
    let (port, protocol) = split_protocol(text, port)?;
    if !is_address(address) {
        return Err(format!("invalid IP address `{address}` in `{text}`"));
    }
    let range = parse_range(port).ok_or_else(|| invalid_port("container port", port))?;
    if let Some(host_port) = host_port {
        let host_range = parse_range(host_port).ok_or_else(|| invalid_port("host port", host_port))?;
        if range.len() != 1 && range.len() != host_range.len() {
            return Err(format!(
                "container ports `{port}` and host ports `{host_port}` are ranges of different lengths"
            ));
        }
    }
    Ok(range.map(move |port| format!("{port}/{protocol}")))
}

fn split_protocol<'a>(text: &str, port: &'a str) -> Result<(&'a str, String), String> {
    let (port, protocol) = port.split_once('/').unwrap_or((port, ""));
    let protocol = protocol.to_lowercase();
    match protocol.as_str() {
        _ if port.is_empty() => Err(format!("no port in `{text}`")),
        "" => Ok((port, "tcp".to_owned())),
        "tcp" | "udp" | "sctp" => Ok((port, protocol)),
        _ => Err(format!(
            "invalid protocol `{protocol}` in `{text}`: expected `tcp`, `udp` or `sctp`"
        )),
    }
}

fn is_address(text: &str) -> bool {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    text.is_empty() || bare.parse::<IpAddr>().is_ok()
}

/// A port or a range of ports, or nothing where it is neither.
fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end).then_some(start..=end)
}

fn invalid_port(what: &str, text: &str) -> String {
    format!("invalid {what} `{text}`: expected a number from 0 to 65535, or a range such as `8000-8010`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_spread_out() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(parse_port(text).unwrap().collect::<Vec<_>>(), expected, "{text}");
        };
        check("80", &["80/tcp"]);
        check("80/UDP", &["80/udp"]);
        check("80/", &["80/tcp"]);
        check("8000-8002/sctp", &["8000/sctp", "8001/sctp", "8002/sctp"]);
        check("8080:80", &["80/tcp"]);
        check(":80", &["80/tcp"]);
        check("1.2.3.4:8080:80", &["80/tcp"]);
        check("1.2.3.4::80", &["80/tcp"]);
        check("[::1]:8080:80", &["80/tcp"]);
        check("::1:8080:80", &["80/tcp"]);
        check("8000-8010:80", &["80/tcp"]);
        check("8000-8001:80-81", &["80/tcp", "81/tcp"]);
        check("0", &["0/tcp"]);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        let check = |text: &str| assert!(parse_port(text).is_err(), "{text}");
        check("foo");
        check("70000");
        check("90-80");
        check("-1");
        check("80-");
        check("80/foo");
        check("/tcp");
        check("300.1.1.1:1:2");
        check("1-2:3-5");
        check("x:80");
        check("[\"80\"]");
        check("[80]");
    }
}
