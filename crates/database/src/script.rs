//! The statements of a migration, one by one: each is sent by itself, so that an error is that of
//! one statement, and a process can end between any two.

/// The statements of a script, without the semicolons between them. A semicolon in text or in a
/// comment ends none.
pub(crate) fn statements(script: &str) -> impl Iterator<Item = &str> {
    let mut rest = script;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = end_of_statement(rest);
            let statement = rest[..end].trim();
            rest = rest[end..].strip_prefix(';').unwrap_or(&rest[end..]);
            if says_something(statement) {
                return Some(statement);
            }
        }
        None
    })
}

/// Where the first statement ends: at its semicolon, or with the script.
fn end_of_statement(script: &str) -> usize {
    let mut inside = Inside::Statement;
    let mut letters = script.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        inside = match (inside, letter) {
            (Inside::Statement, ';') => return at,
            (Inside::Statement, '\'' | '"' | '`') => Inside::Quotes(letter),
            (Inside::Statement, '-') if letters.peek().is_some_and(|(_, next)| *next == '-') => {
                Inside::Comment
            }
            (Inside::Quotes(quote), letter) if quote == letter => Inside::Statement,
            (Inside::Comment, '\n') => Inside::Statement,
            (inside, _) => inside,
        };
    }
    script.len()
}

#[derive(Clone, Copy)]
enum Inside {
    Statement,
    Quotes(char),
    Comment,
}

/// Whether Diesel's transaction manager sent this.
pub(crate) fn is_transaction_control(sql: &str) -> bool {
    ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"].iter().any(|word| sql.starts_with(word))
}

fn says_something(statement: &str) -> bool {
    statement.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_at_the_semicolons_that_end_statements() {
        let script = "-- First; a note.\nCREATE TABLE a (b TEXT DEFAULT ';''');\n\n\
                      INSERT INTO a -- so; or so\n VALUES ('x');\n-- The end;\n";
        let found: Vec<&str> = statements(script).collect();
        assert_eq!(
            found,
            [
                "-- First; a note.\nCREATE TABLE a (b TEXT DEFAULT ';''')",
                "INSERT INTO a -- so; or so\n VALUES ('x')",
            ]
        );
        assert_eq!(statements(" \n").count(), 0);
        assert_eq!(statements("SELECT 1").collect::<Vec<_>>(), ["SELECT 1"]);
    }
}
