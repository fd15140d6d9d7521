//! The templates of phones' files: ours, compiled in, and an administrator's in their place.
//!
//! The form of a file is that of its name: `.xml`, `.json`, and lines for anything else. Every value is escaped for
//! that form, whatever the template says, so a display name can neither break a file nor add a setting to it.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::values::Values;

/// Ours, by name.
const OURS: [(&str, &str); 8] = [
    ("yealink.cfg", include_str!("templates/yealink.cfg")),
    ("grandstream.xml", include_str!("templates/grandstream.xml")),
    ("fanvil.xml", include_str!("templates/fanvil.xml")),
    ("snom.xml", include_str!("templates/snom.xml")),
    ("alcatel.xml", include_str!("templates/alcatel.xml")),
    ("flyingvoice.cfg", include_str!("templates/flyingvoice.cfg")),
    ("generic.json", include_str!("templates/generic.json")),
    ("generic.txt", include_str!("templates/generic.txt")),
];
/// Bytes of one template; ours have about 4,000.
const SIZE_MAX: u64 = 256 << 10;
/// Bytes of a file that is made from one.
const FILE_MAX: usize = 1 << 20;
/// Steps of one file, so that a template that runs in circles ends: ours take about 5,000 with every key in use.
const STEPS_MAX: u64 = 200_000;

/// The templates, read and checked; cheap to clone.
#[derive(Clone)]
pub struct Templates {
    environment: Arc<Environment<'static>>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").finish_non_exhaustive()
    }
}

/// What is wrong with a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

impl Templates {
    /// Reads the folder's templates, and ours for those that it does not have. Each is tried out, so that a phone
    /// is not the first to find a mistake.
    ///
    /// # Errors
    ///
    /// The first template that cannot be read or used, with its line; a file that has no template's name.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| TemplateError(error.to_string()))?;
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(STEPS_MAX));
        environment.set_auto_escape_callback(form);
        environment.set_formatter(escape);
        if let Some(folder) = folder {
            known_names(folder)?;
        }
        let mut places = Vec::with_capacity(OURS.len());
        for (name, ours) in OURS {
            let path = folder.map(|folder| folder.join(name));
            let theirs = path.as_deref().map(read).transpose()?.flatten();
            let place = path.filter(|_| theirs.is_some()).unwrap_or_else(|| PathBuf::from(name));
            environment
                .add_template_owned(name, theirs.unwrap_or_else(|| ours.to_owned()))
                .map_err(|error| at(&place, &line(&error)))?;
            places.push((name, place));
        }
        let templates = Self { environment: Arc::new(environment) };
        for (name, place) in &places {
            for sample in Values::samples() {
                templates.render(name, &sample).map_err(|error| at(place, &error.0))?;
            }
        }
        Ok(templates)
    }

    /// Makes a file.
    ///
    /// # Errors
    ///
    /// The template does something with these values that cannot be done, or does not come to an end.
    pub fn render(&self, name: &str, values: &Values) -> Result<String, TemplateError> {
        let made = self.environment.get_template(name).and_then(|template| {
            let mut text = Bounded::default();
            template.render_captured_to(Serde(values), &mut text)?;
            Ok(text.0)
        });
        let bytes = made.map_err(|error| TemplateError(line(&error)))?;
        String::from_utf8(bytes).map_err(|error| TemplateError(error.to_string()))
    }
}

/// Takes so many bytes and no more.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > FILE_MAX {
            return Err(std::io::Error::other("the file is larger than 1 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A template under another name would silently be none.
fn known_names(folder: &Path) -> Result<(), TemplateError> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| TemplateError(format!("{}: {error}", folder.display())))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_known = OURS.iter().any(|(known, _)| *known == name);
        if !is_known && !name.starts_with('.') && !name.ends_with('~') {
            let names = OURS.map(|(known, _)| known).join(", ");
            let path = entry.path();
            return Err(TemplateError(format!("{}: the templates are {names}", path.display())));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>, TemplateError> {
    let read = std::fs::metadata(path).and_then(|meta| {
        if meta.len() > SIZE_MAX {
            return Err(std::io::Error::other("a template has at most 256 KiB"));
        }
        std::fs::read_to_string(path)
    });
    match read {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TemplateError(format!("{}: {error}", path.display()))),
    }
}

fn at(place: &Path, words: &str) -> TemplateError {
    TemplateError(format!("{}:{words}", place.display()))
}

/// The line and what is wrong; what a value was is not said, since some are passwords.
fn line(error: &Error) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{}: {detail}", error.line().unwrap_or(0))
}

fn form(name: &str) -> AutoEscape {
    match name.rsplit_once('.') {
        Some((_, "xml")) => AutoEscape::Custom("xml".into()),
        Some((_, "json")) => AutoEscape::Custom("json".into()),
        _ => AutoEscape::Custom("line".into()),
    }
}

/// Writes a value in the form of its file. What the template calls safe is escaped all the same.
fn escape(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let form = form(state.name());
    let AutoEscape::Custom(form) = &form else { return Ok(()) };
    if form == "json" {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
        return out.write_str(&text).map_err(Error::from);
    }
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let text = if value.is_none() { String::new() } else { value.to_string() };
    for c in text.chars() {
        match c {
            // No form has room for these, and XML forbids them.
            c if c.is_control()
                || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}') =>
            {
                out.write_char(' ')?;
            }
            '&' if form == "xml" => out.write_str("&amp;")?,
            '<' if form == "xml" => out.write_str("&lt;")?,
            '>' if form == "xml" => out.write_str("&gt;")?,
            '"' if form == "xml" => out.write_str("&quot;")?,
            '\'' if form == "xml" => out.write_str("&#39;")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}
