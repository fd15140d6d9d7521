//! `tandem man`: one page for all verbs.

use std::io::{self, Write};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::args::Args;

/// Writes the page as roff.
pub(super) fn write(to: &mut dyn Write) -> io::Result<()> {
    let mut command = Args::command();
    // Names of global arguments and usage lines are made here.
    command.build();
    let page = Man::new(command.clone());
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    page.render_options_section(to)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    verbs(&command, &mut roff);
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [
        ("0", "It went well."),
        ("1", "The daemon said no, the configuration has errors, or something is left over."),
        ("2", "The command line is wrong, or the daemon cannot be reached."),
    ] {
        roff.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    roff.to_writer(to)?;
    page.render_version_section(to)
}

/// The verbs that can be typed, in the order of `--help`.
fn verbs(command: &Command, roff: &mut Roff) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        if verb.has_subcommands() {
            verbs(verb, roff);
            continue;
        }
        let mut line = vec![bold(verb.get_bin_name().unwrap_or(verb.get_name()))];
        for argument in verb.get_positionals() {
            let name = argument.get_id().as_str().to_uppercase();
            line.extend([roman(" "), italic(name)]);
        }
        roff.control("TP", []).text(line);
        roff.text([roman(verb.get_about().map(ToString::to_string).unwrap_or_default())]);
        let own = verb.get_arguments().filter(|argument| {
            !argument.is_global_set() && !matches!(argument.get_id().as_str(), "help" | "version")
        });
        roff.control("RS", []);
        for argument in own {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let mut head = match argument.get_long() {
                Some(long) => vec![bold(format!("--{long}"))],
                None => vec![italic(argument.get_id().as_str().to_uppercase())],
            };
            if let (Some(_), true, Some(names)) = (
                argument.get_long(),
                argument.get_action().takes_values(),
                argument.get_value_names(),
            ) {
                let name = names.first().map(ToString::to_string).unwrap_or_default();
                head.extend([roman(" "), italic(name)]);
            }
            roff.control("TP", []).text(head).text([roman(help)]);
        }
        roff.control("RE", []);
    }
}
