//! `test` and `[`.

use onlay_layer::NodeKind;

use crate::commands::Call;
use crate::files::Found;
use crate::halt::{Called, Halt, Settle};
use crate::make::Make;
use crate::outcome::Reason;

pub(crate) fn bracket(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    match call.arguments.operands.pop() {
        Some(last) if last == b"]" => test(call),
        _ => Err(call.refuse("[")),
    }
}

pub(crate) fn test(call: &mut Call<'_, '_>) -> Result<u8, Halt> {
    let operands = call.operands(0)?;
    if let [operator, operand] = operands.as_slice()
        && is_binary(operator)
    {
        return operand_missing(call, operator, operand);
    }
    let holds = evaluate(call, &operands)?;
    Ok(u8::from(!holds))
}

/// `[ $a = b ]` where `$a` is nothing at all: not a question, and so not a yes.
fn operand_missing(call: &mut Call<'_, '_>, operator: &[u8], operand: &[u8]) -> Result<u8, Halt> {
    let message = match call.make {
        Make::Dash => [operator, b": unexpected operator"].concat(),
        Make::Bash => [operator, b": unary operator expected"].concat(),
        Make::Busybox => [operand, b": unknown operand"].concat(),
        Make::Gnu => return Err(call.refuse(operator)),
    };
    call.fail(message)?;
    Ok(2)
}

/// Decides by the number of operands, as POSIX has it; with more than four only `-a` and `-o` between plain tests.
fn evaluate(call: &Call<'_, '_>, operands: &[Vec<u8>]) -> Result<bool, Halt> {
    let words: Vec<&[u8]> = operands.iter().map(Vec::as_slice).collect();
    match words.as_slice() {
        [] => Ok(false),
        [word] => Ok(!word.is_empty()),
        [b"!", word] => Ok(word.is_empty()),
        [operator, operand] => unary(call, operator, operand),
        [left, operator, right] if is_binary(operator) => binary(call, left, operator, right),
        [b"!", ..] => Ok(!evaluate(call, &operands[1..])?),
        _ => combined(call, operands),
    }
}

fn combined(call: &Call<'_, '_>, operands: &[Vec<u8>]) -> Result<bool, Halt> {
    for (connector, any) in [(b"-o".as_slice(), true), (b"-a", false)] {
        // Not at the ends, where it would be an operand.
        let position = (1..operands.len().saturating_sub(1)).find(|index| operands[*index] == connector);
        if let Some(position) = position {
            let first = evaluate(call, &operands[..position])?;
            let second = evaluate(call, &operands[position + 1..])?;
            return Ok(if any { first || second } else { first && second });
        }
    }
    Err(call.refuse(operands.join(&b' ')))
}

fn unary(call: &Call<'_, '_>, operator: &[u8], operand: &[u8]) -> Result<bool, Halt> {
    match operator {
        b"-n" => return Ok(!operand.is_empty()),
        b"-z" => return Ok(operand.is_empty()),
        _ => {}
    }
    let files = &call.shell.files;
    if matches!(operator, b"-h" | b"-L") {
        return Ok(found(files.lstat(operand))?.is_some_and(|found| found.node.symlink_target().is_some()));
    }
    let question: fn(&Found) -> bool = match operator {
        b"-e" => |_| true,
        b"-f" => |found| matches!(found.node.kind, NodeKind::File(_)),
        b"-d" => |found| found.node.is_directory(),
        b"-p" => |found| matches!(found.node.kind, NodeKind::Fifo),
        b"-s" => |found| match &found.node.kind {
            NodeKind::File(content) => content.size() > 0,
            // A directory's size is the file system's affair, and never 0 on those that hold images.
            NodeKind::Directory(_) => true,
            _ => false,
        },
        // To root everything is readable and writable, and executable what anybody may execute.
        b"-r" | b"-w" => |_| true,
        b"-x" => |found| found.node.is_directory() || found.node.metadata.mode & 0o111 != 0,
        b"-u" => |found| found.node.metadata.mode & 0o4000 != 0,
        b"-g" => |found| found.node.metadata.mode & 0o2000 != 0,
        b"-k" => |found| found.node.metadata.mode & 0o1000 != 0,
        _ => return Err(Halt::refused(operator, Reason::Option { command: call.name })),
    };
    Ok(found(files.stat(operand))?.is_some_and(|found| question(&found)))
}

fn found(called: Called<Found>) -> Result<Option<Found>, Halt> {
    Ok(called.settle()?.ok())
}

fn is_binary(operator: &[u8]) -> bool {
    matches!(
        operator,
        b"=" | b"==" | b"!=" | b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge" | b"-a" | b"-o"
    )
}

fn binary(call: &Call<'_, '_>, left: &[u8], operator: &[u8], right: &[u8]) -> Result<bool, Halt> {
    match operator {
        b"=" => return Ok(left == right),
        // dash has no `==`.
        b"==" if call.make != Make::Dash => return Ok(left == right),
        b"!=" => return Ok(left != right),
        b"-a" => return Ok(!left.is_empty() && !right.is_empty()),
        b"-o" => return Ok(!left.is_empty() || !right.is_empty()),
        _ => {}
    }
    let (first, second) = (number(call, left)?, number(call, right)?);
    Ok(match operator {
        b"-eq" => first == second,
        b"-ne" => first != second,
        b"-lt" => first < second,
        b"-le" => first <= second,
        b"-gt" => first > second,
        b"-ge" => first >= second,
        _ => return Err(call.refuse(operator)),
    })
}

fn number(call: &Call<'_, '_>, text: &[u8]) -> Result<i64, Halt> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| call.refuse(text))
}
