//! Options of commands: short and long, anywhere among the operands, as GNU's and busybox's `getopt_long` take them.

use crate::halt::Halt;
use crate::make::Make;
use crate::outcome::Reason;

/// An option that a command has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opt {
    /// Its letter, which commands know it by.
    pub(crate) short: u8,
    long: &'static str,
    takes_value: bool,
    makes: Makes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Makes {
    All,
    Gnu,
}

/// An option without a value.
pub(crate) const fn flag(short: u8, long: &'static str) -> Opt {
    Opt {
        short,
        long,
        takes_value: false,
        makes: Makes::All,
    }
}

/// An option with a value.
pub(crate) const fn value(short: u8, long: &'static str) -> Opt {
    Opt {
        short,
        long,
        takes_value: true,
        makes: Makes::All,
    }
}

impl Opt {
    /// Only GNU has it.
    pub(crate) const fn gnu(self) -> Self {
        Self {
            makes: Makes::Gnu,
            ..self
        }
    }

    fn is_of(&self, make: Make) -> bool {
        self.makes == Makes::All || make == Make::Gnu
    }
}

/// A command's arguments, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The options in their order, by letter.
    pub(crate) options: Vec<(u8, Vec<u8>)>,
    pub(crate) operands: Vec<Vec<u8>>,
}

impl Arguments {
    /// Takes arguments apart.
    ///
    /// # Errors
    /// An option that the command does not have, or that is not interpreted.
    pub(crate) fn parse(
        command: &'static str,
        options: &[Opt],
        make: Make,
        arguments: &[Vec<u8>],
    ) -> Result<Self, Halt> {
        let refuse = |argument: &[u8]| Halt::refused(argument, Reason::Option { command });
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == b"--" {
                parsed.operands.extend(rest.by_ref().cloned());
            } else if let Some(long) = argument.strip_prefix(b"--") {
                let name = long.split(|byte| *byte == b'=').next().unwrap_or_default();
                let inline = long.get(name.len() + 1..).map(<[u8]>::to_vec);
                let found = options
                    .iter()
                    .find(|option| option.long.as_bytes() == name && !name.is_empty());
                let option = found
                    .filter(|option| option.is_of(make))
                    .ok_or_else(|| refuse(argument))?;
                let value = match (option.takes_value, inline) {
                    (false, None) => Vec::new(),
                    (true, Some(value)) => value,
                    (true, None) => rest.next().cloned().ok_or_else(|| refuse(argument))?,
                    (false, Some(_)) => return Err(refuse(argument)),
                };
                parsed.options.push((option.short, value));
            } else if command == "chmod" && parsed.operands.is_empty() && is_mode(argument) {
                parsed.operands.push(argument.clone());
            } else if argument.len() > 1 && argument.starts_with(b"-") {
                let mut letters = &argument[1..];
                while let Some((letter, tail)) = letters.split_first() {
                    let found = options
                        .iter()
                        .find(|option| option.short == *letter && option.is_of(make));
                    let option = found.ok_or_else(|| refuse(argument))?;
                    letters = tail;
                    let mut value = Vec::new();
                    if option.takes_value {
                        letters = b"";
                        let mut next = || rest.next().cloned().ok_or_else(|| refuse(argument));
                        value = if tail.is_empty() { next()? } else { tail.to_vec() };
                    }
                    parsed.options.push((option.short, value));
                }
            } else {
                parsed.operands.push(argument.clone());
            }
        }
        Ok(parsed)
    }

    /// Tells whether an option was given.
    pub(crate) fn has(&self, option: u8) -> bool {
        self.options.iter().any(|(short, _)| *short == option)
    }

    /// The value that an option was given last.
    pub(crate) fn value(&self, option: u8) -> Option<&[u8]> {
        self.options
            .iter()
            .rev()
            .find(|(short, _)| *short == option)
            .map(|(_, value)| value.as_slice())
    }
}

/// A mode that looks like options, as in `chmod -x`. With a `w` it would depend on the umask, and GNU complains of that.
fn is_mode(argument: &[u8]) -> bool {
    let letters = argument.strip_prefix(b"-").unwrap_or_default();
    !letters.is_empty() && letters.iter().all(|letter| b"rxXst".contains(letter))
}
