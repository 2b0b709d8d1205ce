use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Report};
use crate::directive::{self, Directives};
use crate::heredoc::{Heredoc, HeredocWord};
use crate::instruction::{self, Arg, From, Instruction, Parsed};
use crate::line::{LineReader, LogicalLine};
use crate::location::Located;
use crate::source::{SourceFile, Span};
use crate::statement::Statement;

/// A Dockerfile: its directives, global arguments and stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// The text that it was read from.
    pub source: Arc<SourceFile>,
    /// The parser directives.
    pub directives: Directives,
    /// The ARGs in front of the first FROM, which FROMs see.
    pub global_args: Vec<Located<Arg>>,
    /// The stages in the order of the text; never empty.
    pub stages: Vec<Stage>,
}

/// A FROM and the instructions up to the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The instruction that starts the stage.
    pub from: Located<From>,
    /// The instructions in the order of the text.
    pub instructions: Vec<Located<Instruction>>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, whatever the values of variables, in the order of the text.
    pub fn parse(source: SourceFile) -> Result<Self, Diagnostics> {
        let mut reader = Reader::new(source);
        let mut dockerfile = Self {
            source: Arc::clone(&reader.report.source),
            directives: reader.directives.clone(),
            global_args: Vec::new(),
            stages: Vec::new(),
        };
        let mut misplaced = None;
        let mut count = 0;
        while let Some(statement) = reader.next() {
            count += 1;
            match (statement, dockerfile.stages.last_mut()) {
                (Read::From(from), _) => dockerfile.stages.push(Stage {
                    from,
                    instructions: Vec::new(),
                }),
                (Read::Instruction(instruction), Some(stage)) => stage.instructions.push(instruction),
                (
                    Read::Instruction(Located {
                        value: Instruction::Arg(arg),
                        source,
                        span,
                        keyword,
                        text,
                        escape,
                        has_empty_continuation,
                    }),
                    None,
                ) => {
                    dockerfile.global_args.push(Located {
                        value: arg,
                        source,
                        span,
                        keyword,
                        text,
                        escape,
                        has_empty_continuation,
                    });
                }
                (Read::Instruction(instruction), None) => {
                    misplaced.get_or_insert((instruction.keyword, instruction.value.keyword()));
                }
                (Read::Broken, _) => {}
            }
        }
        // A FROM that is wrong itself must not make the lines after it look misplaced.
        if let (Some((span, keyword)), true) = (misplaced, reader.report.is_clean()) {
            let hint =
                Some("a stage starts with `FROM image`; only ARG may stand in front of the first".to_owned());
            reader
                .report
                .error_with_hint(span, format!("{keyword} in front of the first FROM"), hint);
        }
        if dockerfile.stages.is_empty() && reader.report.is_clean() {
            reader.report_no_stages(count);
        }
        reader.report.finish(dockerfile)
    }
}

/// Reads instructions that stand alone: those of `onlay apply`, or a trigger that ONBUILD has left in an image.
///
/// # Errors
///
/// Everything that is wrong with them, FROM included.
pub fn parse_instructions(source: SourceFile) -> Result<Vec<Located<Instruction>>, Diagnostics> {
    let mut reader = Reader::new(source);
    let mut instructions = Vec::new();
    let mut is_empty = true;
    while let Some(statement) = reader.next() {
        is_empty = false;
        match statement {
            Read::Instruction(instruction) => instructions.push(instruction),
            Read::From(from) => {
                let hint = Some("the base is chosen elsewhere: leave FROM out".to_owned());
                reader
                    .report
                    .error_with_hint(from.keyword, "FROM is not allowed here", hint);
            }
            Read::Broken => {}
        }
    }
    if is_empty && reader.report.is_clean() {
        reader
            .report
            .error(Span::new(0, 0), "no instruction in an empty text");
    }
    reader.report.finish(instructions)
}

/// One instruction after the other, with what is wrong on the way.
struct Reader {
    report: Report,
    directives: Directives,
    lines: LineReader,
}

/// What the next logical line holds.
enum Read {
    From(Located<From>),
    Instruction(Located<Instruction>),
    /// Something that the report speaks of.
    Broken,
}

impl Reader {
    fn new(source: SourceFile) -> Self {
        let source = Arc::new(source);
        let mut report = Report::new(Arc::clone(&source));
        let directives = directive::parse(&mut report);
        let lines = LineReader::new(source, directives.escape);
        Self {
            report,
            directives,
            lines,
        }
    }

    fn next(&mut self) -> Option<Read> {
        let before = self.report.count();
        let mut line = self.lines.next_line(&mut self.report)?;
        let words = match Statement::new(&line, self.directives.escape).takes_heredocs() {
            true => HeredocWord::find(&line.text),
            false => Vec::new(),
        };
        let heredocs = self.lines.heredocs(&mut line, words, &mut self.report);
        if self.report.count() > before {
            return Some(Read::Broken);
        }
        Some(self.read(&line, heredocs).unwrap_or(Read::Broken))
    }

    fn read(&mut self, line: &LogicalLine, heredocs: Vec<Heredoc>) -> Option<Read> {
        let escape = self.directives.escape;
        let statement = Statement::new(line, escape);
        let bodies: String = heredocs
            .iter()
            .map(|heredoc| format!("\n{}{}", heredoc.body, heredoc.name))
            .collect();
        let parsed = instruction::parse(&statement, heredocs, &mut self.report)?;
        let located = Located {
            value: (),
            source: Arc::clone(&self.report.source),
            span: line.span,
            keyword: statement.keyword_span(),
            text: line.text.clone() + &bodies,
            escape,
            has_empty_continuation: line.has_empty_continuation,
        };
        Some(match parsed {
            Parsed::From(from) => Read::From(located.map(|()| from)),
            Parsed::Instruction(instruction) => {
                let instruction = located.map(|()| instruction);
                if let Err(diagnostics) = instruction.rehearse() {
                    self.report.extend(diagnostics);
                }
                Read::Instruction(instruction)
            }
        })
    }

    /// Says why a text has no stages, with the place where one is missing.
    fn report_no_stages(&mut self, instructions: usize) {
        let end = self.report.source.text().trim_ascii_end().len();
        let message = match instructions {
            0 if self.report.source.text().is_empty() => "the Dockerfile is empty",
            0 => "no instructions in the Dockerfile",
            _ => "no build stage in the Dockerfile",
        };
        let hint = Some("a Dockerfile needs at least `FROM image`".to_owned());
        self.report.error_with_hint(Span::new(end, end), message, hint);
    }
}
