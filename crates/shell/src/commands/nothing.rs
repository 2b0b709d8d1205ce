//! Commands that touch no file: `true`, `:`, `false`, `exit`, `sleep`, `sync`.

use crate::commands::Call;
use crate::halt::Halt;
use crate::make::Make;

pub(crate) fn succeed(_: &mut Call<'_, '_>) -> Result<u8, Halt> {
    Ok(0)
}

pub(crate) fn fail(_: &mut Call<'_, '_>) -> Result<u8, Halt> {
    Ok(1)
}

pub(crate) fn exit(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let status = match call.operands(0)?.as_slice() {
        [] => call.shell.status,
        [number] => {
            let digits = std::str::from_utf8(number)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let Some(status) = digits.and_then(|digits| digits.parse::<u32>().ok()) else {
                return Err(call.refuse(number));
            };
            status.to_le_bytes()[0]
        }
        [_, excess, ..] => return Err(call.refuse(excess)),
    };
    call.shell.note_failure(status);
    Err(Halt::Exit(status))
}

/// Nobody waits for a RUN that is not executed.
pub(crate) fn sleep(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    for duration in call.operands(1)? {
        let number = duration.strip_suffix(b"s").unwrap_or(&duration);
        let fraction = number.contains(&b'.') && call.make == Make::Gnu;
        if number.is_empty()
            || !number
                .iter()
                .all(|byte| byte.is_ascii_digit() || fraction && *byte == b'.')
        {
            return Err(call.refuse(duration));
        }
    }
    Ok(0)
}

pub(crate) fn sync(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    match call.operands(0)?.first() {
        Some(operand) => Err(call.refuse(operand)),
        None => Ok(0),
    }
}
