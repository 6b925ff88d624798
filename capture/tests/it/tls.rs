//! TLS: alerts that come over it from senders who must show a certificate, and hits that are sent over it to who shows one.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, mpsc},
    time::Duration,
};

use afterimage_launch::Stdio;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tempfile::TempDir;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};

use crate::{
    bench::{Bench, TOKEN, busybox, eventually, falco},
    harness::alone,
};

/// An authority, and what it gave certificates to.
struct Authority {
    dir: TempDir,
    own: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.path().join("ca.pem"), own.pem()).unwrap();
        // The process that reads it is not root.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, own }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Files with a certificate for an address and its key.
    fn give(&self, name: &str, address: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![address.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.own).unwrap();
        let at = |kind: &str| self.dir.path().join(format!("{name}.{kind}"));
        fs::write(at("pem"), certificate.pem()).unwrap();
        fs::write(at("key"), key.serialize_pem()).unwrap();
        fs::set_permissions(at("key"), fs::Permissions::from_mode(0o600)).unwrap();
        (at("pem"), at("key"))
    }
}

/// What curl says that the answer was; 0 where there was none.
fn curl(bench: &Bench, more: &[&Path], body: &str) -> u16 {
    let mut command = Command::new("curl");
    command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "-d", body]);
    command.args(["-H", &format!("Authorization: Bearer {TOKEN}")]);
    for (option, file) in ["--cacert", "--cert", "--key"].iter().zip(more) {
        command.arg(option).arg(file);
    }
    let out = command.arg(format!("https://{}/v1/trigger", bench.webhook)).output().unwrap();
    println!("curl: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs root and eBPF"]
fn alerts_come_over_tls_from_senders_with_a_certificate_alone() {
    let _alone = alone();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (cert, key) = ours.give("server", "127.0.0.1");
    let settings = format!(
        "tls_cert = \"{}\"\ntls_key = \"{}\"\ntls_client_ca = \"{}\"\n",
        cert.display(),
        key.display(),
        ours.ca().display()
    );
    let bench = Bench::start(&settings);
    let (launcher, _root) = busybox();
    let id = launcher.run(&["/bin/true"], Stdio::default()).unwrap().id.to_string();
    let body = falco(&id).to_string();
    let (known, known_key) = ours.give("sender", "sender");
    let (stranger, stranger_key) = theirs.give("sender", "sender");
    let ca = ours.ca();
    assert_eq!(curl(&bench, &[&ca, &known, &known_key], &body), 200);
    assert_eq!(curl(&bench, &[&ca], &body), 0, "without a certificate");
    assert_eq!(curl(&bench, &[&ca, &stranger, &stranger_key], &body), 0, "of another authority");
    assert_eq!(curl(&bench, &[&theirs.ca(), &known, &known_key], &body), 0, "the sender trusts another");
    assert_eq!(bench.try_alert(&falco(&id)).filter(|status| *status != 0), None, "without TLS");
    let pins = eventually("pin", || {
        let pins = bench.get("/v1/pins")["pins"].as_array()?.len();
        (pins > 0).then_some(pins)
    });
    assert_eq!(pins, 1);
    bench.recorder.stop();
}

/// Answers one request after the other over TLS, and hands over what was in them.
fn listen(cert: &Path, key: &Path) -> (u16, mpsc::Receiver<String>) {
    let chain = CertificateDer::pem_file_iter(cert).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let mut text = String::new();
            let mut buffer = [0; 4096];
            // Whoever does not trust us leaves.
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                text += &String::from_utf8_lossy(&buffer[..read]);
                if text.contains("\r\n\r\n") && text.ends_with('}') {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                    if sender.send(text).is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    });
    (port, requests)
}

#[test]
#[ignore = "needs root and eBPF"]
fn hits_go_over_tls_to_whom_an_authority_vouches_for() {
    let _alone = alone();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (cert, key) = ours.give("sink", "localhost");
    let (good, requests) = listen(&cert, &key);
    let (cert, key) = theirs.give("sink", "localhost");
    let (strange, unwanted) = listen(&cert, &key);
    let (cert, key) = ours.give("other", "other.example");
    let (misnamed, other) = listen(&cert, &key);
    // The process that sends is confined: it reads what its configuration names.
    let rules = ours.dir.path().join("rules.yaml");
    let planted = format!("/tmp/tls-secret-{}", std::process::id());
    let text = format!(
        "- rule: Seen\n  desc: x\n  condition: evt.type in (open, openat) and fd.name = {planted}\n  output: seen\n  \
         priority: ERROR\n"
    );
    fs::write(&rules, text).unwrap();
    let token = ours.dir.path().join("token");
    fs::write(&token, "# of the receiver\n0123456789abcdef-sesame\n").unwrap();
    let bench = Bench::start(&format!(
        "[rules]\nfiles = [\"{}\"]\nca = \"{}\"\ntoken_file = \"{}\"\noutputs = [\"https://localhost:{strange}/\", \
         \"https://localhost:{misnamed}/\", \"https://localhost:{good}/hits?from=here\"]\n",
        rules.display(),
        ours.ca().display(),
        token.display()
    ));
    let (launcher, _root) = busybox();
    let script = format!("busybox touch {planted}; busybox cat {planted}");
    launcher.run(&["/bin/busybox", "sh", "-c", &script], Stdio::default()).unwrap();
    let request = requests.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(request.starts_with("POST /hits?from=here HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains(&format!("\r\nhost: localhost:{good}\r\n")), "{request}");
    let login = "\r\nauthorization: Bearer 0123456789abcdef-sesame\r\n";
    assert!(request.contains(login), "{request}");
    assert!(request.contains("\"rule\":\"Seen\""), "{request}");
    let undelivered = eventually("count of what was not delivered", || {
        let metrics = crate::http::unix(&bench.socket(), "GET", "/metrics", b"").body;
        let line = metrics.lines().find(|line| line.starts_with("afterimage_rules_undelivered_total "))?;
        line.rsplit(' ').next()?.parse::<u64>().ok().filter(|count| *count >= 2)
    });
    assert!(undelivered >= 2, "{undelivered}");
    assert!(unwanted.try_recv().is_err() && other.try_recv().is_err(), "something was sent to a stranger");
    let (_, said) = bench.recorder.stop();
    assert!(said.contains(&format!("cannot trust `localhost:{strange}`")), "{said}");
}
