use crate::directive::Escape;
use crate::instruction::Instruction;
use crate::line::strip_continuation;
use crate::location::Located;
use crate::words::is_separator;

/// Writes instructions in the one way that does not depend on layout: the keyword in upper case, continuation lines
/// joined, comments dropped, arguments as written, one instruction per line, heredocs behind theirs.
///
/// For instructions of one source the result reads back as the same instructions, and normalises to itself. An escape
/// character other than the default is part of the meaning and is written as a directive.
pub fn normalise(instructions: &[Located<Instruction>]) -> String {
    let mut text = String::new();
    let mut escape = Escape::default();
    for instruction in instructions {
        if instruction.escape != escape {
            escape = instruction.escape;
            text.push_str(&format!("# escape={}\n", escape.character()));
        }
        push_line(&mut text, instruction);
    }
    text
}

fn push_line(text: &mut String, instruction: &Located<Instruction>) {
    let (line, bodies) = instruction
        .text
        .split_once('\n')
        .unwrap_or((&instruction.text, ""));
    let keyword = instruction.value.keyword();
    let arguments = match &instruction.value {
        // An image keeps the text of a trigger as it is, with the blanks at its end.
        Instruction::OnBuild(on_build) => on_build.trigger.split('\n').next().unwrap_or_default(),
        _ => {
            let arguments = line.trim_start().get(keyword.len()..).unwrap_or_default();
            arguments
                .trim_start_matches(is_separator)
                .trim_end_matches([' ', '\t', '\r'])
        }
    };
    let start = text.len();
    text.push_str(keyword);
    if !arguments.is_empty() {
        text.push(' ');
        text.push_str(arguments);
    }
    let escape = instruction.escape.character();
    let is_cut =
        text.ends_with('\r') || strip_continuation(&text.as_bytes()[start..], escape as u8).is_some();
    if is_cut {
        // Only at the end of a source can an instruction end like this: it was continued, and nothing followed.
        let blank = if text.ends_with(escape) { " " } else { "" };
        text.push_str(blank);
        text.push(escape);
    }
    text.push('\n');
    if !bodies.is_empty() {
        text.push_str(bodies);
        text.push('\n');
    }
}
