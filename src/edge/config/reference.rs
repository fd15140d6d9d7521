//! The reference of all keys, made from the items that decode them.

use std::fmt::Write as _;

use super::item::{Given, Item};
use super::settings::SECTIONS;
use super::{rooms, tables, trunk};

const HEAD: &str = "\
# Every key of Tandem's configuration, with its type, its default and its meaning.
# Printed by `tandem reference`; the daemon does not read this file.
# A key that is commented out has no value unless it is written.
";

/// The reference as a TOML text: `conf/reference.toml`.
#[must_use]
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    file(&mut out, "tandem.toml");
    for (name, items) in SECTIONS {
        table(&mut out, &format!("[{name}]"), items);
    }
    file(&mut out, "phones.toml");
    table(&mut out, "[[phone]]", tables::PHONE);
    file(&mut out, "trunks.toml");
    table(&mut out, "[[trunk]]", trunk::TRUNK);
    file(&mut out, "profiles/NAME.toml");
    let keys = trunk::OF_PROFILE.join(", ");
    let _ = writeln!(
        out,
        "\n# Keys of [[trunk]] that a profile may write, without a table:\n# {keys}."
    );
    file(&mut out, "numbers.toml");
    table(&mut out, "[[number]]", tables::NUMBER);
    file(&mut out, "routes.toml");
    table(&mut out, "[[route]]", tables::ROUTE);
    file(&mut out, "rooms.toml");
    table(&mut out, "[[room]]", rooms::ROOM);
    out
}

fn file(out: &mut String, name: &str) {
    let _ = writeln!(out, "\n# ---- {name} ----");
}

fn table<T: Default>(out: &mut String, head: &str, items: &[Item<T>]) {
    let _ = writeln!(out, "\n{head}");
    let defaults = T::default();
    for item in items {
        let restart = if item.needs_restart { " A change needs a restart." } else { "" };
        let _ = writeln!(out, "# {}{restart}", item.doc);
        let (mark, value, note) = match &item.given {
            Given::Required { example } => ("", (*example).to_owned(), ", required"),
            Given::Optional { example } => ("# ", (*example).to_owned(), ""),
            Given::Default { shows } => ("", shows(&defaults), ""),
        };
        let _ = writeln!(out, "{mark}{} = {value}   # {}{note}", item.name, item.shape());
    }
}
