//! The nearest known name to a misspelt one, for "did you mean".

/// The name with the fewest single-character edits, if it is near enough to be meant.
#[must_use]
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // A third of the word may be wrong: `exension` is near, `foo` is not near `to`.
    let mut limit = (word.chars().count() / 3).clamp(1, 4);
    let mut best = None;
    for name in names {
        if name.chars().count().abs_diff(word.chars().count()) > limit {
            continue;
        }
        let distance = edits(word, name);
        if distance < limit || (distance == limit && best.is_none()) {
            best = Some(name);
            limit = distance;
        }
    }
    best
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut older: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            let replaced = above[j - 1] + usize::from(!same);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(older[j - 2] + 1);
            }
        }
        older = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_finds_none() {
        let names = ["extension", "name", "secret", "contacts_max"];
        assert_eq!(nearest("extention", names), Some("extension"));
        assert_eq!(nearest("sercet", names), Some("secret"));
        assert_eq!(nearest("Name", names), Some("name"));
        assert_eq!(nearest("contact_max", names), Some("contacts_max"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("1010", ["1001", "1011"]), Some("1001"));
    }
}
