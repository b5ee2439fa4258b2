//! Colours code: finds the comments, strings, numbers, keywords, types and
//! macros of Python and of Rust, and makes HTML of each line.

/// What code is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Python.
    Python,
    /// Rust.
    Rust,
    /// Anything else, which has no colours.
    Plain,
}

const PYTHON: &[&str] = &[
    "and", "as", "async", "await", "class", "def", "elif", "else", "except", "False", "finally",
    "for", "from", "global", "if", "import", "in", "is", "lambda", "None", "nonlocal", "not", "or",
    "pass", "raise", "return", "True", "try", "while", "with", "yield",
];

const RUST: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "false", "fn",
    "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref",
    "return", "self", "Self", "static", "struct", "super", "trait", "true", "type", "unsafe",
    "use", "where", "while",
];

impl Syntax {
    /// The syntax of a file by the ending of its name.
    pub fn of(file: &str) -> Syntax {
        match file.rsplit('.').next() {
            Some("py") => Syntax::Python,
            Some("rs") => Syntax::Rust,
            _ => Syntax::Plain,
        }
    }

    /// The length of the comment, string, number or word that `code` begins
    /// with, and its class. What is not coloured has the class `""`.
    fn token(self, code: &str) -> (usize, &'static str) {
        let first = code.chars().next().expect("there is code left");
        let comment = match self {
            Syntax::Python => "#",
            Syntax::Rust => "//",
            Syntax::Plain => return (code.len(), ""),
        };
        let while_ = |of: fn(char) -> bool| code.find(|c| !of(c)).unwrap_or(code.len());
        if code.starts_with(comment) {
            return (code.find('\n').unwrap_or(code.len()), "comment");
        }
        if self == Syntax::Python && code.starts_with("\"\"\"") {
            let end = code[3..].find("\"\"\"").map_or(code.len(), |end| end + 6);
            return (end, "comment");
        }
        if first == '"' || self == Syntax::Python && first == '\'' {
            return (quoted(code, first), "string");
        }
        if self == Syntax::Rust && first == '\'' {
            return match (code.chars().nth(1), code.chars().nth(2)) {
                (Some('\\'), _) | (_, Some('\'')) => (quoted(code, '\''), "string"),
                _ => (1, ""),
            };
        }
        if first.is_ascii_digit() {
            return (while_(|c| c.is_alphanumeric() || c == '_'), "number");
        }
        if !first.is_alphabetic() && first != '_' {
            return (first.len_utf8(), "");
        }
        let end = while_(|c| c.is_alphanumeric() || c == '_');
        let (word, rest) = code.split_at(end);
        if self == Syntax::Python && rest.starts_with(['"', '\'']) && end <= 2 {
            let quote = if rest.starts_with('"') { '"' } else { '\'' };
            return (end + quoted(rest, quote), "string");
        }
        let keywords = if self == Syntax::Python { PYTHON } else { RUST };
        let class = if keywords.contains(&word) {
            "keyword"
        } else if self == Syntax::Rust && rest.starts_with('!') && !rest.starts_with("!=") {
            "macro"
        } else if first.is_uppercase() && word.contains(|c: char| c.is_lowercase()) {
            "type"
        } else {
            ""
        };
        (end, class)
    }
}

/// The length of the string in quotes that `code` begins with.
fn quoted(code: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in code.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    code.len()
}

/// The lines of `code` as HTML.
pub fn lines(code: &str, syntax: Syntax) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut rest = code.trim_end_matches('\n');
    while !rest.is_empty() {
        let (length, class) = syntax.token(rest);
        let (token, after) = rest.split_at(length);
        rest = after;
        for (number, piece) in token.split('\n').enumerate() {
            if number > 0 {
                lines.push(String::new());
            }
            let line = lines.last_mut().expect("there is a line");
            match (class, piece) {
                (_, "") => {}
                ("", piece) => line.push_str(&escape(piece)),
                _ => {
                    line.push_str(&format!("<span class=\"{class}\">{}</span>", escape(piece)));
                }
            }
        }
    }
    lines
}

/// `text` with the characters replaced that mean something in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(code: &str, syntax: Syntax) -> Vec<(String, &'static str)> {
        let mut rest = code;
        let mut classes = Vec::new();
        while !rest.is_empty() {
            let (length, class) = syntax.token(rest);
            if !class.is_empty() {
                classes.push((rest[..length].to_string(), class));
            }
            rest = &rest[length..];
        }
        classes
    }

    fn owned(classes: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        classes
            .iter()
            .map(|(token, class)| (token.to_string(), *class))
            .collect()
    }

    #[test]
    fn rust_is_coloured() {
        assert_eq!(
            classes(
                r#"let c: Vec<&'a str> = vec!['"', "\"a"]; // 'b"#,
                Syntax::Rust
            ),
            owned(&[
                ("let", "keyword"),
                ("Vec", "type"),
                ("vec", "macro"),
                ("'\"'", "string"),
                ("\"\\\"a\"", "string"),
                ("// 'b", "comment"),
            ])
        );
    }

    #[test]
    fn python_is_coloured() {
        assert_eq!(
            classes("print(f\"{i}\", 1_000) # it's", Syntax::Python),
            owned(&[
                ("f\"{i}\"", "string"),
                ("1_000", "number"),
                ("# it's", "comment"),
            ])
        );
    }

    #[test]
    fn a_token_of_several_lines_is_coloured_in_each() {
        assert_eq!(
            lines("\"\"\"a\n\nb\"\"\"\nif x < 1:\n", Syntax::Python),
            [
                "<span class=\"comment\">&quot;&quot;&quot;a</span>",
                "",
                "<span class=\"comment\">b&quot;&quot;&quot;</span>",
                "<span class=\"keyword\">if</span> x &lt; <span class=\"number\">1</span>:",
            ]
        );
    }
}
