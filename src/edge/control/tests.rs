//! The socket as a client sees it: real connections in a directory of their own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::edge::command::{Command, CommandError, CommandRequest};
use crate::proto::time::Wall;
use crate::switch::cdr::record::CallId;

/// A server whose switch knows one answer, gone after the test.
struct Server {
    dir: PathBuf,
    events: EventLog,
    _stop: watch::Sender<bool>,
}

impl Server {
    fn path(&self) -> PathBuf {
        self.dir.join("run/control.sock")
    }

    fn start() -> Self {
        let name = format!("tandem-ctl-{:016x}", crate::edge::entropy::seed().unwrap());
        let dir = std::env::temp_dir().join(name);
        let (stop, stopped) = watch::channel(false);
        let server = Self { dir, events: EventLog::new(Wall(1000)), _stop: stop };
        let (sender, mut requests) = mpsc::channel::<CommandRequest>(8);
        let control = ControlServer::bind(&server.path()).unwrap();
        tokio::spawn(control.run(sender, server.events.clone(), stopped));
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request.command.clone() {
                    Command::Status => request.answer(Ok(json!({ "calls": 3 }))),
                    Command::CallShow { call } => {
                        request.answer::<Value>(Err(CommandError::NoSuchCall(call)));
                    }
                    _ => drop(request),
                }
            }
        });
        server
    }

    async fn client(&self) -> Client {
        let (reader, writer) = UnixStream::connect(self.path()).await.unwrap().into_split();
        Client { lines: BufReader::new(reader).lines(), writer }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn send(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.ok().flatten()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.send(line).await;
        self.next().await.unwrap()
    }
}

const STATUS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#;

#[tokio::test]
async fn a_command_is_answered_and_its_error_has_a_code() {
    let server = Server::start();
    let mut client = server.client().await;
    let answer = client.ask(STATUS).await;
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 1, "result": {"calls": 3}}));
    let answer = client
        .ask(r#"{"jsonrpc":"2.0","id":"x","method":"call.show","params":{"call":"ab"}}"#)
        .await;
    let error = json!({"code": -32001, "message": format!("there is no call {}", CallId(0xab))});
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "x", "error": error}));
    let answer = client.ask(r#"{"jsonrpc":"2.0","id":2,"method":"doctor"}"#).await;
    assert_eq!(answer["error"]["code"], -32004, "a dropped request is answered all the same");
    let answer = client.ask("{nonsense").await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32700)));
}

#[tokio::test]
async fn a_batch_has_one_answer_and_a_notification_none() {
    let server = Server::start();
    let mut client = server.client().await;
    client.send(r#"{"jsonrpc":"2.0","method":"status"}"#).await;
    client.send(r#"[{"jsonrpc":"2.0","method":"status"}]"#).await;
    let batch = format!("[{STATUS}, 5, {{\"jsonrpc\":\"2.0\",\"method\":\"status\"}}]");
    let answer = client.ask(&batch).await;
    let list = answer.as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["result"]["calls"], 3);
    assert_eq!(list[1]["error"]["code"], -32600);
}

#[tokio::test]
async fn many_lines_in_one_write_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.client().await;
    let lines: String =
        (0..500).map(|id| format!("{}\n", STATUS.replace(":1,", &format!(":{id},")))).collect();
    client.writer.write_all(lines.as_bytes()).await.unwrap();
    for id in 0..500 {
        assert_eq!(client.next().await.unwrap()["id"], id);
    }
}

#[tokio::test]
async fn a_line_without_end_is_answered_and_the_connection_closed() {
    let server = Server::start();
    let Client { mut lines, mut writer } = server.client().await;
    // The server stops reading after its limit, so the writer may be cut off.
    let flood = tokio::spawn(async move {
        let _ = writer.write_all(&vec![b'x'; connection::LINE_MAX + 1]).await;
    });
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.contains("longer than 1 MiB"), "{line}");
    assert!(!matches!(lines.next_line().await, Ok(Some(_))));
    flood.await.unwrap();
}

#[tokio::test]
async fn events_are_replayed_and_followed_without_a_hole() {
    let server = Server::start();
    server.events.publish("call.began", &json!({"call": "a"}));
    server.events.publish("call.ended", &json!({"call": "a"}));
    let mut client = server.client().await;
    let answer = client
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"since":1001}}"#)
        .await;
    assert_eq!(answer["result"]["replayed"], 1);
    let event = client.next().await.unwrap();
    assert_eq!((&event["method"], &event["params"]["seq"]), (&json!("event"), &json!(1002)));
    assert_eq!(event["params"]["kind"], "call.ended");
    server.events.publish("call.began", &json!({"call": "b"}));
    assert_eq!(client.next().await.unwrap()["params"]["seq"], 1003);
    assert_eq!(client.ask(STATUS).await["result"]["calls"], 3, "commands go on meanwhile");
    let again = client.ask(r#"{"jsonrpc":"2.0","id":2,"method":"events.subscribe"}"#).await;
    assert_eq!(again["error"]["code"], -32600);
}

#[tokio::test]
async fn what_is_too_old_begins_with_a_gap() {
    let server = Server::start();
    server.events.publish("a", &json!({}));
    let mut client = server.client().await;
    client
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"since":7}}"#)
        .await;
    let gap = client.next().await.unwrap();
    assert_eq!(gap["method"], "events.gap");
    assert_eq!(gap["params"], json!({"from": 8, "to": 1000}));
    assert_eq!(client.next().await.unwrap()["params"]["seq"], 1001);
}

/// The test's runtime has one thread, so the connection cannot read while this one publishes.
#[tokio::test]
async fn a_reader_that_falls_behind_is_disconnected_with_a_reason() {
    let server = Server::start();
    let mut client = server.client().await;
    client.ask(r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}"#).await;
    for _ in 0..=events::EVENTS_MAX {
        server.events.publish("a", &json!({}));
    }
    let last = client.next().await.unwrap();
    assert_eq!(last["method"], "events.closed");
    assert_eq!(last["params"], json!({"reason": "slow_reader", "from": 1001, "to": 1001}));
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_a_second_daemon_is_refused() {
    let server = Server::start();
    let mode = std::fs::metadata(server.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(ControlServer::bind(&server.path()), Err(ControlError::InUse(_))));
    let file = server.dir.join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(ControlServer::bind(&file), Err(ControlError::NotASocket(_))));
    assert!(file.exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced_and_ours_is_removed() {
    let server = Server::start();
    let path = server.dir.join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a killed daemon leaves its file");
    let control = ControlServer::bind(&path).unwrap();
    drop(control);
    assert!(!path.exists());
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let server = Server::start();
    let mut clients = Vec::new();
    for _ in 0..socket::CONNECTIONS_MAX {
        let mut client = server.client().await;
        client.ask(STATUS).await;
        clients.push(client);
    }
    let refused = server.client().await.next().await.unwrap();
    assert_eq!(refused["error"]["code"], -32004);
    assert_eq!(clients[0].ask(STATUS).await["id"], 1, "the others stay");
}

#[tokio::test]
async fn stopping_closes_every_connection() {
    let server = Server::start();
    let mut client = server.client().await;
    client.ask(STATUS).await;
    server._stop.send_replace(true);
    assert_eq!(client.next().await, None);
}
