//! Changes of `phones.toml` by command: everything that is not changed stays as it is, byte for byte, and a file
//! that the check refuses is never put in place.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::decode::Source;
use super::{Diagnostic, load_instead};

/// A phone to be added.
#[derive(Clone, Copy)]
pub struct NewPhone<'a> {
    /// Its extension.
    pub extension: &'a str,
    /// Who it is.
    pub name: Option<&'a str>,
    /// Its password.
    pub secret: &'a str,
    /// The device's brand.
    pub brand: Option<&'a str>,
    /// The device's hardware address.
    pub mac: Option<&'a str>,
}

/// Why nothing was changed.
#[derive(Debug)]
pub enum EditError {
    /// There is no such phone in the file.
    NoSuchPhone(String),
    /// The configuration would have errors, or has them already.
    Configuration(Vec<Diagnostic>),
    /// Another command is changing the folder, or somebody has changed the file meanwhile.
    Busy(PathBuf),
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPhone(extension) => {
                write!(f, "there is no phone {extension} in phones.toml")
            }
            Self::Configuration(_) => {
                f.write_str("nothing was changed: the configuration would have errors")
            }
            Self::Busy(path) => {
                write!(f, "{} is being changed by somebody else: try again", path.display())
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for EditError {}

/// A change that is in place, and can be taken back. It holds passwords, so it has no `Debug`.
pub struct Edited {
    path: PathBuf,
    before: Option<String>,
    after: String,
    /// What the check warns of, in the whole configuration.
    pub warnings: Vec<Diagnostic>,
    /// Held for its lock until the change stands.
    _lock: File,
}

/// Adds a phone at the end of `phones.toml`.
///
/// # Errors
///
/// [`EditError`]; the file is as it was.
pub fn add_phone(dir: &Path, phone: &NewPhone<'_>) -> Result<Edited, EditError> {
    change(dir, |text| Ok(with_phone(text, phone)))
}

/// Gives a phone another password.
///
/// # Errors
///
/// [`EditError`]; the file is as it was.
pub fn reset_secret(dir: &Path, extension: &str, secret: &str) -> Result<Edited, EditError> {
    change(dir, |text| {
        with_secret(text, extension, secret)
            .ok_or_else(|| EditError::NoSuchPhone(extension.to_owned()))
    })
}

impl Edited {
    /// The file that was changed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file back as it was, unless somebody has changed it since.
    ///
    /// # Errors
    ///
    /// [`EditError`] if it could not be, and then it is as it was changed.
    pub fn undo(self) -> Result<(), EditError> {
        let io = |error| EditError::Io(self.path.clone(), error);
        if read(&self.path)?.as_deref() != Some(&self.after) {
            return Err(EditError::Busy(self.path));
        }
        match &self.before {
            Some(text) => write(&self.path, text),
            None => fs::remove_file(&self.path).map_err(io),
        }
    }
}

fn change(
    dir: &Path,
    edit: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Edited, EditError> {
    let io = |error| EditError::Io(dir.to_owned(), error);
    let lock = File::open(dir).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(EditError::Busy(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => return Err(io(error)),
    }
    let path = dir.join(Source::Phones.file());
    // Behind a link it is the file itself that is replaced, not the link.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let before = read(&path)?;
    let after = edit(before.as_deref().unwrap_or(""))?;
    let loaded = load_instead(dir, (Source::Phones, &after)).map_err(EditError::Configuration)?;
    if read(&path)? != before {
        return Err(EditError::Busy(path));
    }
    write(&path, &after)?;
    Ok(Edited { path, before, after, warnings: loaded.warnings, _lock: lock })
}

fn read(path: &Path) -> Result<Option<String>, EditError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EditError::Io(path.to_owned(), error)),
    }
}

/// Writes a file beside it and puts that in its place, with the same owner and mode: at no time is there half of one.
fn write(path: &Path, text: &str) -> Result<(), EditError> {
    let new = path.with_file_name(format!(".phones.toml.{}", std::process::id()));
    let done = write_new(&new, path, text).and_then(|()| fs::rename(&new, path));
    let done = done.and_then(|()| match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    });
    done.map_err(|error| {
        let _ = fs::remove_file(&new);
        EditError::Io(path.to_owned(), error)
    })
}

fn write_new(new: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    // There are passwords in it: nobody else reads it before it has its mode.
    let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    // A file that is new is for whoever may read tandem.toml.
    let beside = path.with_file_name(Source::Tandem.file());
    let like = fs::metadata(path).or_else(|_| fs::metadata(beside))?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777))?;
    file.sync_all()
}

/// The text with one more phone behind it.
fn with_phone(text: &str, phone: &NewPhone<'_>) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() {
        out.push_str(if out.ends_with('\n') { "\n" } else { "\n\n" });
    }
    out.push_str("[[phone]]\n");
    let lines = [
        ("extension", Some(phone.extension)),
        ("name", phone.name),
        ("secret", Some(phone.secret)),
        ("brand", phone.brand),
        ("mac", phone.mac),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            out.push_str(&format!("{key} = {}\n", basic(value)));
        }
    }
    out
}

/// The text with another password for this phone; `None` if it has no such phone.
fn with_secret(text: &str, extension: &str, secret: &str) -> Option<String> {
    // The parser takes a byte order mark for a key.
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let (root, _) = DeTable::parse_recoverable(&text[mark..]);
    let DeValue::Array(phones) = root.get_ref().get("phone")?.get_ref() else { return None };
    let table = phones.iter().find_map(|phone| match phone.get_ref() {
        DeValue::Table(table) => {
            let own = table.get("extension")?.get_ref();
            matches!(own, DeValue::String(own) if own == extension).then_some(table)
        }
        _ => None,
    })?;
    let span = table.get("secret")?.span();
    let (before, after) = (text.get(..mark + span.start)?, text.get(mark + span.end..)?);
    Some(format!("{before}{}{after}", basic(secret)))
}

/// A TOML string in one line.
fn basic(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\n[[phone]]  # the first\nextension = '1001'\nsecret = \"\"\"\nold\"\"\" # keep\n\n[[phone]]\nsecret = 'a \\ b'\nextension = \"1002\"\nname = \"Bøb\"\n";

    #[test]
    fn a_secret_is_replaced_and_nothing_else() {
        let one = with_secret(TEXT, "1001", "x\"y\\z").unwrap();
        assert_eq!(one, TEXT.replace("\"\"\"\nold\"\"\"", "\"x\\\"y\\\\z\""));
        let two = with_secret(&format!("\u{feff}{TEXT}"), "1002", "new").unwrap();
        assert_eq!(two, format!("\u{feff}{}", TEXT.replace("'a \\ b'", "\"new\"")));
        for (text, extension) in [(TEXT, "1003"), ("", "1001"), ("phone = 1", "1001"), ("[[", "1")]
        {
            assert_eq!(with_secret(text, extension, "new"), None, "{text}");
        }
        let inline = "phone = [{ extension = \"1001\", secret = \"a\" }]\n";
        assert_eq!(with_secret(inline, "1001", "b").unwrap(), inline.replace("\"a\"", "\"b\""));
    }

    /// A folder that is gone after the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("tandem-edit-{:016x}", crate::edge::entropy::seed().unwrap());
            let folder = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(&folder.0).unwrap();
            let tandem = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";
            fs::write(folder.0.join("tandem.toml"), tandem).unwrap();
            folder
        }

        fn phones(&self) -> Option<String> {
            fs::read_to_string(self.0.join("phones.toml")).ok()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn carol(extension: &str) -> NewPhone<'_> {
        NewPhone { extension, name: None, secret: "otter-M3v8k-cedar", brand: None, mac: None }
    }

    #[test]
    fn a_change_is_taken_back_unless_somebody_else_changed_the_file() {
        let folder = Folder::new();
        let edited =
            add_phone(&folder.0, &carol("1003")).map_err(|error| error.to_string()).unwrap();
        assert!(folder.phones().is_some());
        let busy = add_phone(&folder.0, &carol("1004")).err();
        assert!(matches!(busy, Some(EditError::Busy(_))), "one change at a time");
        edited.undo().unwrap();
        assert_eq!(folder.phones(), None, "there was no such file");
        fs::write(folder.0.join("phones.toml"), TEXT).unwrap();
        let edited = reset_secret(&folder.0, "1002", "otter-M3v8k-cedar").ok().unwrap();
        assert_ne!(folder.phones().as_deref(), Some(TEXT));
        edited.undo().unwrap();
        assert_eq!(folder.phones().as_deref(), Some(TEXT));
        let edited = reset_secret(&folder.0, "1002", "otter-M3v8k-cedar").ok().unwrap();
        fs::write(folder.0.join("phones.toml"), "# theirs\n").unwrap();
        assert!(matches!(edited.undo(), Err(EditError::Busy(_))));
        assert_eq!(folder.phones().as_deref(), Some("# theirs\n"));
    }

    #[test]
    fn a_link_is_kept_and_the_mode_of_the_file_too() {
        let folder = Folder::new();
        let real = folder.0.join("real");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("phones.toml"), TEXT).unwrap();
        fs::set_permissions(real.join("phones.toml"), fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.0.join("phones.toml");
        std::os::unix::fs::symlink(real.join("phones.toml"), &link).unwrap();
        drop(add_phone(&folder.0, &carol("1003")).ok().unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(folder.phones().unwrap().contains("1003"));
        assert_eq!(fs::metadata(&link).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(&real).unwrap().count(), 1, "nothing is left over");
        // What the check refuses changes nothing.
        let before = folder.phones();
        let refused = add_phone(&folder.0, &carol("1003")).err();
        assert!(matches!(refused, Some(EditError::Configuration(_))));
        assert_eq!(folder.phones(), before);
    }

    #[test]
    fn a_phone_is_added_behind_what_is_there() {
        let phone = NewPhone {
            extension: "1003",
            name: Some("Zoë \"Z\" \\ \u{200b}"),
            secret: "s",
            brand: None,
            mac: Some("001565abcdef"),
        };
        let block = "[[phone]]\nextension = \"1003\"\nname = \"Zoë \\\"Z\\\" \\\\ \u{200b}\"\nsecret = \"s\"\nmac = \"001565abcdef\"\n";
        assert_eq!(with_phone("", &phone), block);
        assert_eq!(with_phone("# a", &phone), format!("# a\n\n{block}"));
        assert_eq!(with_phone(TEXT, &phone), format!("{TEXT}\n{block}"));
        let parsed: toml::Table = toml::from_str(&with_phone(TEXT, &phone)).unwrap();
        assert_eq!(parsed["phone"].as_array().map(Vec::len), Some(3));
    }
}
