use crate::commands::Call;
use crate::commands::echo::{digits, simple_escape, unescape};
use crate::halt::Halt;
use crate::make::Make;

/// The widest field: nobody means more, and a line must not fill the memory.
const MAX_WIDTH: usize = 4096;

/// Prints operands by a format, again and again until they are used up: `%s`, `%b`, `%d`, `%i`, `%c`, `%%` with widths.
pub(crate) fn printf(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(1)?;
    let Some((format, mut operands)) = operands.split_first() else {
        return Ok(0);
    };
    if format.starts_with(b"-") && format.len() > 1 {
        return Err(call.refuse(format));
    }
    loop {
        let mut run = Run {
            call,
            output: Vec::new(),
            operands,
            used: 0,
        };
        let goes_on = run.format(format)?;
        let Run { output, used, .. } = run;
        call.shell.print(&output)?;
        operands = operands.get(used..).unwrap_or_default();
        if !goes_on || operands.is_empty() || used == 0 {
            return Ok(call.status);
        }
        call.shell.step()?;
    }
}

/// One pass over the format.
struct Run<'c, 's, 'l, 'o> {
    call: &'c mut Call<'s, 'l>,
    output: Vec<u8>,
    operands: &'o [Vec<u8>],
    used: usize,
}

/// `%-5.3s`, without the letter.
#[derive(Default)]
struct Shape {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

impl Run<'_, '_, '_, '_> {
    /// Tells whether the format went to its end, which `\c` cuts off.
    fn format(&mut self, format: &[u8]) -> Result<bool, Halt> {
        let mut rest = format;
        while let Some((byte, tail)) = rest.split_first() {
            rest = match byte {
                b'\\' => match self.escape(tail)? {
                    Some(length) => &tail[length..],
                    None => return Ok(false),
                },
                b'%' => match self.directive(tail)? {
                    Some(length) => &tail[length..],
                    None => return Ok(false),
                },
                byte => {
                    self.output.push(*byte);
                    tail
                }
            };
        }
        Ok(true)
    }

    /// Takes the text behind a backslash; gives its length, or nothing if the output ends here.
    fn escape(&mut self, text: &[u8]) -> Result<Option<usize>, Halt> {
        let Some(letter) = text.first() else {
            self.output.push(b'\\');
            return Ok(Some(0));
        };
        match letter {
            b'0'..=b'7' => {
                let (value, count) = digits(text, 8, 3);
                self.output.push(value);
                Ok(Some(count))
            }
            b'x' | b'u' | b'U' | b'c' | b'e' | b'E' | b'"' => Err(self.call.refuse([b'\\', *letter])),
            letter => {
                match simple_escape(*letter, self.call.make) {
                    Some(byte) => self.output.push(byte),
                    None => self.output.extend([b'\\', *letter]),
                }
                Ok(Some(1))
            }
        }
    }

    fn directive(&mut self, text: &[u8]) -> Result<Option<usize>, Halt> {
        let (shape, length) = shape(text);
        let Some(letter) = text.get(length) else {
            return Err(self.call.refuse("%"));
        };
        if shape.width > MAX_WIDTH || shape.precision.is_some_and(|precision| precision > MAX_WIDTH) {
            return Err(self.call.refuse(&text[..length]));
        }
        match letter {
            b'%' if length == 0 => self.output.push(b'%'),
            b's' => {
                let operand = self.operand();
                self.pad(&shape, &operand);
            }
            b'c' => {
                let operand = self.operand();
                self.pad(&shape, operand.get(..1).unwrap_or_default());
            }
            b'b' => {
                let operand = self.operand();
                if operand.contains(&b'\\')
                    && self.call.make == Make::Bash
                    && operand.windows(2).any(|pair| pair == b"\\\"")
                {
                    return Err(self.call.refuse("%b"));
                }
                let (text, goes_on) = unescape(&operand, self.call.make);
                self.pad(&shape, &text);
                if !goes_on {
                    return Ok(None);
                }
            }
            b'd' | b'i' => self.number(&shape)?,
            letter => return Err(self.call.refuse([b'%', *letter])),
        }
        Ok(Some(length + 1))
    }

    fn operand(&mut self) -> Vec<u8> {
        let operand = self.operands.get(self.used).cloned();
        self.used += 1;
        operand.unwrap_or_default()
    }

    fn number(&mut self, shape: &Shape) -> Result<(), Halt> {
        let operand = self.operand();
        let text = std::str::from_utf8(&operand).unwrap_or("?");
        // Octal and hexadecimal numbers, characters and what is no number: shells differ.
        let unusual =
            text.len() > 1 && text.trim_start_matches('-').starts_with('0') || shape.precision.is_some();
        let number: i64 = match text {
            "" => 0,
            text if unusual => return Err(self.call.refuse(text)),
            text => text.parse().map_err(|_| self.call.refuse(text))?,
        };
        let digits = number.unsigned_abs().to_string();
        let sign = if number < 0 { "-" } else { "" };
        let zeros = if shape.zeros && !shape.left {
            shape.width.saturating_sub(sign.len() + digits.len())
        } else {
            0
        };
        self.pad(shape, format!("{sign}{}{digits}", "0".repeat(zeros)).as_bytes());
        Ok(())
    }

    fn pad(&mut self, shape: &Shape, text: &[u8]) {
        let text = &text[..shape.precision.unwrap_or(text.len()).min(text.len())];
        let blanks = vec![b' '; shape.width.saturating_sub(text.len())];
        let (first, second) = if shape.left {
            (text, blanks.as_slice())
        } else {
            (blanks.as_slice(), text)
        };
        self.output.extend_from_slice(first);
        self.output.extend_from_slice(second);
    }
}

/// Reads flags, width and precision, and tells their length.
fn shape(text: &[u8]) -> (Shape, usize) {
    let mut shape = Shape::default();
    let mut at = 0;
    while let Some(flag @ (b'-' | b'0')) = text.get(at) {
        shape.left |= *flag == b'-';
        shape.zeros |= *flag == b'0';
        at += 1;
    }
    let (width, length) = decimal(&text[at..]);
    shape.width = width;
    at += length;
    if text.get(at) == Some(&b'.') {
        let (precision, length) = decimal(&text[at + 1..]);
        shape.precision = Some(precision);
        at += 1 + length;
    }
    (shape, at)
}

fn decimal(text: &[u8]) -> (usize, usize) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&text[..length]).unwrap_or_default();
    (
        if length == 0 {
            0
        } else {
            digits.parse().unwrap_or(usize::MAX)
        },
        length,
    )
}
