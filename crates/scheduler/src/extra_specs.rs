//! The operators that the value of a flavor's extra spec may begin with, as in Nova.
//!
//! A value whose first word is no operator is compared to the letter.

/// Whether `value`, which a host has, is what `wanted` asks for. A number that cannot be read as
/// one matches nothing.
pub(crate) fn matches(value: &str, wanted: &str) -> bool {
    let mut words = wanted.split_whitespace();
    let operator = words.next().unwrap_or_default();
    match operator {
        // The alternatives stand between further `<or>`: `<or> ssd <or> nvme`.
        "<or>" => return words.step_by(2).any(|word| word == value),
        "<all-in>" => {
            let words: Vec<&str> = words.collect();
            return !words.is_empty() && words.iter().all(|word| value.contains(word));
        }
        _ => {}
    }
    let text =
        |holds: fn(&str, &str) -> bool| words.clone().next().is_some_and(|w| holds(value, w));
    let number = |holds: fn(&f64, &f64) -> bool| {
        let wanted = words.clone().next().and_then(|word| word.parse().ok());
        value.parse().ok().zip(wanted).is_some_and(|(value, wanted)| holds(&value, &wanted))
    };
    match operator {
        "<in>" => text(|value, word| value.contains(word)),
        "s==" => text(|value, word| value == word),
        "s!=" => text(|value, word| value != word),
        "s<" => text(|value, word| value < word),
        "s<=" => text(|value, word| value <= word),
        "s>" => text(|value, word| value > word),
        "s>=" => text(|value, word| value >= word),
        "==" => number(f64::eq),
        "!=" => number(f64::ne),
        "<=" => number(f64::le),
        // Nova reads a lone `=` as "at least".
        "=" | ">=" => number(f64::ge),
        _ => value == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ssd", "ssd", true)]
    #[case("ssd", "hdd", false)]
    #[case("two words", "two words", true)]
    #[case("", "", true)]
    #[case("nvme", "<or> ssd <or> nvme", true)]
    #[case("hdd", "<or> ssd <or> nvme", false)]
    #[case("<or>", "<or> ssd <or> nvme", false)]
    #[case("ssd", "<or>", false)]
    #[case("fast ssd", "<in> ssd", true)]
    #[case("ssd", "<in> fast", false)]
    #[case("aes mmx", "<all-in> aes mmx", true)]
    #[case("aes", "<all-in> aes mmx", false)]
    #[case("aes", "<all-in>", false)]
    #[case("10", ">= 9", true)]
    #[case("8", "= 9", false)]
    #[case("9.0", "== 9", true)]
    #[case("9", "!= 9", false)]
    #[case("9", "<= 8", false)]
    #[case("many", ">= 9", false)]
    #[case("9", ">= many", false)]
    #[case("9", ">=", false)]
    #[case("10", "s< 9", true)]
    #[case("10", "s>= 9", false)]
    #[case("a", "s!= a", false)]
    fn the_operators_mean_what_they_mean_in_nova(
        #[case] value: &str,
        #[case] wanted: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(matches(value, wanted), expected);
    }
}
