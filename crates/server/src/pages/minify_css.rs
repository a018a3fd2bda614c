//! Minifies a stylesheet. The build script compiles this file and writes what is served; the crate compiles it only for
//! its unit tests.

/// The stylesheet without comments, and without the whitespace and semicolons that have no meaning in CSS.
///
/// Strings, `url(...)` and escapes are kept as they are. A comment counts as whitespace, and other whitespace becomes one
/// space: between selectors (`a :hover`), values, and the operands of `calc(a + b)` it has a meaning.
pub fn minify(source: &str) -> String {
    let mut minified = String::with_capacity(source.len());
    let mut previous = "";
    let mut rest = source;
    loop {
        let next = after_whitespace(rest);
        let has_whitespace = next.len() < rest.len();
        let (token, after) = next.split_at(token_length(next));
        if token.is_empty() {
            return minified;
        }
        if has_whitespace && keeps_space(previous, token) {
            minified.push(' ');
        }
        if previous == ";" && token == "}" {
            minified.pop();
        }
        minified.push_str(token);
        previous = token;
        rest = after;
    }
}

/// The text after its leading whitespace and comments.
fn after_whitespace(text: &str) -> &str {
    let mut rest = text.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix("/*") {
        rest = comment.split_once("*/").map_or("", |(_, after)| after.trim_ascii_start());
    }
    rest
}

/// Whether whitespace between two tokens has a meaning. Before a colon it has: `a :hover` is not `a:hover`.
fn keeps_space(previous: &str, next: &str) -> bool {
    !matches!(previous, "" | "{" | "}" | ";" | "," | ">" | ":")
        && !matches!(next, "{" | "}" | ";" | "," | ">")
}

/// Bytes of the first token: a string, an unquoted URL, an escape, or one character. 0 at the end of the text.
fn token_length(text: &str) -> usize {
    let mut chars = text.chars();
    match chars.next() {
        None => 0,
        Some(quote @ ('"' | '\'')) => string_length(text, quote),
        Some('\\') => 1 + chars.next().map_or(0, char::len_utf8),
        Some(_) if is_unquoted_url(text) => text.find(')').map_or(text.len(), |end| end + 1),
        Some(first) => first.len_utf8(),
    }
}

/// Bytes of a string with its quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, found) in text.char_indices().skip(1) {
        if !is_escaped && found == quote {
            return at + found.len_utf8();
        }
        is_escaped = !is_escaped && found == '\\';
    }
    text.len()
}

fn is_unquoted_url(text: &str) -> bool {
    let url = text.strip_prefix("url(");
    url.is_some_and(|url| !url.trim_ascii_start().starts_with(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::minify;

    #[test]
    fn whitespace_comments_and_last_semicolons_are_removed() {
        for (source, expected) in [
            ("", ""),
            ("/* All of it. */\n", ""),
            ("/* not closed", ""),
            ("a { color: red; }\n\nb {\n  margin: 0 auto;\n}\n", "a{color:red}b{margin:0 auto}"),
            ("a, b > c { margin: 0; padding: 1px }", "a,b>c{margin:0;padding:1px}"),
            ("a /* one */ { /* two */ color: /* three */ red; /* four */ }", "a{color:red}"),
            ("a { margin: 1px/* and */2px; }", "a{margin:1px 2px}"),
            (
                "@media (max-width: 30rem) {\n  a { top: 0; }\n}",
                "@media (max-width:30rem){a{top:0}}",
            ),
        ] {
            assert_eq!(minify(source), expected, "{source}");
        }
    }

    #[test]
    fn whitespace_with_a_meaning_is_kept() {
        for (source, expected) in [
            ("nav  a { top: 0 }", "nav a{top:0}"),
            ("nav :hover { top: 0 }", "nav :hover{top:0}"),
            ("nav\n*::before { top: 0 }", "nav *::before{top:0}"),
            ("h1 + p, a ~ b { top: 0 }", "h1 + p,a ~ b{top:0}"),
            ("[dir=rtl] .way [open] { top: 0 }", "[dir=rtl] .way [open]{top:0}"),
            ("a:has(> b), a:not(.b) .c { top: 0 }", "a:has(>b),a:not(.b) .c{top:0}"),
            ("a { width: calc(1px + (2px - 3px)) }", "a{width:calc(1px + (2px - 3px))}"),
            ("a { font: 1rem/1.5 x, \"Segoe UI\" }", "a{font:1rem/1.5 x,\"Segoe UI\"}"),
            ("a { grid-area: 2 / 1 / auto / 3 }", "a{grid-area:2 / 1 / auto / 3}"),
            ("a { top: 0 !important; }", "a{top:0 !important}"),
            ("@media screen and (min-width: 1px) { }", "@media screen and (min-width:1px){}"),
        ] {
            assert_eq!(minify(source), expected, "{source}");
        }
    }

    #[test]
    fn strings_urls_and_escapes_are_kept() {
        for kept in [
            "a{content:\" ; } /* no comment */ : \"}",
            "a{content:'it\\'s  > \"one\"'}",
            "a{content:\"✓ \\\\\"}",
            "a{background:url(data:image/png;x, y/*z)}",
            "a{background:url( \"a)  b\" )}",
            "a\\: b{top:0}",
            "a\\> b{top:0}",
        ] {
            assert_eq!(minify(kept), kept);
        }
    }

    #[test]
    fn a_minified_stylesheet_stays_as_it_is() {
        for source in [
            include_str!("../../../../templates/static/countersign.css"),
            include_str!("../../../../templates/static/admin.css"),
            include_str!("../../../../templates/static/example-app.css"),
        ] {
            let minified = minify(source);
            assert!(minified.len() < source.len(), "{} of {} bytes", minified.len(), source.len());
            assert_eq!(minify(&minified), minified);
            assert_eq!(minified.matches('{').count(), source.matches('{').count());
        }
    }
}
