/// Words that differ by this many edits or more are not what the user meant; BuildKit draws the line here too.
const TOO_FAR: usize = 3;

/// Finds the candidate nearest to a misspelt word: fewer than three insertions, deletions, replacements
/// or swaps of neighbours away.
///
/// The first of several equally near candidates wins. A candidate equal to the word is no suggestion: then spelling
/// was not the mistake.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (1..TOO_FAR).contains(&nearest.0).then_some(nearest.1)
}

/// The hint that goes with a suggestion, with the candidate's text in backticks after `prefix`.
pub(crate) fn hint<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    prefix: &str,
) -> Option<String> {
    did_you_mean(word, candidates).map(|candidate| format!("did you mean `{prefix}{candidate}`?"))
}

/// The number of edits between two words, where swapping two neighbours is one edit (optimal string alignment): `RNU` is
/// nearer to `RUN` than to `ENV`. [`TOO_FAR`] where the lengths alone say that it is no less.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) >= TOO_FAR {
        return TOO_FAR;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, to) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(from != to);
            let nearest = replaced.min(above[column + 1] + 1).min(row[column] + 1);
            let swapped = line > 0 && column > 0 && *from == right[column - 1] && left[line - 1] == *to;
            row.push(if swapped {
                nearest.min(before[column - 1] + 1)
            } else {
                nearest
            });
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested() {
        let check = |word, expected| {
            assert_eq!(
                did_you_mean(word, ["from", "chown", "chmod", "link"]),
                expected,
                "{word}"
            );
        };
        check("form", Some("from"));
        check("frm", Some("from"));
        check("chwon", Some("chown"));
        check("lnik", Some("link"));
        check("from", None);
        check("checksum", None);
        check("", None);
    }

    #[test]
    fn distance_counts_edits() {
        let check = |left, right, expected| assert_eq!(distance(left, right), expected, "{left} {right}");
        check("", "", 0);
        check("ab", "", 2);
        check("", "ab", 2);
        check("kitten", "sitting", 3);
        check("flaw", "lawn", 2);
        check("abc", "abcdef", TOO_FAR);
    }
}
