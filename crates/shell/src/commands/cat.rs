//! `cat` and `tee`: contents pass through by reference.

use onlay_layer::Content;

use crate::commands::Call;
use crate::errno::Errno;
use crate::halt::{Halt, Settle};
use crate::options::{Opt, flag};

pub(crate) const CAT: &[Opt] = &[flag(b'u', "")];
pub(crate) const TEE: &[Opt] = &[flag(b'a', "append")];

pub(crate) fn cat(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let mut operands = call.operands(0)?;
    if operands.is_empty() {
        operands.push(b"-".to_vec());
    }
    for path in operands {
        if let Some(content) = content(call, &path)? {
            let shell = &mut *call.shell;
            shell
                .io
                .write_content(&mut shell.files, shell.streams.output, content)?;
        }
    }
    Ok(call.status)
}

fn content(call: &mut Call<'_, '_>, path: &[u8]) -> Result<Option<Content>, Halt> {
    match path {
        b"-" => return Ok(Some(call.shell.io.read(call.shell.streams.input))),
        b"/dev/null" => return Ok(Some(Content::empty())),
        _ => {}
    }
    let errno = match call.shell.files.read(path).settle()? {
        Ok(content) => return Ok(Some(content)),
        Err(errno) => errno,
    };
    match (call.is_busybox(), errno) {
        (true, Errno::IsADirectory) => call.fail(format!("read error: {errno}"))?,
        (true, _) => call.fail_at("can't open", path, errno)?,
        (false, _) => call.fail([path, format!(": {errno}").as_bytes()].concat())?,
    }
    Ok(None)
}

/// Copies its input to files, all opened first, and to its output.
pub(crate) fn tee(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let mut sinks = Vec::new();
    for path in call.operands(0)? {
        match call.shell.open_for_writing(&path, call.has(b'a'))? {
            Ok(sink) => sinks.push(sink),
            Err(errno) => call.fail([path.as_slice(), format!(": {errno}").as_bytes()].concat())?,
        }
    }
    let shell = &mut *call.shell;
    let content = shell.io.read(shell.streams.input);
    for sink in std::iter::once(shell.streams.output).chain(sinks) {
        shell.io.write_content(&mut shell.files, sink, content.clone())?;
    }
    Ok(call.status)
}
