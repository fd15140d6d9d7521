//! The server over a pipe: what it answers, and that it waits for nobody.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Runs `act` against the server, and `board` for every question that it asks.
fn run<F: Future>(
    patience: Patience,
    mut board: impl FnMut(&str, &str) -> Fetched + Send + 'static,
    act: impl FnOnce(DuplexStream) -> F,
) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (asks_tx, mut asks) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(ask) = asks.recv().await {
                if let Ask::File { source, token, file, reply } = ask {
                    assert_eq!(source, SOURCE);
                    let _ = reply.send(board(&token, &file));
                }
            }
        });
        let (ours, theirs) = duplex(64 << 10);
        let context = Context::new(asks_tx, patience);
        tokio::spawn(async move { serve(theirs, SOURCE, &context).await });
        act(ours).await
    })
}

/// Sends these bytes and reads until the server closes.
async fn exchange(mut stream: DuplexStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn file(token: &str, name: &str) -> Fetched {
    if (token, name) != ("right", "config.txt") {
        return Fetched::Nothing;
    }
    let values = Values::samples().into_iter().next().unwrap();
    let file = super::super::files(crate::switch::device::Brand::Generic)[1];
    Fetched::File { templates: Templates::load(None).unwrap(), values: Box::new(values), file }
}

fn asked(request: &str) -> String {
    run(Patience::default(), file, |stream| exchange(stream, request.as_bytes()))
}

const END: &str = "Host: x\r\nConnection: close\r\n\r\n";

#[test]
fn a_file_is_sent_with_what_keeps_it_out_of_caches() {
    let answer = asked(&format!("GET /p/right/config.txt?mac=1 HTTP/1.1\r\n{END}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(head.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{answer}");
    assert!(head.contains("\r\ncache-control: no-store\r\n"), "{answer}");
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{answer}");
    assert!(body.contains("Password:            a long random word\n"), "{body}");
    let head = asked(&format!("HEAD /p/right/config.txt HTTP/1.1\r\n{END}"));
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn whatever_is_wrong_has_the_same_answer() {
    let dateless = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("date:"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let paths = ["/p/wrong/config.txt", "/p/right/other.txt", "/", "/p/right/a/b", "/robots.txt"];
    let answers = paths.map(|path| dateless(&asked(&format!("GET {path} HTTP/1.1\r\n{END}"))));
    assert!(answers[0].starts_with("HTTP/1.1 404 Not Found\n"), "{}", answers[0]);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
}

#[test]
fn nothing_but_get_and_head_is_served() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let request = format!(
            "{method} /p/right/config.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
        );
        let answer = asked(&request);
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
        assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }
}

#[test]
fn a_huge_head_and_nonsense_are_refused() {
    let huge = format!("GET /p/right/config.txt HTTP/1.1\r\nX: {}\r\n{END}", "x".repeat(20 << 10));
    assert!(asked(&huge).starts_with("HTTP/1.1 431 "), "{}", asked(&huge));
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    let answer = asked(&format!("GET /p/right/config.txt HTTP/1.1\r\n{many}{END}"));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = asked("\u{0}\u{1}nonsense\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn who_does_not_send_or_does_not_read_is_left() {
    let soon = Duration::from_millis(50);
    let slow_head = Patience { head: soon, ..Patience::default() };
    let answer = run(slow_head, file, |stream| exchange(stream, b"GET /p/right/con"));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    // Bytes that trickle in do not make it longer.
    let whole = Patience { whole: soon, ..Patience::default() };
    run(whole, file, |mut stream| async move {
        while stream.write_all(b"GET / HTTP/1.1\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    // Nor does an answer that nobody takes: the pipe is full after 64 KiB.
    run(whole, file, |mut stream| async move {
        let request = b"GET /p/right/config.txt HTTP/1.1\r\nHost: x\r\n\r\n";
        while stream.write_all(request).await.is_ok() {}
    });
}

#[test]
fn a_connection_serves_so_many_requests_and_says_which_is_the_last() {
    let request = "GET /p/right/config.txt HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40);
    let answers = asked(&request);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), REQUESTS_MAX as usize);
    assert_eq!(answers.matches("\r\nconnection: close\r\n").count(), 1);
}

#[test]
fn the_banned_get_no_answer_and_the_rest_another_day() {
    let request = format!("GET /p/right/config.txt HTTP/1.1\r\n{END}");
    let act = |stream| exchange(stream, request.as_bytes());
    assert_eq!(run(Patience::default(), |_, _| Fetched::Silence, act), "");
    // Nobody is there to be asked.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let (asks, _) = mpsc::channel(1);
        let (ours, theirs) = duplex(4096);
        let context = Context::new(asks, Patience::default());
        tokio::spawn(async move { serve(theirs, SOURCE, &context).await });
        exchange(ours, request.as_bytes()).await
    });
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: 30\r\n"), "{answer}");
}

#[test]
fn a_source_has_so_many_places_and_gets_them_back() {
    let context = Context::new(mpsc::channel(1).0, Patience::default());
    let places: Vec<_> = (0..SOURCE_MAX).map(|_| context.place_of(SOURCE).unwrap()).collect();
    assert!(context.place_of(SOURCE).is_none());
    let other = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    assert!(context.place_of(other).is_some());
    drop(places);
    assert!(context.place_of(SOURCE).is_some());
    assert!(context.by_source.lock().unwrap().is_empty(), "nobody is remembered");
}

/// A host has as many addresses of IPv6 as it likes, and no more connections for that.
#[test]
fn a_network_of_ipv6_has_the_places_of_one_address() {
    let (asks, _) = mpsc::channel(1);
    let context = Context::new(asks, Patience::default());
    let at = |text: String| context.place_of(text.parse().unwrap());
    let held: Vec<_> = (1..=SOURCE_MAX).filter_map(|n| at(format!("2001:db8::{n:x}"))).collect();
    assert_eq!(held.len(), SOURCE_MAX);
    assert!(at("2001:db8::ffff:1".into()).is_none());
    assert!(at("2001:db8:0:1::1".into()).is_some(), "another network");
    drop(held);
    assert!(context.by_source.lock().unwrap().is_empty());
}
