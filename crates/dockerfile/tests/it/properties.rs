//! What holds for any text.

use onlay_dockerfile::{
    Diagnostics, Dockerfile, Escape, Instruction, Located, SourceFile, expand_heredoc, expand_word,
    expand_words, lint, normalise, outline, parse_instructions, targets,
};
use proptest::prelude::*;

use crate::lint::Build;

/// Pieces that make text likely to mean something.
const PIECES: [&str; 62] = [
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "LABEL",
    "ARG",
    "EXPOSE",
    "VOLUME",
    "USER",
    "WORKDIR",
    "CMD",
    "ENTRYPOINT",
    "SHELL",
    "HEALTHCHECK",
    "ONBUILD",
    "STOPSIGNAL",
    "FROM",
    "AS",
    "a",
    "b=c",
    "$A",
    "${A:-b}",
    "${",
    "}",
    "\\",
    "\\\n",
    "\\ \t\n",
    "`",
    "\n",
    "\n\n",
    "\r\n",
    "# c\n",
    "# escape=`\n",
    " ",
    "  ",
    "\t",
    "<<EOF",
    "<<-'E F'",
    "EOF\n",
    "\nEOF\n",
    "\tE F\n",
    "[\"a\", \"b\"]",
    "[1]",
    "--link",
    "--mount=type=cache,target=/x",
    "--",
    "'",
    "\"",
    "=",
    "80/udp",
    "é",
    "\u{a0}",
    "\u{b}",
    "\r",
    "\u{feff}",
    "NONE",
    "# check=experimental=all\n",
    "# a b\n",
    "#\n",
    "--platform=$TARGETPLATFORM",
    "--from=0",
    "scratch",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat())
}

/// Lines that can be read, for the most part.
const LINES: [&str; 24] = [
    "ENV A=b $B=$C",
    "ENV A b",
    "LABEL a=$A",
    "ARG A B=$A token",
    "ARG C=${D:?}",
    "WORKDIR a$A",
    "COPY --from=s $A b",
    "COPY --from=1 ignored /",
    "COPY ignored . $Z /",
    "COPY <<a /\n$E\na",
    "ADD https://a b c",
    "RUN --mount=type=secret,id=$A \\\n\n b",
    "RUN --mount=type=ssh --mount=from=s,target=/ b",
    "EXPOSE 80/TCP 1:$A",
    "CMD a",
    "entrypoint [\"a\"]",
    "HEALTHCHECK NONE",
    "SHELL [\"a\"]",
    "MAINTAINER é",
    "ONBUILD ENV A=$B",
    "ONBUILD nonsense",
    "FROM --platform=linux/$A s AS s",
    "FROM scratch as T",
    "# check=skip=all;experimental=all",
];

fn lines() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&LINES[..]), 0..12).prop_map(|lines| lines.join("\n"))
}

fn parse(text: &str) -> Result<Vec<Located<Instruction>>, Diagnostics> {
    parse_instructions(SourceFile::new("argument 1", text))
}

/// Every span that a value holds, however deep, told by its debug form.
fn spans(value: &impl std::fmt::Debug) -> Vec<(usize, usize)> {
    let text = format!("{value:?}");
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse::<usize>()
    };
    text.split("Span { start: ")
        .skip(1)
        .map(|rest| {
            let (start, end) = rest.split_once(", end: ").unwrap();
            (number(start).unwrap(), number(end).unwrap())
        })
        .collect()
}

/// Lints with bases known and unknown, all stages and some, and uses what comes of it.
fn exercise_lint(dockerfile: &Dockerfile) {
    let unknown = Build {
        bases: |_, _| None,
        target: Some("0"),
        ..Build::new()
    };
    for build in [Build::new(), unknown] {
        build.use_options(dockerfile, |options| {
            let report = lint(dockerfile, options).unwrap();
            for warning in &report.warnings {
                assert!(warning.span.start <= warning.span.end);
                assert!(warning.span.end <= dockerfile.source.text().len());
                assert!(*warning.lines().end() <= dockerfile.source.line_count());
                assert!(warning.render().contains(">>>"), "{}", warning.render());
            }
            assert!(serde_json::to_string(&report).is_ok());
            if let Ok(outline) = outline(dockerfile, options) {
                outline.render();
            }
        });
    }
    targets(dockerfile).render();
}

/// Uses everything that an accepted or refused text leads to.
fn exercise(text: Vec<u8>) {
    let length = text.len();
    let check_spans = |value: &dyn Fn() -> Vec<(usize, usize)>| {
        // The debug form of a long text is too long.
        for (start, end) in (length < 1000).then(value).unwrap_or_default() {
            assert!(start <= end && end <= length, "{start} to {end} of {length}");
        }
    };
    let source = SourceFile::new("Dockerfile", text);
    match Dockerfile::parse(source.clone()) {
        Ok(dockerfile) => {
            check_spans(&|| spans(&dockerfile));
            exercise_lint(&dockerfile);
            for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
                let _ = instruction.expand(&|name: &str| (name == "A").then(|| "value".to_owned()));
            }
        }
        Err(diagnostics) => {
            check_spans(&|| spans(&diagnostics));
            assert!(!diagnostics.to_string().is_empty());
        }
    }
    match parse_instructions(source) {
        Ok(instructions) => check_spans(&|| spans(&instructions)),
        Err(diagnostics) => check_spans(&|| spans(&diagnostics)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(bytes);
    }

    #[test]
    fn no_likely_text_panics(text in text()) {
        exercise(text.clone().into_bytes());
        exercise(format!("FROM a\n{text}").into_bytes());
    }

    #[test]
    fn no_stages_panic(stages in prop::collection::vec(lines(), 1..4)) {
        let stages = stages.into_iter().map(|lines| format!("FROM a{} AS s\n{lines}\n", lines.len() % 2));
        exercise(stages.collect::<String>().into_bytes());
    }

    #[test]
    fn no_word_panics(word in "[${}:?+#%/*\\\\'\"` <a-cé-]{0,20}") {
        let scope = |name: &str| (name == "a").then(|| "b c".to_owned());
        let _ = expand_word(&word, &scope, Escape::Backslash);
        let _ = expand_words(&word, &scope, Escape::Backtick);
        let _ = expand_heredoc(&word, &scope);
    }

    #[test]
    fn the_normal_form_reads_back_as_the_same(text in text()) {
        check_normal_form(&text)?;
    }

    #[test]
    fn the_normal_form_does_not_depend_on_layout(lines in prop::collection::vec(laid_out_line(), 1..6)) {
        let (plain, laid_out): (Vec<&str>, Vec<&str>) = lines.iter().map(|(line, laid_out)| (*line, &**laid_out)).unzip();
        let (plain, laid_out) = (plain.join("\n"), laid_out.join("\n"));
        check_normal_form(&laid_out)?;
        let (plain, laid_out) = (parse(&plain).unwrap(), parse(&laid_out).unwrap());
        prop_assert_eq!(normalise(&plain), normalise(&laid_out));
        prop_assert_eq!(meanings(&plain), meanings(&laid_out));
    }
}

/// A line that can be read without FROM, as it is and with other blanks, comments and continuation lines.
fn laid_out_line() -> impl Strategy<Value = (&'static str, String)> {
    let is_readable = |line: &&str| parse(line).is_ok() && !line.starts_with('#');
    let lines: Vec<&str> = LINES.into_iter().filter(is_readable).collect();
    let front = prop::sample::select(vec!["", "\n", "# a comment\n", "  ", "\t", "\r\n"]);
    let gap = prop::sample::select(vec![
        " ",
        " \\\n",
        " \\ \t\n",
        " \\\r\n",
        " \\\n# a comment\n",
        " \\\n\n",
    ]);
    (prop::sample::select(lines), front, gap).prop_map(|(line, front, gap)| {
        // Bodies of heredocs and lines that are continued already stay as they are.
        match line.contains('\n') {
            true => (line, front.to_owned() + line),
            false => (line, front.to_owned() + &line.replace(' ', gap)),
        }
    })
}

/// Parses, prints and parses again: the same instructions, and the same text printed.
fn check_normal_form(text: &str) -> Result<(), TestCaseError> {
    let Ok(instructions) = parse(text) else {
        return Ok(());
    };
    let normal = normalise(&instructions);
    let again = parse(&normal).map_err(|error| TestCaseError::fail(format!("{normal:?}: {error}")))?;
    prop_assert_eq!(normalise(&again), normal.clone(), "{:?}", text);
    prop_assert_eq!(
        meanings(&instructions),
        meanings(&again),
        "{:?} {:?}",
        text,
        normal
    );
    for (left, right) in instructions.iter().zip(&again) {
        let scope = |name: &str| (name == "A").then(|| "value".to_owned());
        prop_assert_eq!(
            left.expand(&scope).ok(),
            right.expand(&scope).ok(),
            "{:?} {:?}",
            text,
            normal
        );
    }
    Ok(())
}

/// What instructions say, wherever it stands: their debug form without the spans.
fn meanings(instructions: &[Located<Instruction>]) -> Vec<String> {
    let without_spans = |instruction: &Located<Instruction>| {
        let text = format!("{:?}", instruction.value);
        let mut pieces = text.split("Span { start: ");
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |text, piece| {
            text + piece.split_once(" }").unwrap_or_default().1
        })
    };
    instructions.iter().map(without_spans).collect()
}

#[test]
fn deep_and_long_texts_are_harmless() {
    exercise(format!("FROM a\nENV A={}", "${A:-".repeat(100_000)).into_bytes());
    exercise(format!("FROM a\nRUN {}1{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes());
    exercise(format!("FROM a\nRUN {}", "\\\n".repeat(100_000)).into_bytes());
    exercise(format!("FROM a\nRUN {}", "<<a ".repeat(1_000)).into_bytes());
    exercise(format!("FROM a\n{}", "ONBUILD ".repeat(100_000)).into_bytes());
    exercise(format!("FROM a\nENV A='{}'", "x".repeat(1_000_000)).into_bytes());
}

#[test]
fn spans_of_what_is_not_utf8_lie_within_the_text() {
    exercise(b"# syntax=\xf9example.com/other\nFROM a".to_vec());
    exercise(b"# escape=\xff\xff\xff\xff`\nFROM a".to_vec());
    exercise(b"FROM a\nCOPY <<E\xac\xb9\xb0\xad".to_vec());
}
