/// The signals of Linux by name, without `SIG`, and without the real-time ones.
const NAMES: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Whether STOPSIGNAL takes a text: any integer but 0, or a name with or without `SIG`, in any case.
pub(super) fn is_valid(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    NAMES.contains(&name) || is_real_time(name)
}

/// `RTMIN`, `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX-1`, `RTMAX`.
fn is_real_time(name: &str) -> bool {
    let within = |digits: &str, last: u8| {
        !digits.starts_with(['0', '+']) && digits.parse::<u8>().is_ok_and(|offset| offset <= last)
    };
    match name.split_at_checked(5) {
        Some(("RTMIN" | "RTMAX", "")) => true,
        Some(("RTMIN", offset)) => offset.strip_prefix('+').is_some_and(|digits| within(digits, 15)),
        Some(("RTMAX", offset)) => offset.strip_prefix('-').is_some_and(|digits| within(digits, 14)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        let check = |text: &str, expected| assert_eq!(is_valid(text), expected, "{text}");
        check("SIGTERM", true);
        check("term", true);
        check("sigRtMin+3", true);
        check("RTMAX-14", true);
        check("RTMAX-15", false);
        check("RTMIN+16", false);
        check("RTMIN+", false);
        check("RTMIN+03", false);
        check("9", true);
        check("999", true);
        check("-1", true);
        check("0", false);
        check("FOO", false);
        check("", false);
        check("SIGSIGTERM", false);
    }
}
