//! Brace expansion, which bash has and the other shells have not: `a{b,c}` is `ab ac`.

use crate::ast::{Part, Word};
use crate::halt::Halt;
use crate::outcome::Reason;

/// How many words one word may become.
const MAX_WORDS: usize = 4096;

/// How deeply braces may be nested.
const MAX_DEPTH: usize = 32;

/// Expands the braces of a word.
///
/// # Errors
/// Sequences (`{1..9}`) and too many words are refused.
pub(crate) fn expand(word: &Word) -> Result<Vec<Word>, Halt> {
    let atoms: Vec<Part> = word.parts.iter().flat_map(atoms).collect();
    let words = alternatives(&atoms, 0)?;
    Ok(words
        .into_iter()
        .map(|parts| Word {
            parts,
            offset: word.offset,
        })
        .collect())
}

/// Unquoted bytes one by one, everything else as it is.
fn atoms(part: &Part) -> Vec<Part> {
    match part {
        Part::Literal(bytes) => bytes.iter().map(|byte| Part::Literal(vec![*byte])).collect(),
        other => vec![other.clone()],
    }
}

fn is_byte(part: &Part, byte: u8) -> bool {
    matches!(part, Part::Literal(bytes) if bytes.as_slice() == [byte])
}

/// All that the first pair of braces with a comma in it, and those inside and behind it, make of the atoms.
fn alternatives(atoms: &[Part], depth: usize) -> Result<Vec<Vec<Part>>, Halt> {
    if depth > MAX_DEPTH {
        return Err(Halt::refused(
            "{",
            Reason::Limit {
                limit: MAX_DEPTH,
                of: "pairs of braces",
            },
        ));
    }
    for open in (0..atoms.len()).filter(|index| is_byte(&atoms[*index], b'{')) {
        let Some((close, commas)) = extent(&atoms[open + 1..]) else {
            continue;
        };
        let inner = &atoms[open + 1..open + 1 + close];
        if commas.is_empty() {
            if inner
                .windows(2)
                .any(|pair| pair.iter().all(|atom| is_byte(atom, b'.')))
            {
                return Err(Halt::refused("{..}", Reason::Syntax("a sequence in braces is")));
            }
            continue;
        }
        let tails = alternatives(&atoms[open + 1 + close + 1..], depth + 1)?;
        let mut words = Vec::new();
        for branch in branches(inner, &commas) {
            for middle in alternatives(branch, depth + 1)? {
                words.extend(tails.iter().map(|tail| [&atoms[..open], &middle, tail].concat()));
            }
        }
        if words.len() > MAX_WORDS {
            return Err(Halt::refused(
                "{",
                Reason::Limit {
                    limit: MAX_WORDS,
                    of: "words from one",
                },
            ));
        }
        return Ok(words.into_iter().map(join).collect());
    }
    Ok(vec![join(atoms.to_vec())])
}

/// Behind an opening brace: where it closes, and the commas that are its own.
fn extent(atoms: &[Part]) -> Option<(usize, Vec<usize>)> {
    let mut depth = 0;
    let mut commas = Vec::new();
    for (index, atom) in atoms.iter().enumerate() {
        if is_byte(atom, b'{') {
            depth += 1;
        } else if is_byte(atom, b'}') {
            if depth == 0 {
                return Some((index, commas));
            }
            depth -= 1;
        } else if is_byte(atom, b',') && depth == 0 {
            commas.push(index);
        }
    }
    None
}

fn branches<'a>(atoms: &'a [Part], commas: &[usize]) -> Vec<&'a [Part]> {
    let starts = std::iter::once(0).chain(commas.iter().map(|comma| comma + 1));
    let ends = commas.iter().copied().chain([atoms.len()]);
    starts.zip(ends).map(|(start, end)| &atoms[start..end]).collect()
}

/// Puts neighbouring bytes together again.
fn join(atoms: Vec<Part>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for atom in atoms {
        match (parts.last_mut(), atom) {
            (Some(Part::Literal(bytes)), Part::Literal(more)) => bytes.extend(more),
            (_, atom) => parts.push(atom),
        }
    }
    parts
}
