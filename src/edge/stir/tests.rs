//! Real keys and certificates, and a server of certificates on the loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P384_SHA384,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;

use super::certificate::Chain;
use super::fetch::fetch;
use super::*;
use crate::edge::clock::{Clock, wall};
use crate::proto::stir::signature::{Signature, to_der};
use crate::proto::stir::source::{CertificateUrl, Source};
use crate::proto::stir::{Failure, Kind};
use crate::proto::time::Wall;
use crate::switch::snapshot::{StirSettings, TlsSettings};
use crate::switch::stir::Check;

/// Files of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tandem-stir-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) -> Option<String> {
        std::fs::write(self.0.join(name), text).unwrap();
        Some(name.to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority, and what it certifies.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn certify(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

/// TNAuthList with this one number (RFC 8226 §9).
fn speaks_for(number: &str) -> CustomExtension {
    let der = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
    let list = der(0x30, &der(0xa2, &der(0x16, number.as_bytes())));
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 26], list)
}

fn settings(folder: &Folder, authority: &Authority, key: &KeyPair) -> StirSettings {
    StirSettings {
        authorities: folder.put("authorities.pem", &authority.pem),
        key: folder.put("ours.key", &key.serialize_pem()),
        sources: vec![Source::parse("127.0.0.0/8").unwrap()],
        ..StirSettings::default()
    }
}

/// Servers of certificates are known by the same authority.
fn material(folder: &Folder, settings: &StirSettings) -> Result<Material, MaterialError> {
    let web = TlsSettings { authorities: settings.authorities.clone(), ..TlsSettings::default() };
    Material::load(settings, &web, &folder.0)
}

fn check(material: &Material, x5u: &str, number: &str) -> Check {
    let input = "eyJ.eyJ".to_owned();
    let signature = material.sign(input.as_bytes()).unwrap();
    Check { x5u: x5u.to_owned(), input, signature, speaks_for: Some(number.to_owned()) }
}

fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// RFC 7515, appendix A.3: key, bytes and signature of ES256. (That of RFC 8225, appendix A, is not the one of the key
/// beside it.)
#[test]
fn the_signature_of_rfc_7515_is_good() {
    let key = unhex(concat!(
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004",
        "7fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445",
        "c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad"
    ));
    let signature: Signature = unhex(concat!(
        "0ed1215379636c483c2f7f155807d402a3b228033af97c7e17819ac3169ea665",
        "c50a07d38c3c70e5d8f12daf084a5480a66590c5f293509a8f3f7f8a83a354d5"
    ))
    .try_into()
    .unwrap();
    let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let spki = SubjectPublicKeyInfoDer::from(key);
    let entity = RawPublicKeyEntity::try_from(&spki).unwrap();
    let verify = |input: &str| {
        entity.verify_signature(
            webpki::ring::ECDSA_P256_SHA256,
            input.as_bytes(),
            &to_der(&signature),
        )
    };
    assert!(verify(input).is_ok());
    assert!(verify(&input[1..]).is_err());
}

/// Row 164: a key that is none, of another kind or of another certificate is refused when the configuration is read.
#[test]
fn row_164_a_key_that_cannot_sign_is_refused_at_the_check() {
    let (folder, authority) = (Folder::new(), Authority::new("Authority"));
    let key = KeyPair::generate().unwrap();
    let good = settings(&folder, &authority, &key);
    let certificate = folder.put("ours.pem", &authority.certify(&key, |_| {}));
    let good = StirSettings { certificate, ..good };
    assert!(material(&folder, &good).is_ok());
    // The form of `openssl ecparam -genkey`: RFC 5915.
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFeZ1R208QCvcu5GuYyMfG4W7sH4m99/7eHSDLpdYllFoAoGCCqGSM49\n\
                AwEHoUQDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH78YTU8qLS8I5HLHSSmlATLcs\nlQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==\n\
                -----END EC PRIVATE KEY-----\n";
    let other = KeyPair::generate().unwrap();
    let large = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let with = |change: &dyn Fn(&mut StirSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        material(&folder, &settings).map(|_| ()).map_err(|error| (error.key, error.message))
    };
    let sec1 = folder.put("sec1.key", sec1);
    assert_eq!(with(&|s| (s.key, s.certificate) = (sec1.clone(), None)), Ok(()));
    let other = folder.put("other.key", &other.serialize_pem());
    let large = folder.put("large.key", &large.serialize_pem());
    let empty = folder.put("empty.pem", "nothing\n");
    type Change<'c> = &'c dyn Fn(&mut StirSettings);
    let wrong: [(Change<'_>, &str, &str); 7] = [
        (&|s| s.key = other.clone(), "certificate", "the key is not the one of"),
        (&|s| s.key = large.clone(), "key", "not on the curve P-256"),
        (&|s| s.key = empty.clone(), "key", "there is no private key in it"),
        (&|s| s.key = Some("gone.key".into()), "key", "No such file"),
        (&|s| s.certificate = empty.clone(), "certificate", "holds no certificate"),
        (&|s| s.authorities = empty.clone(), "authorities", "holds no certificate"),
        (&|s| s.authorities = Some("gone.pem".into()), "authorities", "No such file"),
    ];
    for (change, key, words) in wrong {
        let (found, message) = with(change).unwrap_err();
        assert!(found == key && message.contains(words), "{found}: {message}");
    }
}

/// Row 163: who signed, for how long, and for which numbers.
#[test]
fn row_163_a_certificate_has_to_be_trusted_in_force_and_for_the_number() {
    let (folder, authority) = (Folder::new(), Authority::new("Authority"));
    let key = KeyPair::generate().unwrap();
    let ours = material(&folder, &settings(&folder, &authority, &key)).unwrap();
    let x5u = "https://127.0.0.1/c";
    let number = "12155551212";
    let judged = |pem: &str, check: &Check| {
        let mut chain = Chain::new(ders(pem)).unwrap();
        chain.check(check, &ours, wall()).map_err(|failure| failure.kind)
    };
    let signed = check(&ours, x5u, number);
    let plain = authority.certify(&key, |_| {});
    assert_eq!(judged(&plain, &signed), Ok(()));
    let with_number = |text: &'static str| {
        authority.certify(&key, |params| params.custom_extensions.push(speaks_for(text)))
    };
    assert_eq!(judged(&with_number(number), &signed), Ok(()));
    assert_eq!(judged(&with_number("12155551213"), &signed), Err(Kind::Invalid));
    let forged = Check { input: "eyJ.eyK".into(), ..signed.clone() };
    assert_eq!(judged(&plain, &forged), Err(Kind::Invalid));
    let garbage = Check { signature: [0; 64], ..signed.clone() };
    assert_eq!(judged(&plain, &garbage), Err(Kind::Invalid));
    let stranger = Authority::new("Authority");
    assert_eq!(judged(&stranger.certify(&key, |_| {}), &signed), Err(Kind::Unsupported));
    let old = authority.certify(&key, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    assert_eq!(judged(&old, &signed), Err(Kind::Unsupported));
    let future = authority.certify(&key, |params| {
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    });
    assert_eq!(judged(&future, &signed), Err(Kind::Unsupported));
    // One that was good is looked at again once it may have expired.
    let mut chain = Chain::new(ders(&plain)).unwrap();
    assert!(chain.check(&signed, &ours, wall()).is_ok());
    let century = Wall(wall().0 + 100 * 365 * 86_400 * 1_000_000);
    let later = authority.certify(&key, |params| {
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    });
    let mut later = Chain::new(ders(&later)).unwrap();
    assert!(later.check(&signed, &ours, wall()).is_ok());
    assert_eq!(later.check(&signed, &ours, century).map_err(|f| f.kind), Err(Kind::Unsupported));
}

/// What a server of certificates says to each path.
type Pages = Vec<(&'static str, String)>;

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let pem = authority.certify(&key, |_| {});
    let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(ders(&pem), private)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A server under TLS; counts what it is asked.
async fn serve(authority: &Authority, pages: Pages) -> (SocketAddr, Arc<AtomicUsize>) {
    let acceptor = acceptor(authority);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            asked.fetch_add(1, Relaxed);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let path = text.split(' ').nth(1).unwrap_or("");
            let page = pages.iter().find(|(known, _)| *known == path);
            let answer =
                page.map_or("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", |p| &p.1);
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, count)
}

fn page(head: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Runs jobs on the thread, one after the other, and gives their answers.
async fn answers(material: &Arc<Material>, jobs: Vec<Vec<Check>>) -> Vec<Result<(), Failure>> {
    let (answers_tx, mut answers) = mpsc::channel(JOBS_MAX);
    let thread = StirThread::start(Clock::start(), answers_tx).unwrap();
    let mut found = Vec::new();
    for (id, checks) in (0..).zip(jobs) {
        assert!(thread.give(Job {
            id,
            task: Task::Verify(checks),
            material: Arc::clone(material)
        }));
        match answers.recv().await.unwrap() {
            Answer::Verified(known, result) if known == id => found.push(result),
            other => panic!("{other:?}"),
        }
    }
    found
}

/// Row 163: certificates are fetched once, from listed servers, and from nobody who sends us elsewhere, sends too much
/// or is not who it should be.
#[tokio::test]
async fn row_163_certificates_are_fetched_within_limits() {
    let (folder, authority) = (Folder::new(), Authority::new("Authority"));
    let key = KeyPair::generate().unwrap();
    let material = Arc::new(material(&folder, &settings(&folder, &authority, &key)).unwrap());
    let chain = authority.certify(&key, |_| {});
    let pages = vec![
        ("/good.pem", page("Cache-Control: max-age=600\r\n", &chain)),
        (
            "/moved.pem",
            "HTTP/1.1 302 Found\r\nLocation: /good.pem\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        ("/large.pem", page("", &chain.repeat(200))),
        ("/long.pem", page("", &chain.repeat(9))),
        ("/none.pem", page("", "no certificate")),
        ("/broken", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()),
        ("/noise", "SSH-2.0-x\r\n\r\n".into()),
    ];
    let (address, asked) = serve(&authority, pages).await;
    let number = "12155551212";
    let at = |path: &str| format!("https://{address}{path}");
    let job = |x5u: &str| vec![check(&material, x5u, number)];
    let good = at("/good.pem");
    let found =
        answers(&material, vec![job(&good), job(&good), [job(&good), job(&good)].concat()]).await;
    assert_eq!(found, [Ok(()); 3]);
    assert_eq!(asked.swap(0, Relaxed), 1, "it was fetched once");
    for path in
        ["/moved.pem", "/large.pem", "/long.pem", "/none.pem", "/gone.pem", "/broken", "/noise"]
    {
        let found = answers(&material, vec![job(&at(path)), job(&at(path))]).await;
        let kinds = found.map_kinds();
        assert_eq!(kinds, [Err(Kind::BadInfo); 2], "{path}");
        assert_eq!(asked.swap(0, Relaxed), 1, "{path}: a failure is remembered");
    }
    // Nobody is asked who is not listed, whatever stands before the address.
    let other = address.to_string().replace("127.0.0.1", "192.0.2.1");
    for x5u in [
        format!("http://{address}/good.pem"),
        format!("https://{other}/good.pem"),
        format!("https://user@{address}/good.pem"),
        format!("https://localhost:{}/good.pem", address.port()),
    ] {
        let found = answers(&material, vec![job(&x5u)]).await;
        assert_eq!(found.map_kinds(), [Err(Kind::BadInfo)], "{x5u}");
    }
    assert_eq!(asked.load(Relaxed), 0);
}

trait Kinds {
    fn map_kinds(&self) -> Vec<Result<(), Kind>>;
}

impl Kinds for Vec<Result<(), Failure>> {
    fn map_kinds(&self) -> Vec<Result<(), Kind>> {
        self.iter().map(|result| result.map_err(|failure| failure.kind)).collect()
    }
}

/// Row 163: a listed name may lead inside only where the network is listed as well.
#[tokio::test]
async fn row_163_a_name_that_leads_inside_is_not_followed() {
    let (folder, authority) = (Folder::new(), Authority::new("Authority"));
    let key = KeyPair::generate().unwrap();
    let base = settings(&folder, &authority, &key);
    let (address, asked) = serve(&authority, Vec::new()).await;
    let port = address.port();
    let name = Source::parse(&format!("localhost:{port}")).unwrap();
    let only_name = StirSettings { sources: vec![name], ..base };
    let material = material(&folder, &only_name).unwrap();
    let url = CertificateUrl::parse(&format!("https://localhost:{port}/c")).unwrap();
    let failure = fetch(&url, &material).await.unwrap_err();
    assert_eq!(failure, Failure::new(Kind::BadInfo, "the certificate's server lies inside"));
    assert_eq!(asked.load(Relaxed), 0);
}

/// Row 163: a server that has another name is not asked, and one that says nothing is left after two seconds; virtual
/// ones.
#[tokio::test(start_paused = true)]
async fn row_163_a_server_that_is_silent_or_somebody_else_is_left() {
    let (folder, authority) = (Folder::new(), Authority::new("Authority"));
    let key = KeyPair::generate().unwrap();
    let material = material(&folder, &settings(&folder, &authority, &key)).unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("https://{}/c", silent.local_addr().unwrap());
    let failure = fetch(&CertificateUrl::parse(&url).unwrap(), &material).await.unwrap_err();
    assert_eq!(failure.kind, Kind::BadInfo);
    assert_eq!(failure.why, "the certificate's server took too long");
    tokio::time::resume();
    let (address, asked) = serve(&Authority::new("Another"), Vec::new()).await;
    let url = format!("https://{address}/c");
    let failure = fetch(&CertificateUrl::parse(&url).unwrap(), &material).await.unwrap_err();
    assert_eq!(failure.why, "the certificate's server is not who it should be");
    assert_eq!(asked.load(Relaxed), 0);
}

/// A daemon without authorities, which started with its last good configuration, refuses nobody for that.
#[tokio::test]
async fn without_authorities_nothing_is_found_out() {
    let folder = Folder::new();
    let material = Arc::new(material(&folder, &StirSettings::default()).unwrap());
    let (answers_tx, mut answers) = mpsc::channel(JOBS_MAX);
    let thread = StirThread::start(Clock::start(), answers_tx).unwrap();
    for task in [Task::Verify(Vec::new()), Task::Sign("x".into())] {
        assert!(thread.give(Job { id: 7, task, material: Arc::clone(&material) }));
    }
    assert!(matches!(answers.recv().await, Some(Answer::NotVerified(7, _))));
    assert!(matches!(answers.recv().await, Some(Answer::Signed(7, None))));
}

/// Row 163: the certificates of a chain are fetched beside each other: one after the other, slow ones would take longer
/// than a call waits, and it would go on unchecked.
#[tokio::test]
async fn row_163_what_a_chain_needs_is_fetched_at_once() {
    let (folder, authority) = (Folder::new(), Authority::new("Authority"));
    let key = KeyPair::generate().unwrap();
    let material = Arc::new(material(&folder, &settings(&folder, &authority, &key)).unwrap());
    let (answers_tx, mut answers) = mpsc::channel(JOBS_MAX);
    let thread = StirThread::start(Clock::start(), answers_tx).unwrap();
    let [first, second] = [
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
    ];
    let checks = [&first, &second].map(|listener| {
        let x5u = format!("https://{}/c", listener.local_addr().unwrap());
        check(&material, &x5u, "12155551212")
    });
    let task = Task::Verify(checks.to_vec());
    assert!(thread.give(Job { id: 1, task, material: Arc::clone(&material) }));
    let _held = first.accept().await.unwrap();
    tokio::select! {
        biased;
        held = second.accept() => assert!(held.is_ok()),
        answer = answers.recv() => panic!("the second was not asked: {answer:?}"),
    }
}

/// A reload takes an authority away while a certificate of its is fetched: nobody is believed by it any more, neither
/// who waits nor who comes later.
#[tokio::test]
async fn an_authority_that_is_gone_vouches_for_nobody() {
    let (folder, old, new) = (Folder::new(), Authority::new("Old"), Authority::new("New"));
    let key = KeyPair::generate().unwrap();
    let load = |authority: &Authority| {
        Arc::new(material(&folder, &settings(&folder, authority, &key)).unwrap())
    };
    let before = load(&old);
    let after = load(&new);
    let (answers_tx, mut answers) = mpsc::channel(JOBS_MAX);
    let thread = StirThread::start(Clock::start(), answers_tx).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let x5u = format!("https://{}/c", listener.local_addr().unwrap());
    let checks = vec![check(&before, &x5u, "12155551212")];
    let give = |id, task, material: &Arc<Material>| {
        assert!(thread.give(Job { id, task, material: Arc::clone(material) }));
    };
    give(1, Task::Verify(checks.clone()), &before);
    let (stream, _) = listener.accept().await.unwrap();
    give(2, Task::Sign("x".into()), &after);
    assert!(matches!(answers.recv().await, Some(Answer::Signed(2, Some(_)))));
    let mut stream = acceptor(&old).accept(stream).await.unwrap();
    let chain = old.certify(&key, |_| {});
    stream.write_all(page("", &chain).as_bytes()).await.unwrap();
    for id in [1, 3] {
        if id == 3 {
            give(3, Task::Verify(checks.clone()), &after);
        }
        let Some(Answer::Verified(known, Err(failure))) = answers.recv().await else {
            panic!("{id} is believed")
        };
        assert_eq!((known, failure.kind), (id, Kind::Unsupported));
    }
}
