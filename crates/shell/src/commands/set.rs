use crate::commands::Call;
use crate::halt::Halt;
use crate::make::Make;
use crate::outcome::Reason;
use crate::shell::Flags;

/// `set -eux`, `set +e`, `set -o pipefail`.
pub(crate) fn set(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let arguments = call.operands(1)?;
    let mut flags = call.shell.flags;
    let rest = apply(&mut flags, call.make, &arguments, "set")?;
    match rest.first() {
        // Behind the options stand positional parameters, which nothing here can use but `$1` and its kin. So the words
        // of `set -ex command` are swallowed, as people find out who forget the `&&`.
        Some(_) if uses_positional_parameters(call.shell.text) => Err(call.refuse("$")),
        _ => {
            call.shell.flags = flags;
            Ok(0)
        }
    }
}

fn uses_positional_parameters(text: &str) -> bool {
    text.split('$').skip(1).any(|behind| {
        let name = behind.trim_start_matches(['{', '#']);
        name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit() || "@*#}".contains(first))
    })
}

/// Applies options to the flags, and gives what stands behind them.
pub(crate) fn apply<'a>(
    flags: &mut Flags,
    make: Make,
    arguments: &'a [Vec<u8>],
    command: &'static str,
) -> Result<&'a [Vec<u8>], Halt> {
    let mut rest = arguments;
    while let Some((argument, tail)) = rest.split_first() {
        let (on, letters) = match argument.split_first() {
            Some((b'-', letters)) if !letters.is_empty() => (true, letters),
            Some((b'+', letters)) if !letters.is_empty() => (false, letters),
            _ => return Ok(rest),
        };
        rest = tail;
        if letters == b"-" {
            return Ok(rest);
        }
        for letter in letters {
            let name = match letter {
                b'e' => "errexit",
                b'u' => "nounset",
                b'x' => "xtrace",
                b'f' => "noglob",
                b'o' => match rest.split_first() {
                    Some((name, tail)) => {
                        rest = tail;
                        std::str::from_utf8(name).unwrap_or_default()
                    }
                    None => "",
                },
                _ => "",
            };
            let flag = match name {
                "errexit" => &mut flags.errexit,
                "nounset" => &mut flags.nounset,
                "xtrace" => &mut flags.xtrace,
                "noglob" => &mut flags.noglob,
                // dash has it only since 2024, and nothing tells the version.
                "pipefail" if make != Make::Dash => &mut flags.pipefail,
                _ => return Err(Halt::refused(argument, Reason::Option { command })),
            };
            *flag = on;
        }
    }
    Ok(rest)
}
