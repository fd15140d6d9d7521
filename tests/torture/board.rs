//! A switchboard with its calls, without sockets and without a clock: bytes in, bytes out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tandem::proto::sip::locals::Locals;
use tandem::proto::sip::registration::Binding;
use tandem::proto::sip::transport::{Dest, Flow, Transport};
use tandem::proto::time::{Instant, Wall};
use tandem::switch::call::{self, Call, MediaOp, Ports};
use tandem::switch::cdr::record::CallId;
use tandem::switch::dtmf::Dtmf;
use tandem::switch::identity::{Forwarding, IdentityHeader, Trust};
use tandem::switch::snapshot::{
    CapsWish, Destination, Dialect, HealthBounds, Limits, MediaForm, Number, PeerAddress, Phone,
    Reliable, Rights, Secret, SipSettings, Snapshot, SrtpPolicy, StirIn, Trunk, TrunkMode,
};
use tandem::switch::switchboard::{Output, Switchboard};

/// Where the trunk's messages come from.
pub(crate) const TRUNK: &str = "203.0.113.7:5060";
/// Where a stranger's messages come from.
pub(crate) const STRANGER: &str = "198.51.100.66:5060";

/// Where the phone 1001 is, if it is registered.
pub(crate) const PHONE: &str = "198.51.100.9:5060";

/// A message that left: where to, and its bytes.
pub(crate) type Sent = (SocketAddr, String);

/// The switchboard under test.
pub(crate) struct Board {
    switchboard: Switchboard,
    calls: BTreeMap<u64, Call>,
    now: Instant,
    sent: Vec<Sent>,
    next_port: u16,
}

impl Board {
    /// One trunk at [`TRUNK`], the number `+862012345678` on it leading to the phone 1001. OPTIONS needs
    /// a login, so that a stranger is challenged whatever it asks.
    pub(crate) fn new() -> Self {
        let now = Instant::START;
        let locals = Locals {
            listeners: vec![
                (Transport::Udp, "192.0.2.1:5060".parse().unwrap()),
                (Transport::Udp, "[2001:db8::10]:5060".parse().unwrap()),
                (Transport::Tcp, "192.0.2.1:5060".parse().unwrap()),
            ],
            ..Locals::default()
        };
        let snapshot = Arc::new(snapshot());
        let switchboard =
            Switchboard::new(now, Wall(1_800_000_000_000_000), snapshot, locals, [5; 32], "test");
        Self { switchboard, calls: BTreeMap::new(), now, sent: Vec::new(), next_port: 20_000 }
    }

    /// The same with the phone 1001 registered at [`PHONE`], so that a caller from the trunk makes it ring.
    pub(crate) fn with_phone() -> Self {
        let mut board = Self::new();
        let flow = Self::flow(PHONE);
        let binding = Binding {
            contact: format!("sip:1001@{PHONE}"),
            expires_at: Instant::from_millis(3_600_000),
            call_id: "registration".into(),
            cseq: 1,
            q: 1000,
            path: Vec::new(),
            instance: None,
            reg_id: None,
            flow,
            user_agent: String::new(),
        };
        board.switchboard.restore("1001", vec![binding]);
        board
    }

    /// Sends one datagram from `source` and returns what the switchboard sent, in order.
    pub(crate) fn datagram(&mut self, source: &str, bytes: &[u8]) -> Vec<Sent> {
        self.receive(Self::flow(source), bytes)
    }

    /// The flow of a datagram from `source`: the listener of its family.
    fn flow(source: &str) -> Flow {
        let remote: SocketAddr = source.parse().unwrap();
        let (listener, local) =
            if remote.is_ipv6() { (1, "[2001:db8::10]:5060") } else { (0, "192.0.2.1:5060") };
        let local = local.parse().unwrap();
        Flow { transport: Transport::Udp, listener, local, remote, connection: 0 }
    }

    /// Hands over one message of a flow.
    pub(crate) fn receive(&mut self, flow: Flow, bytes: &[u8]) -> Vec<Sent> {
        let mut out = Vec::new();
        self.switchboard.receive(self.now, flow, bytes, &mut out);
        self.serve(out);
        std::mem::take(&mut self.sent)
    }

    /// How many transactions, calls and dialogs live.
    pub(crate) fn live(&self) -> (usize, usize, usize) {
        let counts = self.switchboard.counts();
        (counts.client_transactions + counts.server_transactions, counts.calls, counts.dialogs)
    }

    /// Lets virtual time run until nothing is due any more, at most for ten minutes.
    pub(crate) fn settle(&mut self) -> Vec<Sent> {
        let end = Instant::from_millis(self.now.as_millis() + 600_000);
        loop {
            let due = self
                .calls
                .values()
                .filter_map(Call::next_timeout)
                .chain(self.switchboard.next_timeout())
                .min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = due.max(self.now);
            let mut out = Vec::new();
            self.switchboard.handle_timeout(self.now, &mut out);
            self.serve(out);
            let ids: Vec<_> = self.calls.keys().copied().collect();
            for id in ids {
                self.with_call(id, |call, now, out| call.handle_timeout(now, out));
            }
        }
        std::mem::take(&mut self.sent)
    }

    fn serve(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                // Nobody answers: what waits goes on after a while.
                Output::Ask(_) | Output::Verify { .. } | Output::Sign { .. } => {}
                Output::Transmit { dest, packet, .. } => {
                    let to = match &dest {
                        Dest::Flow(flow) => flow.remote,
                        Dest::Hop(hop) => {
                            hop.socket_address().unwrap_or_else(|| "0.0.0.0:0".parse().unwrap())
                        }
                    };
                    self.sent.push((to, String::from_utf8_lossy(&packet).into_owned()));
                }
                Output::StartCall(start) => {
                    let id = start.began.call;
                    let mut out = Vec::new();
                    let call = Call::begin(self.now, *start, &mut out);
                    self.calls.insert(id.0, call);
                    self.serve_call(id, out);
                }
                Output::ToCall(id, input) => {
                    self.with_call(id.0, |call, now, out| call.handle(now, *input, out));
                }
                Output::StoreBindings { .. }
                | Output::Event { .. }
                | Output::CutOff(_)
                | Output::StoreServices { .. } => {}
            }
        }
    }

    fn with_call(&mut self, id: u64, act: impl FnOnce(&mut Call, Instant, &mut Vec<call::Output>)) {
        let mut out = Vec::new();
        if let Some(call) = self.calls.get_mut(&id) {
            act(call, self.now, &mut out);
        }
        self.serve_call(CallId(id), out);
    }

    fn serve_call(&mut self, id: CallId, outputs: Vec<call::Output>) {
        for output in outputs {
            let media = match &output {
                call::Output::Media(MediaOp::Open { .. }) => Some(self.ports()),
                call::Output::Media(MediaOp::Close) => {
                    Some(call::Input::MediaClosed(Box::default()))
                }
                _ => None,
            };
            let is_done = matches!(output, call::Output::Done);
            let mut out = Vec::new();
            self.switchboard.from_call(self.now, id, output, &mut out);
            if is_done {
                self.calls.remove(&id.0);
            }
            self.serve(out);
            if let Some(input) = media {
                self.with_call(id.0, |call, now, out| call.handle(now, input, out));
            }
        }
    }

    fn ports(&mut self) -> call::Input {
        let mut pair = || {
            self.next_port = self.next_port.wrapping_add(2).max(20_000);
            Ports { rtp: self.next_port, rtcp: self.next_port + 1 }
        };
        call::Input::MediaOpened { a: pair(), b: pair() }
    }
}

fn snapshot() -> Snapshot {
    let (host, port) = TRUNK.split_once(':').unwrap();
    let peer =
        |host: &str, port| PeerAddress { transport: None, host: host.into(), port: Some(port) };
    let trunk = Trunk {
        name: "carrier".into(),
        mode: TrunkMode::Peer,
        peers: vec![peer(host, port.parse().unwrap()), peer("2001:db8::9:1", 5060)],
        user: None,
        secret: Secret::default(),
        registrar: None,
        expires: std::time::Duration::from_secs(3600),
        caller_id: None,
        ring_timeout: None,
        try_timeout: std::time::Duration::from_secs(6),
        large_to_tcp: true,
        probe: std::time::Duration::ZERO,
        caps: CapsWish::default(),
        reliable: Reliable::default(),
        dtmf: Dtmf::default(),
        record: Default::default(),
        auth_user: None,
        replaces: false,
        outbound: false,
        keepalive: std::time::Duration::ZERO,
        health: HealthBounds::default(),
        stir_in: StirIn::Note,
        stir_out: false,
        srtp: SrtpPolicy::default(),
        media: MediaForm::default(),
        dialect: Dialect {
            trust: Trust { inward: true, outward: true },
            identity: vec![IdentityHeader::Asserted, IdentityHeader::RemoteParty],
            forwarding: vec![Forwarding::Diversion, Forwarding::History],
            ..Dialect::default()
        },
        profile: None,
        written: Vec::new(),
    };
    let phone = Phone {
        extension: "1001".into(),
        name: "Alice".into(),
        secret: Secret("a password".into()),
        contacts_max: None,
        ring_timeout: None,
        rights: Rights::default(),
        reliable: Reliable::default(),
        dtmf: Dtmf::default(),
        record: Default::default(),
        pickup_groups: Vec::new(),
        device: Default::default(),
        withhold: false,
        location: Vec::new(),
        record_key: false,
        auto_answer_for: Vec::new(),
        srtp: SrtpPolicy::default(),
        media: MediaForm::default(),
    };
    Snapshot {
        sip: SipSettings { authenticate_options: true, ..SipSettings::default() },
        limits: Limits::default(),
        phones: [("1001".to_owned(), phone)].into(),
        trunks: vec![trunk],
        numbers: vec![Number {
            number: "+862012345678".into(),
            trunk: "carrier".into(),
            to: Destination::Phone("1001".into()),
        }],
        ..Snapshot::default()
    }
}
