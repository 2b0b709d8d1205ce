//! As much of the executable format as tells how a program is started (elf(5)).

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::errno::{Errno, of_io};

/// A program of this machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// The path of its loader, and where that is noted: the offset of the program header.
    pub(super) loader: Option<(Vec<u8>, u64)>,
}

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const X86_64: u16 = 62;
const PT_INTERP: u32 = 3;

/// The kernel reads no more than a page of program headers (fs/binfmt_elf.c, `ELF_MIN_ALIGN`).
const MOST_HEADERS: u16 = (65536 / PROGRAM_HEADER) as u16;

/// The longest path of a loader (fs/binfmt_elf.c).
const LONGEST_LOADER: u64 = 4096;

/// What a file's beginning says.
pub(super) enum Executable {
    Elf(Elf),
    /// A program of another architecture.
    Foreign,
    /// A script: the program that reads it, and an argument.
    Script(Vec<u8>, Option<Vec<u8>>),
}

impl Executable {
    /// Reads what a file is; it is no program otherwise.
    pub(super) fn read(file: &File) -> Result<Self, Errno> {
        /// How much the kernel looks at (linux/binfmts.h, `BINPRM_BUF_SIZE`).
        const BEGINNING: usize = 256;
        let mut beginning = vec![0; BEGINNING];
        let count = read_at(file, &mut beginning, 0)?;
        beginning.truncate(count);
        match beginning.get(..4) {
            Some(b"\x7fELF") => elf(file, &beginning),
            _ if beginning.starts_with(b"#!") => script(&beginning[2..]),
            _ => Err(Errno::NOEXEC),
        }
    }
}

fn elf(file: &File, header: &[u8]) -> Result<Executable, Errno> {
    if header.len() < HEADER {
        return Err(Errno::NOEXEC);
    }
    let machine = u16_at(header, 18);
    if header[4] != CLASS_64 || header[5] != LITTLE_ENDIAN || machine != X86_64 {
        return Ok(Executable::Foreign);
    }
    let (offset, size, count) = (u64_at(header, 32), u16_at(header, 54), u16_at(header, 56));
    if usize::from(size) != PROGRAM_HEADER || count == 0 || count > MOST_HEADERS {
        return Err(Errno::NOEXEC);
    }
    let mut headers = vec![0; PROGRAM_HEADER * usize::from(count)];
    if read_at(file, &mut headers, offset)? < headers.len() {
        return Err(Errno::NOEXEC);
    }
    let found = headers
        .chunks_exact(PROGRAM_HEADER)
        .enumerate()
        .find(|(_, header)| u32_at(header, 0) == PT_INTERP);
    let loader = match found {
        None => None,
        Some((index, header)) => {
            let place = offset + (index * PROGRAM_HEADER) as u64;
            Some((loader(file, header)?, place))
        }
    };
    Ok(Executable::Elf(Elf { loader }))
}

fn loader(file: &File, header: &[u8]) -> Result<Vec<u8>, Errno> {
    let (offset, size) = (u64_at(header, 8), u64_at(header, 32));
    if !(2..=LONGEST_LOADER).contains(&size) {
        return Err(Errno::NOEXEC);
    }
    let mut path = vec![0; size as usize];
    let count = read_at(file, &mut path, offset)?;
    if count < path.len() || path.pop() != Some(0) {
        return Err(Errno::NOEXEC);
    }
    Ok(path)
}

/// What to write where in a copy of a program, so that its loader's path is read elsewhere in it. The address at which the
/// program itself finds the path stays as it was.
pub(super) fn interpreter_entry(elf: &Elf, offset: u64, size: u64) -> Vec<(u64, [u8; 8])> {
    let Some((_, header)) = &elf.loader else {
        return Vec::new();
    };
    vec![
        (header + 8, offset.to_le_bytes()),
        (header + 32, size.to_le_bytes()),
        (header + 40, size.to_le_bytes()),
    ]
}

/// The first line of a script: the program, and everything after blanks as one argument (execve(2)).
fn script(line: &[u8]) -> Result<Executable, Errno> {
    let end = line.iter().position(|&byte| byte == b'\n' || byte == 0);
    let line = &line[..end.unwrap_or(line.len())];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let trimmed = trim(line, is_blank);
    let split = trimmed.iter().position(&is_blank);
    let (program, argument) = trimmed.split_at(split.unwrap_or(trimmed.len()));
    if program.is_empty() {
        return Err(Errno::NOEXEC);
    }
    let argument = trim(argument, is_blank);
    let argument = (!argument.is_empty()).then(|| argument.to_vec());
    Ok(Executable::Script(program.to_vec(), argument))
}

fn trim(text: &[u8], is_blank: impl Fn(&u8) -> bool) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |last| last + 1);
    &text[start..end]
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => return Err(of_io(&error)),
        }
    }
    Ok(filled)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    number(&bytes[at..at + 2]) as u16
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    number(&bytes[at..at + 4]) as u32
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    number(&bytes[at..at + 8])
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_line(text: &[u8]) -> (String, Option<String>) {
        match script(text) {
            Ok(Executable::Script(program, argument)) => {
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
                (text(program), argument.map(text))
            }
            _ => panic!("no script"),
        }
    }

    #[test]
    fn a_script_names_its_program_and_one_argument() {
        assert_eq!(first_line(b"/bin/sh\n"), ("/bin/sh".into(), None));
        assert_eq!(
            first_line(b" /bin/sh -e \nx"),
            ("/bin/sh".into(), Some("-e".into()))
        );
        let expected = ("/usr/bin/env".into(), Some("python3 -u".into()));
        assert_eq!(first_line(b"/usr/bin/env\tpython3 -u"), expected);
        assert!(matches!(script(b"  \n"), Err(Errno::NOEXEC)));
    }

    #[test]
    fn the_programs_of_this_machine_are_understood() {
        let file = fs_err::File::open("/proc/self/exe").unwrap().into_file();
        let Ok(Executable::Elf(Elf {
            loader: Some((path, _)),
        })) = Executable::read(&file)
        else {
            panic!("the test is a program with a loader");
        };
        assert!(path.starts_with(b"/lib"));
    }
}
