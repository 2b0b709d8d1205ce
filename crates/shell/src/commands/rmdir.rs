use crate::commands::Call;
use crate::halt::{Halt, Settle};
use crate::options::{Opt, flag};

pub(crate) const OPTIONS: &[Opt] = &[flag(b'p', "parents"), flag(b'i', "ignore-fail-on-non-empty")];

/// Removes empty directories, with `-p` those above, too.
pub(crate) fn rmdir(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    if call.has(b'i') {
        return Err(call.refuse("--ignore-fail-on-non-empty"));
    }
    for path in call.operands(1)? {
        let mut rest = path.as_slice();
        loop {
            if let Err(errno) = call.shell.files.remove_directory(rest).settle()? {
                let lead = call.says(
                    "",
                    if rest == path {
                        "failed to remove"
                    } else {
                        "failed to remove directory"
                    },
                );
                call.fail_at(lead, rest, errno)?;
                break;
            }
            match rest.iter().rposition(|byte| *byte == b'/') {
                Some(slash) if slash > 0 && call.has(b'p') => rest = &rest[..slash],
                _ => break,
            }
        }
    }
    Ok(call.status)
}
