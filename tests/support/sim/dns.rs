//! The name server of the tests: what it does not know does not exist.

use tandem::proto::sip::locate::{Answer, Naptr, Question, Srv};

use super::world::{Flying, World};

impl World {
    pub(super) fn ask_dns(&mut self, question: Question) {
        let none = match &question {
            Question::Naptr(_) => Answer::Naptr(Vec::new()),
            Question::Srv(_) => Answer::Srv(Vec::new()),
            Question::Addresses(_) => Answer::Addresses(Vec::new()),
        };
        let answer = self.dns.get(&question).cloned().unwrap_or(none);
        self.asked.push(question.clone());
        if !self.is_dns_dead {
            self.fly(self.now + self.net.latency_us, Flying::Dns(question, answer));
        }
    }

    /// Gives a host addresses.
    pub fn has_addresses(&mut self, name: &str, addresses: &[&str]) {
        let list = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.dns.insert(Question::Addresses(name.into()), Answer::Addresses(list));
    }

    /// Gives a service servers: priority, weight, port, host.
    pub fn has_srv(&mut self, name: &str, records: &[(u16, u16, u16, &str)]) {
        let record = |(priority, weight, port, target): &(u16, u16, u16, &str)| Srv {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: (*target).to_owned(),
        };
        let list = records.iter().map(record).collect();
        self.dns.insert(Question::Srv(name.into()), Answer::Srv(list));
    }

    /// Gives a domain services: order, service, the name with the SRV records.
    pub fn has_naptr(&mut self, name: &str, records: &[(u16, &str, &str)]) {
        let record = |(order, service, replacement): &(u16, &str, &str)| Naptr {
            order: *order,
            preference: 10,
            flags: "S".into(),
            service: (*service).to_owned(),
            regexp: String::new(),
            replacement: (*replacement).to_owned(),
        };
        let list = records.iter().map(record).collect();
        self.dns.insert(Question::Naptr(name.into()), Answer::Naptr(list));
    }
}
