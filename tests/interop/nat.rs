//! A phone behind a NAT, in network namespaces of the test's own: it registers, calls and is called, and both hear.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::baresip::{Baresip, Way, start_by};
use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::tone;
use crate::programs;

/// Says that we are in a namespace already.
const INSIDE: &str = "TANDEM_TEST_NAMESPACE";
/// How long the caller stays on the line, in seconds.
const STAYS: u32 = 5;
/// The server's address on the NAT's side.
const SERVER: &str = "10.77.1.1";
/// The NAT's, as the server sees it.
const OUTSIDE: &str = "10.77.1.2";
/// The phone's own.
const PHONE: &str = "192.168.77.2";

/// The server here, the NAT and the phone in namespaces behind it. The NAT gives every flow a port at random, and
/// lets in what answers a packet from inside.
const NETWORK: &str = "
set -e
export PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
ip netns add nat
ip netns add phone
ip link add s0 type veth peer name n0 netns nat
ip -n nat link add n1 type veth peer name p0 netns phone
ip address add 10.77.1.1/24 dev s0
ip link set s0 up
ip -n nat address add 10.77.1.2/24 dev n0
ip -n nat address add 192.168.77.1/24 dev n1
for link in lo n0 n1; do ip -n nat link set $link up; done
ip -n phone address add 192.168.77.2/24 dev p0
for link in lo p0; do ip -n phone link set $link up; done
ip -n phone route add default via 192.168.77.1
ip netns exec nat sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
ip netns exec nat nft -f - <<END
table ip nat {
  chain out {
    type nat hook postrouting priority 100;
    oifname n0 masquerade fully-random
  }
}
table ip filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname n1 accept
    ct state established accept
  }
}
END
";

fn shell(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the story in namespaces that end with it; as root, or as a user who is root in there.
#[test]
fn a_phone_behind_a_nat_calls_and_is_called() {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    let flags = if user == 0 { "-nm" } else { "-Urnm" };
    let script = "mount -t tmpfs none /run && mkdir /run/netns && exec \"$0\" --exact nat::a_phone_behind_a_nat_calls_and_is_called --nocapture";
    let output = Command::new("unshare")
        .args([flags, "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(output.status.success() && said[0].contains("1 passed"), "{}", said.concat());
}

fn story() {
    shell(NETWORK);
    let port = free_port();
    let daemon = Daemon::listening(programs(), port, &[format!("udp:0.0.0.0:{port}")], &[]);
    let inside = Way { netns: Some("phone"), server: SERVER, own: PHONE, ..Way::plain(port) };
    let outside = Way::plain(port);
    for caller_is_inside in [true, false] {
        let (caller, called) = if caller_is_inside {
            ((&inside, SECRETS[0], 440.0), (&outside, SECRETS[1], 660.0))
        } else {
            ((&outside, SECRETS[1], 660.0), (&inside, SECRETS[0], 440.0))
        };
        let start =
            |(way, who, tone): (&Way<'_>, _, _), stays, account: &str, dial: Option<&str>| {
                start_by(way, &daemon, who, (tone, stays), account, dial)
            };
        let mut answers = start(called, STAYS + 8, "answermode=auto", None);
        let extension = called.1.0;
        daemon.wait_for("the called phone to register", |daemon| {
            let phones = daemon.ask(&["phones"]);
            let rows = phones.as_array().unwrap();
            rows.iter().any(|row| row["extension"] == extension && row["contacts"][0].is_object())
        });
        let dial = format!("/dial sip:{extension}@{}:{port}", caller.0.server);
        let mut dials = start(caller, STAYS, "answermode=manual", Some(&dial));
        let seen = || daemon.ask(&["phones"])[0]["contacts"][0].clone();
        daemon.wait_for("1001 to register", |_| seen().is_object());
        let contact = seen();
        assert!(contact["uri"].as_str().unwrap().contains(PHONE), "{contact}");
        assert!(contact["from"].as_str().unwrap().starts_with(OUTSIDE), "{contact}");
        dials.child.wait().unwrap();
        let records = daemon.wait_for_records(if caller_is_inside { 1 } else { 2 });
        assert!(records.iter().all(|record| record["cause"] == "normal"), "{records:?}");
        let _ = answers.child.kill();
        let _ = answers.child.wait();
        assert_hears(&answers, caller.2);
        assert_hears(&dials, called.2);
        drop((answers, dials));
        // Their folders are theirs; the next two begin anew.
        for (extension, _) in SECRETS {
            let _ = std::fs::remove_dir_all(daemon.dir.join(format!("baresip-{extension}")));
        }
    }
    daemon.assert_healthy();
}

fn assert_hears(who: &Baresip, frequency: f64) {
    let heard = tone::listen(&who.heard(), frequency);
    assert!(heard.seconds > f64::from(STAYS) - 2.0, "{frequency} Hz: {heard:?}");
    assert!(heard.longest_gap_ms < 40.0 && heard.purity > 0.9, "{frequency} Hz: {heard:?}");
}
