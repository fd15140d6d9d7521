//! One phone in full, its token, and what the provisioning server asks.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::commands::contact_row;
use super::*;
use crate::edge::command::CommandError;
use crate::edge::command::reply::{PhoneDetail, ProvisionReply};
use crate::edge::config::Loaded;
use crate::edge::provisioning::{self, Ask, Fetched, File, Found, Tokens, Values};
use crate::edge::store::{Store, StoreError};
use crate::switch::guard::bucket::{Bucket, Rate};
use crate::switch::snapshot::Phone;

/// How long the database may take to keep a token before its address is told.
const KEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often one phone may ask, once its token is right: a start takes a handful of files. Each is an event, so a phone
/// that starts again and again must not drive all others out of the stream.
const FETCHES: Rate = Rate::new(30, 30);

/// What the task holds for phones that fetch their files.
#[derive(Debug)]
pub struct Desk {
    /// Whose token is whose.
    pub tokens: Tokens,
    /// The certificates that the server shows.
    pub certificates: watch::Sender<Option<Arc<ServerConfig>>>,
    /// By extension; at most one for each phone.
    fetches: HashMap<String, Bucket>,
    fetched: u64,
    refused: u64,
}

impl Desk {
    /// With the tokens of the database; those that are void are forgotten there too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn open(store: &Store, loaded: &Loaded) -> Result<Self, StoreError> {
        let (tokens, void) = Tokens::restored(store.load_tokens()?, &loaded.snapshot);
        for extension in void {
            store.token_set(extension, None)?;
        }
        let (certificates, _) = watch::channel(loaded.tls.web());
        Ok(Self { tokens, certificates, fetches: HashMap::new(), fetched: 0, refused: 0 })
    }

    /// Files that phones fetched, and requests for one that were refused, since the start.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.fetched, self.refused)
    }
}

impl SwitchboardTask {
    pub(super) fn phone_shown(
        &self,
        extension: &str,
        with_secret: bool,
    ) -> Result<PhoneDetail, CommandError> {
        let now = self.tools.clock.now();
        let snapshot = self.switchboard.snapshot();
        let phone = snapshot
            .phone(extension)
            .ok_or_else(|| CommandError::NoSuchPhone(extension.to_owned()))?;
        let url = self.url_of(extension);
        let values = Values::of(snapshot, phone, "");
        let contacts = self.switchboard.registrar().bindings(extension, now);
        let servers = values.as_ref().map(Values::servers);
        Ok(PhoneDetail {
            extension: extension.to_owned(),
            name: phone.name.clone(),
            is_registered: !contacts.is_empty(),
            calls: self.switchboard.subscriptions().on_the_line(extension) as u64,
            services: self
                .switchboard
                .services()
                .get(extension)
                .map(|services| services.words())
                .unwrap_or_default(),
            contacts: contacts.into_iter().map(|binding| contact_row(binding, now)).collect(),
            domain: values.as_ref().map(|values| values.domain().to_owned()),
            user: extension.to_owned(),
            secret: with_secret.then(|| phone.secret.0.clone()),
            server: servers.map(|(server, _)| server.to_owned()),
            backup_server: servers.and_then(|(_, backup)| backup.map(str::to_owned)),
            transport: snapshot.provisioning.transport.word().to_owned(),
            brand: phone.device.brand.word().to_owned(),
            mac: phone.device.mac.map(|mac| mac.to_string()),
            has_url: url.is_some(),
            url: url.filter(|_| with_secret),
        })
    }

    pub(super) fn phone_cleared(&mut self, extension: &str) -> Result<PhoneDetail, CommandError> {
        if !self.switchboard.clear_services(extension, &mut self.out) {
            return Err(CommandError::NoSuchPhone(extension.to_owned()));
        }
        self.phone_shown(extension, false)
    }

    /// The address of a phone's files, if it has a token.
    fn url_of(&self, extension: &str) -> Option<String> {
        let base = self.switchboard.snapshot().provisioning.url.as_deref()?;
        let token = self.desk.tokens.of(extension)?;
        Some(format!("{base}/p/{token}/"))
    }

    /// Says what to type into a phone, and what its file is; gives it a token if it has none, or a new one.
    pub(super) fn phone_provision(
        &mut self,
        extension: &str,
        (is_new, file): (bool, Option<&str>),
        request: CommandRequest,
    ) {
        let prepared = self.prepare(extension, is_new, file);
        let (reply, made, is_new) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return request.answer::<()>(Err(error)),
        };
        let (store, templates) = (self.tools.store.clone(), self.loaded.templates.clone());
        tokio::task::spawn_local(async move {
            let done = tokio::task::spawn_blocking(move || {
                // An address that a crash takes back would be typed into a phone in vain; and an old one that a
                // crash brings back would be open again.
                if is_new {
                    store.flush(KEEP_TIMEOUT)?;
                }
                let text = made.map(|(file, values)| templates.render(file.template, &values));
                let text =
                    text.transpose().map_err(|error| CommandError::Template(error.to_string()))?;
                Ok(ProvisionReply { text, ..reply })
            });
            let answer = done.await;
            request.answer(answer.unwrap_or(Err(CommandError::Internal("the file failed"))));
        });
    }

    fn prepare(&mut self, extension: &str, is_new: bool, name: Option<&str>) -> Prepared {
        let snapshot = Arc::clone(self.switchboard.snapshot());
        let phone = snapshot
            .phone(extension)
            .ok_or_else(|| CommandError::NoSuchPhone(extension.to_owned()))?;
        if snapshot.provisioning.listen.is_empty() {
            return Err(CommandError::NoProvisioning);
        }
        let device = &phone.device;
        let file = match name {
            None => None,
            Some(name) => match provisioning::find(device, name) {
                Found::File(file) => Some(file),
                _ => return Err(CommandError::NoSuchFile(name.to_owned(), names(phone))),
            },
        };
        let is_new = is_new || self.desk.tokens.of(extension).is_none();
        if is_new {
            let renewed = self.desk.tokens.renew(extension, device.mac);
            let token = renewed.map_err(|_| CommandError::Internal("no randomness"))?;
            self.tools.store.token_set(extension.to_owned(), Some(token))?;
            self.tools.events.publish("phone.token_renewed", &json!({ "extension": extension }));
        }
        let url = self.url_of(extension).ok_or(CommandError::NoProvisioning)?;
        let made = match file {
            None => None,
            Some(file) => {
                let values = Values::of(&snapshot, phone, &url);
                Some((file, values.ok_or(CommandError::NoProvisioning)?))
            }
        };
        let reply = ProvisionReply {
            extension: extension.to_owned(),
            brand: device.brand.word().to_owned(),
            mac: device.mac.map(|mac| mac.to_string()),
            needs_mac: device.mac.is_none() && provisioning::needs_mac(device.brand),
            files: names(phone),
            steps: provisioning::steps(device.brand, &url),
            url,
            is_new,
            text: None,
        };
        Ok((reply, made, is_new))
    }

    /// Answers the provisioning server.
    pub(super) fn web_asked(&mut self, ask: Ask) {
        let now = self.tools.clock.now();
        match ask {
            Ask::Connection { source, reply } => {
                let _ = reply.send(self.switchboard.may_fetch(now, source));
            }
            Ask::File { source, token, file, reply } => {
                let fetched = if self.switchboard.may_fetch(now, source) {
                    self.fetch(source, &token, &file).unwrap_or(Fetched::Nothing)
                } else {
                    Fetched::Silence
                };
                let _ = reply.send(fetched);
            }
        }
    }

    /// The file behind a token; `None` if there is none. Every one is told, and so is a right token with another
    /// device's name; a wrong token counts against its source, and is told by the guard, so that nobody who tries
    /// thousands drives everything else out of the event stream.
    fn fetch(&mut self, source: IpAddr, token: &str, name: &str) -> Option<Fetched> {
        let snapshot = Arc::clone(self.switchboard.snapshot());
        let phone = self.desk.tokens.whose(token).and_then(|extension| snapshot.phone(extension));
        let Some(phone) = phone else {
            self.refuse_fetch(source);
            return None;
        };
        let now = self.tools.clock.now();
        let bucket = self.desk.fetches.entry(phone.extension.clone()).or_default();
        if !bucket.take(now, FETCHES) {
            self.desk.refused += 1;
            return Some(Fetched::TooMany);
        }
        let told = |kind, name: &str| {
            let (extension, from) = (&phone.extension, source.to_string());
            let brand = phone.device.brand.word();
            let fields =
                json!({ "extension": extension, "from": from, "brand": brand, "file": name });
            self.tools.events.publish(kind, &fields);
        };
        match provisioning::find(&phone.device, name) {
            Found::File(file) => {
                let url = self.url_of(&phone.extension)?;
                let values = Box::new(Values::of(&snapshot, phone, &url)?);
                // A name that was found is one of a few words with the phone's MAC in it.
                let name = if name.is_empty() { "the main one" } else { name };
                told("phone.provisioned", name);
                tracing::info!(extension = %phone.extension, %source, file = name, "phone provisioned");
                self.desk.fetched += 1;
                let templates = self.loaded.templates.clone();
                Some(Fetched::File { templates, values, file })
            }
            Found::Nothing => None,
            Found::OtherMac => {
                told("phone.provisioning_refused", "of another device");
                self.refuse_fetch(source);
                None
            }
        }
    }

    fn refuse_fetch(&mut self, source: IpAddr) {
        self.desk.refused += 1;
        let now = self.tools.clock.now();
        self.switchboard.fetch_refused(now, source, &mut self.out);
    }

    /// The configuration was replaced, or its files were read again.
    pub(super) fn desk_reloaded(&mut self) {
        let void = self.desk.tokens.reload(self.switchboard.snapshot());
        for extension in void {
            if let Err(error) = self.tools.store.token_set(extension, None) {
                tracing::error!(%error, "a token is not forgotten");
            }
        }
        let snapshot = self.switchboard.snapshot();
        self.desk.fetches.retain(|extension, _| snapshot.phone(extension).is_some());
        let _ = self.desk.certificates.send(self.loaded.tls.web());
    }
}

/// The answer, the file that was asked for, and whether the token is new.
type Prepared = Result<(ProvisionReply, Option<(File, Values)>, bool), CommandError>;

/// The names that the phone asks for.
fn names(phone: &Phone) -> Vec<String> {
    let mac = phone.device.mac.map_or_else(|| "MAC".to_owned(), |mac| mac.to_string());
    let files = provisioning::files(phone.device.brand).iter();
    files.map(|file| file.name.replace("{mac}", &mac).replace('*', "MODEL")).collect()
}
