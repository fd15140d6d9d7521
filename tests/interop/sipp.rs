//! Running sipp with the scenarios of `tests/interop/sipp`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::live::daemon::Daemon;

/// A sipp process with one scenario.
pub(crate) struct Sipp {
    child: Option<Child>,
    what: String,
    folder: PathBuf,
}

/// What a caller does after its INVITE was answered: acknowledge, wait so many milliseconds, hang up.
pub(crate) fn talk(milliseconds: u32) -> String {
    format!(
        "<recv response=\"200\" rrs=\"true\" />{}<pause milliseconds=\"{milliseconds}\" />{}<recv response=\"200\" />",
        request("ACK", 1, ""),
        request("BYE", 2, "")
    )
}

/// A request of the trunk caller inside its dialog.
pub(crate) fn request(method: &str, cseq: u32, body: &str) -> String {
    let (retransmit, content) = match method {
        "ACK" => ("", "Content-Length: 0\n\n".to_owned()),
        _ if body.is_empty() => (" retrans=\"500\"", "Content-Length: 0\n\n".to_owned()),
        _ => (
            " retrans=\"500\"",
            format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{body}\n"),
        ),
    };
    format!(
        "<send{retransmit}><![CDATA[\n{method} [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]\nFrom: \"Caller\" <sip:+8613800138000@[local_ip]:[local_port]>;tag=[call_number]\nTo: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]\nCall-ID: [call_id]\nCSeq: {cseq} {method}\nContact: <sip:+8613800138000@[local_ip]:[local_port];transport=[transport]>\nMax-Forwards: 70\n{content}\n]]></send>"
    )
}

/// We tell it by a re-INVITE who is at the other end now; it answers with the description that it has.
pub(crate) const RE_INVITED: &str = r#"<recv request="INVITE" />
  <send retrans="500"><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=sipp 53655765 2353687637 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0 101
      a=rtpmap:0 PCMU/8000
      a=rtpmap:101 telephone-event/8000

  ]]></send>
  <recv request="ACK" />"#;

/// The end of a called side's scenario: the BYE and its answer.
pub(crate) const HUNG_UP: &str = "<recv request=\"BYE\" /><send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>";

impl Sipp {
    /// Starts sipp. `put` fills the places `{{name}}` of the scenario.
    pub(crate) fn start(
        daemon: &Daemon,
        scenario: &str,
        put: &[(&str, &str)],
        port: u16,
        args: &[&str],
    ) -> Self {
        let source =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sipp").join(scenario);
        let mut text = std::fs::read_to_string(&source).unwrap();
        for (name, value) in put {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        assert!(!text.contains("{{"), "{scenario} has unfilled places");
        // sipp takes the indentation of a message for part of it only inside headers: it strips it itself.
        let folder =
            daemon.dir.join(format!("sipp-{}-{port}-{}", scenario.replace('.', "-"), text.len()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("scenario.xml");
        std::fs::write(&file, text).unwrap();
        let child = Command::new("sipp")
            .arg(format!("127.0.0.1:{}", daemon.port))
            .arg("-sf")
            .arg(&file)
            .args([
                "-i",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-nostdin",
                "-timeout",
                "60s",
                "-timeout_error",
            ])
            .args([
                "-trace_err",
                "-trace_msg",
                "-error_file",
                "errors.log",
                "-message_file",
                "messages.log",
            ])
            .args(args)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("sipp is needed (Debian: sip-tester): {error}"));
        Self { child: Some(child), what: scenario.to_owned(), folder }
    }

    /// Waits until every call of it went as its scenario says.
    pub(crate) fn succeed(mut self) {
        let status = self.child.take().unwrap().wait().unwrap();
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        assert!(
            status.success(),
            "{}: {status}\n{}\n{}",
            self.what,
            read("errors.log"),
            read("messages.log")
        );
    }

    /// What it sent and received so far.
    pub(crate) fn messages(&self) -> String {
        std::fs::read_to_string(self.folder.join("messages.log")).unwrap_or_default()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
