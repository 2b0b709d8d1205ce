/// Words that differ by this many edits or more are not what the user meant; BuildKit draws the line here too.
const TOO_FAR: usize = 3;

/// Finds the candidate nearest to a misspelt word: fewer than three insertions, deletions, replacements
/// or swaps of neighbours away.
///
/// The first of several equally near candidates wins. A candidate equal to the word is no suggestion: then spelling
/// was not the mistake.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut meter = Meter::new(word);
    let nearest = candidates
        .into_iter()
        .map(|candidate| (meter.distance(candidate), candidate))
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

/// Measures words against one, with memory that is used again for each.
struct Meter {
    word: Vec<char>,
    candidate: Vec<char>,
    /// The line before the last, the last, and the one in work.
    lines: [Vec<usize>; 3],
}

impl Meter {
    fn new(word: &str) -> Self {
        Self {
            word: word.chars().collect(),
            candidate: Vec::new(),
            lines: Default::default(),
        }
    }

    /// The number of edits between the words, where swapping two neighbours is one edit (optimal string alignment):
    /// `RNU` is nearer to `RUN` than to `ENV`. [`TOO_FAR`] where it is that much or more.
    fn distance(&mut self, candidate: &str) -> usize {
        let (left, right) = (&self.word, &mut self.candidate);
        right.clear();
        right.extend(candidate.chars());
        if left.len().abs_diff(right.len()) >= TOO_FAR {
            return TOO_FAR;
        }
        let [before, above, row] = &mut self.lines;
        above.clear();
        above.extend(0..=right.len());
        for (line, from) in left.iter().enumerate() {
            row.clear();
            row.push(line + 1);
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
            std::mem::swap(before, above);
            std::mem::swap(above, row);
            // What is that far away in two lines, which is as far as a swap looks back, does not come nearer again.
            if before.iter().chain(&*above).all(|edits| *edits >= TOO_FAR) {
                return TOO_FAR;
            }
        }
        above.last().map_or(0, |edits| (*edits).min(TOO_FAR))
    }
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
        let check =
            |left, right, expected| assert_eq!(Meter::new(left).distance(right), expected, "{left} {right}");
        check("", "", 0);
        check("ab", "", 2);
        check("", "ab", 2);
        check("kitten", "sitting", 3);
        check("flaw", "lawn", 2);
        check("abc", "abcdef", TOO_FAR);
    }
}
