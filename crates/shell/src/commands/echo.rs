use crate::commands::Call;
use crate::halt::Halt;
use crate::make::Make;

/// Prints its operands. dash knows `-n` only and always takes escapes; the others take them with `-e`.
pub(crate) fn echo(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(0)?;
    let mut words = operands.as_slice();
    let (mut newline, mut escapes) = (true, call.make == Make::Dash);
    while let Some((word, rest)) = words.split_first() {
        let letters = word.strip_prefix(b"-").unwrap_or_default();
        let known: &[u8] = if call.make == Make::Dash { b"n" } else { b"neE" };
        let is_option = !letters.is_empty() && letters.iter().all(|letter| known.contains(letter));
        if !is_option || call.make == Make::Dash && letters != b"n" {
            break;
        }
        for letter in letters {
            match letter {
                b'n' => newline = false,
                letter => escapes = *letter == b'e',
            }
        }
        words = rest;
        if call.make == Make::Dash {
            break;
        }
    }
    let mut line = words.join(&b' ');
    if escapes {
        let (unescaped, goes_on) = unescape(&line, call.make);
        line = unescaped;
        newline &= goes_on;
    }
    if newline {
        line.push(b'\n');
    }
    call.shell.print(&line)?;
    Ok(0)
}

/// Takes backslashes for what they stand for; tells whether the text went to its end, which `\c` cuts off.
pub(crate) fn unescape(text: &[u8], make: Make) -> (Vec<u8>, bool) {
    let mut output = Vec::new();
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            output.push(*byte);
            continue;
        }
        let Some((letter, tail)) = rest.split_first() else {
            output.push(b'\\');
            break;
        };
        match letter {
            b'c' => return (output, false),
            b'0' => {
                let (value, digits) = digits(tail, 8, 3);
                output.push(value);
                rest = &tail[digits..];
            }
            b'x' if make != Make::Dash && tail.first().is_some_and(u8::is_ascii_hexdigit) => {
                let (value, digits) = digits(tail, 16, 2);
                output.push(value);
                rest = &tail[digits..];
            }
            letter => {
                match simple_escape(*letter, make) {
                    Some(byte) => output.push(byte),
                    None => output.extend([b'\\', *letter]),
                }
                rest = tail;
            }
        }
    }
    (output, true)
}

/// What a single letter behind a backslash stands for.
pub(crate) fn simple_escape(letter: u8, make: Make) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'e' | b'E' if letter == b'e' && make != Make::Dash || make == Make::Bash => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        _ => return None,
    })
}

/// Reads a number of at most `most` digits; what does not fit in a byte is cut off.
pub(crate) fn digits(text: &[u8], radix: u32, most: usize) -> (u8, usize) {
    let digits = text
        .iter()
        .take(most)
        .map_while(|byte| char::from(*byte).to_digit(radix));
    let (value, count) = digits.fold((0, 0), |(value, count), digit| (value * radix + digit, count + 1));
    (value.to_le_bytes()[0], count)
}
