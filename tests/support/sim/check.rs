//! What has to be true of a world, during a call and after the last one.

use std::net::SocketAddr;
use std::time::Duration;

use tandem::switch::call::Call;

use super::sdp;
use super::world::{PhoneId, World};

impl World {
    /// What the phones were told and said is what the media plane does: each side sends to an open port of
    /// ours, and we send to where it listens.
    pub fn assert_media_agrees(&self, a: PhoneId, b: PhoneId) {
        let open = &self.media.open[&self.call()];
        let (ports_a, ports_b) = open.ports.expect("the ports are open");
        for (id, ports, plan) in [(a, ports_a, &open.a), (b, ports_b, &open.b)] {
            let (phone, call) = (&self[id], self[id].last());
            let ours = SocketAddr::new(phone.us.ip(), ports.rtp);
            assert_eq!(sdp::address(&call.remote_sdp), Some(ours), "{} sends to us", phone.name);
            assert_eq!(plan.remote_rtp, sdp::address(&call.local_sdp), "we send to {}", phone.name);
            let (sends, hears) = match sdp::direction(&call.local_sdp) {
                "sendrecv" => (true, true),
                "sendonly" => (true, false),
                "recvonly" => (false, true),
                _ => (false, false),
            };
            assert!(!plan.receive || sends, "{} would send", phone.name);
            assert!(!plan.send || hears, "{} would listen", phone.name);
        }
    }

    /// A live call's timeline.
    fn story_of(&self, call: &Call) -> String {
        let view = call.view(self.instant(), true);
        let mut out = format!("{} {}\n", call.id(), view.phase.word());
        for entry in view.timeline {
            out += &format!(
                "{:>9} {} {} {}\n",
                entry.at.as_millis(),
                entry.leg,
                entry.what,
                entry.text
            );
        }
        out
    }

    /// Lets everything end and checks that nothing is left: no call, dialog, transaction, port or timer of
    /// one, and one record for each call, whose segments add up.
    pub fn assert_empty(&mut self) {
        self.run_for(200_000);
        let live: Vec<_> = self.calls.values().map(|call| self.story_of(call)).collect();
        assert!(live.is_empty(), "live calls:\n{}", live.join("\n"));
        let counts = self.board.counts();
        assert_eq!((counts.calls, counts.dialogs), (0, 0), "calls and dialogs in the directory");
        assert_eq!(
            (counts.client_transactions, counts.server_transactions),
            (0, 0),
            "transactions"
        );
        assert_eq!((counts.messages, counts.lines), (0, 0), "messages and lines");
        assert_eq!(counts.in_rooms, 0, "calls in rooms");
        assert_eq!(counts.stir, 0, "statements of who calls");
        assert!(self.media.open.is_empty(), "open ports: {:?}", self.media.open);
        assert_eq!(self.records.len(), self.begun.len(), "one record for each call");
        for record in &self.records {
            let length = Duration::from_micros(
                u64::try_from(record.ended.0 - record.began.at.0).expect("it ends after it began"),
            );
            let sum: Duration = record.segments.iter().map(|s| s.until - s.from).sum();
            assert_eq!(sum, length, "segments of {}", record.began.call);
            let mut at = Duration::ZERO;
            for segment in &record.segments {
                assert_eq!(segment.from, at, "segments follow each other");
                at = segment.until;
            }
        }
    }
}
