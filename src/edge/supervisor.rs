//! The daemon's start and end: everything is opened in order, and closed in the reverse one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::call_task::Tools;
use super::clock::Clock;
use super::config::Loaded;
use super::control::{ControlServer, EventLog};
use super::media_io::{MediaConfig, MediaPlane, PortRange};
use super::provisioning::{Ask, WebServer};
use super::recording::{Recorder, RecorderConfig, Terms};
use super::sip_io::SipIo;
use super::sounds::Sounds;
use super::speech::{Listener, Speaker};
use super::store::Store;
use super::switchboard_task::{self, Desk, OUTPUTS_MAX, Setup, restored};
use super::{config, entropy};
use crate::proto::sip::registration::Binding;
use crate::switch::services::PhoneServices;
use crate::switch::switchboard::Switchboard;

/// What happened on the media plane, on its way here. When it is full the workers keep what matters and
/// try again; news that a query tells as well is dropped and counted.
const MEDIA_EVENTS_MAX: usize = 16_384;
/// Commands of all control connections. When it is full a command is answered "busy".
const COMMANDS_MAX: usize = 256;
/// What the provisioning server asks. When it is full a phone is answered 503 and comes again.
const ASKS_MAX: usize = 256;
/// How long the database may take for what is queued at the end.
const STORE_CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the daemon finds its things.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The configuration folder.
    pub config: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The control socket, if it is not the configuration's.
    pub socket: Option<PathBuf>,
}

/// Why the daemon did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration has errors.
    Configuration(Vec<config::Diagnostic>),
    /// Something could not be opened; the words say what.
    Open(String),
}

/// Reads the configuration and runs the daemon until it is told to stop.
///
/// # Errors
///
/// See [`StartError`]; nothing is left open.
pub async fn run(paths: Paths) -> Result<(), StartError> {
    // Told to commands, which run elsewhere.
    let config = std::path::absolute(&paths.config).unwrap_or(paths.config);
    let paths = Paths { config, ..paths };
    let loaded = read_configuration(&paths)?;
    let clock = Clock::start();
    raise_file_limit();
    let store = open_store(&paths.state)?;
    let sip = open_sip(&loaded)?;
    let (media_tx, media_rx) = mpsc::channel(MEDIA_EVENTS_MAX);
    let media = open_media(&loaded, clock, media_tx)?;
    let socket = paths.socket.clone().unwrap_or_else(|| loaded.control.socket.clone());
    let control =
        ControlServer::bind(&socket).map_err(|error| StartError::Open(error.to_string()))?;
    let events = EventLog::new(clock.wall());
    let recorder = open_recorder(&loaded, &paths, clock, &store, &events)?;
    let (outputs_tx, outputs) = mpsc::channel(OUTPUTS_MAX);
    let (commands_tx, commands) = mpsc::channel(COMMANDS_MAX);
    let (stop_tx, stop) = watch::channel(false);
    let (control_stop_tx, control_stop) = watch::channel(false);
    let sounds = Sounds::new(loaded.sounds.clone());
    let tools = Tools {
        clock,
        media: media.handle(),
        store: store.clone(),
        speaker: Speaker::new(
            sounds.clone(),
            Arc::clone(&loaded.speech),
            paths.state.join("speech"),
        ),
        listener: Listener::new(Arc::clone(&loaded.speech), events.clone()),
        sounds,
        recorder: recorder.clone(),
        events: events.clone(),
        switchboard: outputs_tx,
    };
    let switchboard = open_switchboard(&loaded, clock, &sip, &store)?;
    let desk = Desk::open(&store, &loaded).map_err(|error| StartError::Open(error.to_string()))?;
    let (asks_tx, asks) = mpsc::channel(ASKS_MAX);
    let web = open_web(&loaded, &desk, asks_tx)?;
    watch_signals(stop_tx);
    log_addresses(&sip, &socket);
    let serving = tokio::spawn(control.run(commands_tx, events.clone(), control_stop));
    let watchdog = tokio::spawn(feed_watchdog());
    let drain = loaded.snapshot.limits.drain;
    notify(&[sd_notify::NotifyState::Ready]);
    events.publish("daemon.started", &serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
    keep_configuration(&paths, &loaded, &events);
    let setup = Setup {
        switchboard,
        sip,
        tools,
        outputs,
        media: media_rx,
        commands,
        loaded,
        paths,
        asks,
        desk,
        stop,
        drain,
    };
    switchboard_task::run(setup).await;
    notify(&[sd_notify::NotifyState::Stopping]);
    let _ = control_stop_tx.send(true);
    let _ = serving.await;
    watchdog.abort();
    close(web, media, recorder, store).await;
    Ok(())
}

/// Writes what is there, and ends the threads.
async fn close(web: Option<WebServer>, media: MediaPlane, recorder: Recorder, store: Store) {
    let closed = tokio::task::spawn_blocking(move || {
        if let Some(web) = web {
            web.stop();
        }
        media.shutdown();
        recorder.close();
        store.close(STORE_CLOSE_TIMEOUT)
    });
    match closed.await {
        Ok(Ok(())) => tracing::info!("stopped"),
        Ok(Err(error)) => tracing::error!(%error, "records may be missing"),
        Err(_) => tracing::error!("the end itself failed"),
    }
}

/// Reads the files, or the last good copy of them, and says what is wrong.
fn read_configuration(paths: &Paths) -> Result<Loaded, StartError> {
    let (loaded, errors) = config::load_or_last_good(&paths.config, &paths.state)
        .map_err(StartError::Configuration)?;
    for finding in &errors {
        tracing::error!("{finding}");
    }
    if loaded.is_last_good {
        tracing::error!(
            "THE CONFIGURATION HAS ERRORS: started with the last good one; correct the files and reload"
        );
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

/// Keeps a copy of what the daemon started with, or tells that it started with one.
fn keep_configuration(paths: &Paths, loaded: &Loaded, events: &EventLog) {
    if loaded.is_last_good {
        events.publish("config.fallback", &serde_json::json!({}));
    } else if let Err(error) = config::keep(&paths.config, &paths.state) {
        tracing::error!(%error, "no copy of the configuration could be kept");
    }
}

fn open_store(state: &Path) -> Result<Store, StartError> {
    let store = Store::open(state).map_err(|error| StartError::Open(error.to_string()))?;
    let recovered = store.stats().recovered;
    if recovered > 0 {
        tracing::warn!(
            calls = recovered,
            "calls were cut off by the last stop; their records say system_error"
        );
    }
    Ok(store)
}

fn open_sip(loaded: &Loaded) -> Result<SipIo, StartError> {
    let snapshot = &loaded.snapshot;
    let sip = SipIo::bind(&snapshot.sip, &snapshot.limits, loaded.tls.clone())
        .map_err(|error| StartError::Open(error.to_string()))?;
    let wrong = config::one_way_audio(snapshot, sip.locals());
    if wrong.is_empty() { Ok(sip) } else { Err(StartError::Configuration(wrong)) }
}

fn open_media(
    loaded: &Loaded,
    clock: Clock,
    events: mpsc::Sender<(u64, super::media_io::MediaEvent)>,
) -> Result<MediaPlane, StartError> {
    let settings = &loaded.snapshot.media;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = MediaConfig {
        ports: PortRange { low: settings.ports.0, high: settings.ports.1 },
        workers: if settings.workers == 0 { cores } else { settings.workers },
        clock: Arc::new(move || clock.now()),
        seed: entropy::seed().map_err(|error| StartError::Open(error.to_string()))?,
        cname: "tandem".to_owned(),
    };
    MediaPlane::start(&config, Arc::new(events))
        .map_err(|error| StartError::Open(format!("the media plane cannot start: {error}")))
}

/// The recorder. Its folder is made when something is recorded; that it can be is looked at here.
fn open_recorder(
    loaded: &Loaded,
    paths: &Paths,
    clock: Clock,
    store: &Store,
    events: &EventLog,
) -> Result<Recorder, StartError> {
    let settings = &loaded.snapshot.recording;
    let folder =
        settings.folder.as_ref().map_or_else(|| paths.state.join("recordings"), PathBuf::from);
    let (store, events) = (store.clone(), events.clone());
    Recorder::start(RecorderConfig { folder }, Terms::of(settings), clock, store, events)
        .map_err(|error| StartError::Open(format!("the recorder cannot start: {error}")))
}

/// The server of phones' files, if any is configured.
fn open_web(
    loaded: &Loaded,
    desk: &Desk,
    asks: mpsc::Sender<Ask>,
) -> Result<Option<WebServer>, StartError> {
    let listen = &loaded.snapshot.provisioning.listen;
    if listen.is_empty() {
        return Ok(None);
    }
    let web = WebServer::start(listen, desk.certificates.subscribe(), asks)
        .map_err(|error| StartError::Open(error.to_string()))?;
    for listen in &web.addresses {
        tracing::info!(%listen, "provisioning of phones");
    }
    Ok(Some(web))
}

fn open_switchboard(
    loaded: &Loaded,
    clock: Clock,
    sip: &SipIo,
    store: &Store,
) -> Result<Switchboard, StartError> {
    let seed = entropy::bytes::<32>().map_err(|error| StartError::Open(error.to_string()))?;
    let snapshot = Arc::new(loaded.snapshot.clone());
    let (now, wall) = (clock.now(), clock.wall());
    let since_start = i64::try_from(now.as_micros()).unwrap_or(0);
    let epoch = crate::proto::time::Wall(wall.0 - since_start);
    let mut switchboard = Switchboard::new(
        now,
        epoch,
        snapshot,
        sip.locals().clone(),
        seed,
        env!("CARGO_PKG_VERSION"),
    );
    let bindings = store.load_bindings().map_err(|error| StartError::Open(error.to_string()))?;
    for (aor, list) in bindings {
        let bindings = list.iter().filter_map(|stored| restored(stored, now, wall));
        // A phone behind NAT is reached from the socket that it knows, or not at all.
        let list: Vec<_> = bindings
            .filter_map(|binding| Some(Binding { flow: sip.resumed(binding.flow)?, ..binding }))
            .collect();
        switchboard.restore(&aor, list);
    }
    let services = store.load_services().map_err(|error| StartError::Open(error.to_string()))?;
    for (extension, services) in services {
        if !switchboard.restore_services(&extension, services) {
            let forgotten = store.services_set(extension, PhoneServices::default());
            forgotten.map_err(|error| StartError::Open(error.to_string()))?;
        }
    }
    Ok(switchboard)
}

/// Says where we listen and what a peer in each direction is told (the first thing to look at when audio
/// goes one way).
fn log_addresses(sip: &SipIo, socket: &Path) {
    let locals = sip.locals();
    for (transport, bound) in &locals.listeners {
        let advertised = locals.written(*bound, None);
        tracing::info!(listen = %format_args!("{}:{bound}", transport.word()), %advertised, "listening");
    }
    tracing::info!(socket = %socket.display(), "control socket");
}

/// The first SIGTERM or SIGINT drains, the second hangs up. They are taken over at once, before anybody is told that we are
/// there: who is told may ask us to stop.
fn watch_signals(stop: watch::Sender<bool>) {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if stop.send(true).is_err() {
                return;
            }
        }
    });
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}

/// Tells systemd that the daemon lives, twice as often as it asks for.
async fn feed_watchdog() {
    let Some(span) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval(span / 2);
    loop {
        beat.tick().await;
        notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// A relayed call takes four descriptors: the soft limit of a login shell is soon reached.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err()
    {
        tracing::warn!(soft, "the limit of open files could not be raised");
    }
}
