//! `export` and `unset`.

use crate::commands::Call;
use crate::halt::Halt;
use crate::parse::is_name;

/// Sets variables; what is exported makes no difference to commands that are interpreted.
pub(crate) fn export(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    for operand in call.operands(1)? {
        let (name, value) = match operand.iter().position(|byte| *byte == b'=') {
            Some(equals) => (&operand[..equals], Some(operand[equals + 1..].to_vec())),
            None => (operand.as_slice(), None),
        };
        if !is_name(name) {
            return Err(call.refuse(&operand));
        }
        if let Some(value) = value {
            call.shell.assign(&String::from_utf8_lossy(name), value)?;
        }
    }
    Ok(0)
}

pub(crate) fn unset(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    for operand in call.operands(1)? {
        if !is_name(&operand) {
            return Err(call.refuse(&operand));
        }
        call.shell.variables.remove(&*String::from_utf8_lossy(&operand));
    }
    Ok(0)
}
