use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Report};
use crate::directive::{self, Directives, Escape};
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

impl Stage {
    /// What the comments above the FROM say of the stage's name.
    pub fn description(&self) -> Option<&str> {
        let name = self.from.value.name.as_ref()?;
        self.from.description_of(&name.value)
    }
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
        let mut outside = Outside::default();
        while let Some(read) = reader.next() {
            match (read, dockerfile.stages.last_mut()) {
                (Read::From(from), _) => dockerfile.stages.push(Stage {
                    from,
                    instructions: Vec::new(),
                }),
                (Read::Instruction(instruction), Some(stage)) => stage.instructions.push(instruction),
                (Read::Instruction(instruction), None) => {
                    outside.take(instruction, &mut dockerfile.global_args)
                }
                (Read::Broken, None) => outside.is_broken = true,
                (Read::Broken, Some(_)) => {}
            }
        }
        outside.report(&dockerfile, &mut reader.report);
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
        if source.is_utf16() {
            let hint = Some("save it as UTF-8".to_owned());
            report.error_with_hint(
                Span::new(0, 2),
                "the text is UTF-16, which is not supported",
                hint,
            );
            let lines = LineReader::new(Arc::new(SourceFile::new("", "")), Escape::default(), 0);
            return Self {
                report,
                directives: Directives::default(),
                lines,
            };
        }
        let (directives, directives_end) = directive::parse(&mut report);
        let lines = LineReader::new(source, directives.escape, directives_end);
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
            comments: line.comments.clone(),
        };
        Some(match parsed {
            Parsed::From(from) => {
                let from = located.map(|()| from);
                self.accept(from.rehearse(From::evaluate));
                Read::From(from)
            }
            Parsed::Instruction(instruction) => {
                let instruction = located.map(|()| instruction);
                self.accept(instruction.rehearse(Instruction::evaluate));
                Read::Instruction(instruction)
            }
        })
    }

    fn accept(&mut self, rehearsed: Result<(), Diagnostics>) {
        if let Err(diagnostics) = rehearsed {
            self.report.extend(diagnostics);
        }
    }
}

/// What was found in front of the first FROM and does not belong there.
#[derive(Default)]
struct Outside {
    misplaced: Vec<Located<Instruction>>,
    /// Whether something could not be read, perhaps a FROM: then nothing counts as misplaced.
    is_broken: bool,
}

impl Outside {
    /// Sorts an instruction into the global arguments or what is misplaced.
    fn take(&mut self, instruction: Located<Instruction>, global_args: &mut Vec<Located<Arg>>) {
        match instruction.value.clone() {
            Instruction::Arg(arg) => global_args.push(instruction.map(|_| arg)),
            _ => self.misplaced.push(instruction),
        }
    }

    fn report(self, dockerfile: &Dockerfile, report: &mut Report) {
        if self.is_broken {
            return;
        }
        // One mistake, one message: what follows is misplaced for the same reason.
        if let Some(first) = self.misplaced.first() {
            let hint =
                Some("a stage starts with `FROM image`; only ARG may stand in front of the first".to_owned());
            let message = format!("{} in front of the first FROM", first.value.keyword());
            report.error_with_hint(first.keyword, message, hint);
        } else if dockerfile.stages.is_empty() && report.is_clean() {
            report_no_stages(dockerfile, report);
        }
    }
}

/// Says why a text has no stages, and where it ends without one.
fn report_no_stages(dockerfile: &Dockerfile, report: &mut Report) {
    let text = dockerfile.source.text();
    let end = text.trim_ascii_end().len();
    let message = match dockerfile.global_args.len() {
        0 if text.is_empty() => "the Dockerfile is empty",
        0 => "no instructions in the Dockerfile",
        _ => "no build stage in the Dockerfile",
    };
    let hint = Some("a Dockerfile needs at least `FROM image`".to_owned());
    report.error_with_hint(Span::new(end, end), message, hint);
}
