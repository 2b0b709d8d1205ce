//! What holds for any text.

use onlay_dockerfile::{
    Diagnostics, Dockerfile, Escape, Instruction, Located, SourceFile, expand_heredoc, expand_word,
    expand_words, normalise, parse_instructions,
};
use proptest::prelude::*;

/// Pieces that make text likely to mean something.
const PIECES: [&str; 56] = [
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
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat())
}

fn parse(text: &str) -> Result<Vec<Located<Instruction>>, Diagnostics> {
    parse_instructions(SourceFile::new("argument 1", text))
}

/// Uses everything that an accepted or refused text leads to.
fn exercise(text: Vec<u8>) {
    let source = SourceFile::new("Dockerfile", text);
    match Dockerfile::parse(source.clone()) {
        Ok(dockerfile) => {
            for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
                let _ = instruction.expand(&|name: &str| (name == "A").then(|| "value".to_owned()));
            }
        }
        Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
    }
    let _ = parse_instructions(source);
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
    fn no_word_panics(word in "[${}:?+#%/*\\\\'\"` <a-cé-]{0,20}") {
        let scope = |name: &str| (name == "a").then(|| "b c".to_owned());
        let _ = expand_word(&word, &scope, Escape::Backslash);
        let _ = expand_words(&word, &scope, Escape::Backtick);
        let _ = expand_heredoc(&word, &scope);
    }

    #[test]
    fn the_normal_form_reads_back_as_the_same(text in text()) {
        let Ok(instructions) = parse(&text) else { return Ok(()) };
        let normal = normalise(&instructions);
        let again = parse(&normal).map_err(|error| TestCaseError::fail(format!("{normal:?}: {error}")))?;
        prop_assert_eq!(normalise(&again), normal.clone(), "{:?}", text);
        for (left, right) in instructions.iter().zip(&again) {
            let scope = |name: &str| (name == "A").then(|| "value".to_owned());
            prop_assert_eq!(left.expand(&scope).ok(), right.expand(&scope).ok(), "{:?} {:?}", text, normal);
        }
    }
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
