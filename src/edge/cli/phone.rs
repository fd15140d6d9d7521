//! `tandem phone`: one phone in full, and its place in the files.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::{Args, PhoneVerb};
use super::client::{Client, ClientError, typed};
use super::{CliError, Out, show};
use crate::edge::command::reply::{PhoneDetail, ProvisionReply, ReloadReply, StatusReply};
use crate::edge::config::edit::{self, EditError, Edited, NewPhone};
use crate::edge::entropy;
use crate::edge::provisioning::spelt;

/// Where an installed daemon has its configuration.
const DEFAULT_CONFIG: &str = "/etc/tandem";
/// Random bytes of a password: 24 signs that are easy to type.
const SECRET_BYTES: usize = 15;

/// Carries out the verb and returns the exit code.
pub(super) fn run<W: Write>(
    args: &Args,
    verb: &PhoneVerb,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    match verb {
        PhoneVerb::Show { extension, secret } => {
            let params = json!({ "extension": extension, "secret": secret });
            shown(args, "phone.show", params, out)
        }
        PhoneVerb::Clear { extension } => {
            shown(args, "phone.clear", json!({ "extension": extension }), out)
        }
        PhoneVerb::Provision { extension, new_token, print } => {
            let mut client = Client::connect(&args.socket)?;
            let reply = provision(&mut client, extension, *new_token, print.as_deref())?;
            provisioned(&reply, print.is_some(), args.json, out)
        }
        PhoneVerb::Add { extension, name, brand, mac, secret, config } => {
            let secret = password(secret.as_deref(), extension)?;
            let phone = NewPhone {
                extension,
                name: name.as_deref(),
                secret: &secret,
                brand: brand.as_deref(),
                mac: mac.as_deref(),
            };
            let place = Place::find(&args.socket, config.as_deref())?;
            let edited = edit::add_phone(&place.dir, &phone);
            changed(edited, place, (extension, &secret, "is added"), args.json, out)
        }
        PhoneVerb::ResetSecret { extension, secret, config } => {
            let secret = password(secret.as_deref(), extension)?;
            let place = Place::find(&args.socket, config.as_deref())?;
            let edited = edit::reset_secret(&place.dir, extension, &secret);
            changed(edited, place, (extension, &secret, "has a new password"), args.json, out)
        }
    }
}

/// One phone, as it is after this.
fn shown<W: Write>(
    args: &Args,
    method: &str,
    params: Value,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    let reply = Client::connect(&args.socket)?.call(method, params)?;
    let text = if args.json {
        format!("{reply:#}\n")
    } else {
        show::phone(&typed::<PhoneDetail>(reply)?, out.paint)
    };
    out.to.write_all(text.as_bytes())?;
    Ok(0)
}

/// The password that was given, or a random one.
fn password(given: Option<&str>, extension: &str) -> Result<String, CliError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    loop {
        let bytes = entropy::bytes::<SECRET_BYTES>();
        let secret = spelt(&bytes.map_err(|error| CliError::Usage(error.to_string()))?);
        // One in a million would be warned of.
        if !secret.contains(extension) {
            return Ok(secret);
        }
    }
}

/// The folder of the files, and the daemon that reads them, if it runs.
struct Place {
    dir: PathBuf,
    client: Option<Client>,
}

impl Place {
    fn find(socket: &Path, wish: Option<&Path>) -> Result<Self, CliError> {
        let mut client = match Client::connect(socket) {
            Ok(client) => Some(client),
            Err(ClientError::NoSocket(_) | ClientError::NobodyAnswers(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let status = client.as_mut().map(|client| client.call("status", json!({}))).transpose()?;
        let status: Option<StatusReply> = status.map(typed).transpose()?;
        let theirs = status.map(|status| PathBuf::from(status.config));
        let dir = wish.map(Path::to_path_buf).or_else(|| theirs.clone());
        let dir = dir.unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let is_same = theirs.is_some_and(|theirs| real(&theirs) == real(&dir));
        Ok(Self { dir, client: client.filter(|_| is_same) })
    }
}

/// Reloads the daemon after a change, and takes the change back if the daemon refuses it.
fn changed<W: Write>(
    edited: Result<Edited, EditError>,
    mut place: Place,
    (extension, secret, what): (&str, &str, &str),
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    let edited = match edited {
        Ok(edited) => edited,
        Err(error) => return refused(&error, is_json, out),
    };
    let reloaded = place.client.as_mut().map(|client| client.call("reload", json!({})));
    let reloaded = match reloaded.transpose() {
        Ok(reply) => reply.map(typed::<ReloadReply>).transpose()?,
        Err(error) => {
            if let Err(undo) = edited.undo() {
                let words = format!(
                    "the daemon refused the change, and it could not be taken back: {undo}"
                );
                return Err(CliError::Usage(words));
            }
            if let (ClientError::Refused { data, .. }, false) = (&error, is_json) {
                diagnostics(data["diagnostics"].as_array().into_iter().flatten(), out)?;
            }
            return Err(error.into());
        }
    };
    let provision = match (&mut place.client, what) {
        // What is not configured is no reason to fail.
        (Some(client), "is added") => match provision(client, extension, false, None) {
            Ok(reply) => Some(reply),
            Err(ClientError::Refused { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        _ => None,
    };
    if is_json {
        let reply = json!({
            "extension": extension, "secret": secret, "file": edited.path(),
            "is_reloaded": reloaded.is_some(), "warnings": edited.warnings, "provision": provision,
        });
        writeln!(out.to, "{reply:#}")?;
        return Ok(0);
    }
    for warning in &edited.warnings {
        writeln!(out.to, "{warning}")?;
    }
    writeln!(out.to, "Phone {extension} {what} in {}.", edited.path().display())?;
    writeln!(out.to, "password  {secret}")?;
    match reloaded {
        Some(reply) => {
            writeln!(out.to, "{}\nRevision {} is in force.", reply.text, reply.revision)?
        }
        None => writeln!(
            out.to,
            "No daemon that reads this folder runs here: it is in force after a start or a reload."
        )?,
    }
    if what != "is added" {
        let words = "Registrations with the old password are gone. A provisioned phone fetches the new one when it starts;\n\
             if it was lost, `tandem phone provision EXTENSION --new-token` keeps it from doing so.";
        writeln!(out.to, "{words}")?;
    }
    provision.map_or(Ok(0), |reply| provisioned(&json!(reply), false, false, out))
}

/// Says why nothing was changed: 1.
fn refused<W: Write>(error: &EditError, is_json: bool, out: &mut Out<W>) -> Result<u8, CliError> {
    let findings = match error {
        EditError::Configuration(findings) => findings.as_slice(),
        _ => &[],
    };
    if is_json {
        let message = error.to_string();
        let refusal =
            json!({ "error": { "message": message, "data": { "diagnostics": findings } } });
        writeln!(out.to, "{refusal:#}")?;
    } else {
        for finding in findings {
            writeln!(out.to, "{finding}")?;
        }
        writeln!(out.to, "{error}")?;
    }
    Ok(1)
}

fn diagnostics<'v, W: Write>(
    findings: impl Iterator<Item = &'v Value>,
    out: &mut Out<W>,
) -> Result<(), CliError> {
    let text: String = findings.map(show::diagnostic).collect();
    Ok(out.to.write_all(text.as_bytes())?)
}

fn provision(
    client: &mut Client,
    extension: &str,
    is_new: bool,
    file: Option<&str>,
) -> Result<Value, ClientError> {
    let params = json!({ "extension": extension, "new_token": is_new, "file": file });
    client.call("phone.provision", params)
}

/// Prints the address with what to do, or the file alone.
fn provisioned<W: Write>(
    reply: &Value,
    is_file: bool,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    if is_json {
        writeln!(out.to, "{reply:#}")?;
        return Ok(0);
    }
    let reply: ProvisionReply = typed(reply.clone())?;
    let text =
        if is_file { reply.text.unwrap_or_default() } else { show::provision(&reply, out.paint) };
    out.to.write_all(text.as_bytes())?;
    Ok(0)
}
