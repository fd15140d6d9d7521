//! What the path of a request asks for.

/// Bytes of a path that is looked at.
const PATH_MAX: usize = 256;

/// A phone's file: `/p/TOKEN/FILE`, or `/p/TOKEN/` for the main one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) token: String,
    pub(super) file: String,
}

/// Reads a path; `None` if it is none of ours. Slashes may be doubled, as by phones that put one between an address
/// and a file's name whatever the address ends with.
pub(super) fn wanted(path: &str) -> Option<Wanted> {
    if path.len() > PATH_MAX {
        return None;
    }
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (Some("p"), Some(token)) = (parts.next(), parts.next()) else { return None };
    let file = parts.next().unwrap_or("");
    if parts.next().is_some() {
        return None;
    }
    Some(Wanted { token: token.to_owned(), file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_and_a_file_are_asked_for() {
        let read = |path| wanted(path).map(|wanted| (wanted.token, wanted.file));
        let is = |token: &str, file: &str| Some((token.to_owned(), file.to_owned()));
        assert_eq!(read("/p/abc/x.cfg"), is("abc", "x.cfg"));
        assert_eq!(read("//p//abc//x.cfg"), is("abc", "x.cfg"));
        assert_eq!((read("/p/abc/"), read("/p/abc")), (is("abc", ""), is("abc", "")));
        for path in ["", "/", "/p", "/p/", "/q/abc/x", "/p/abc/x/y", "/P/abc/x"] {
            assert_eq!(read(path), None, "{path}");
        }
        assert_eq!(read(&format!("/p/abc/{}", "x".repeat(300))), None);
    }
}
