//! The settings as their users meet them: layers, checks, the example file and the page about them.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Arg;
use proptest::prelude::*;
use roundtable_protocol::Role;
use roundtable_protocol::event::TrackSource;

use super::*;
use crate::config::cli::Action;
use crate::config::layer::setting_arguments;

const EXAMPLE: &str = include_str!("../../config/roundtable.toml");
const PAGE: &str = "docs/CONFIG.md";

/// What the flags give. Variables are looked at in `tests/product/cli.rs`, in processes of their own.
fn given(arguments: &[&str]) -> Given {
    let arguments = std::iter::once("roundtable").chain(arguments.iter().copied()).map(OsString::from);
    match cli::parse(arguments) {
        Ok(Action::Serve(given) | Action::PrintConfig(given)) => given,
        other => panic!("{other:?}"),
    }
}

fn file(text: &str) -> File {
    file::parse(Path::new("r.toml"), text).unwrap()
}

pub(super) fn load_with(arguments: &[&str], text: &str) -> Result<Loaded, ConfigError> {
    resolve(&given(arguments), &file(text))
}

pub(super) fn refusal(arguments: &[&str], text: &str) -> String {
    load_with(arguments, text).unwrap_err().to_string()
}

/// A file that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roundtable-{}-{name}", std::process::id()));
        let mut file = SystemFile::create(&path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn clap_finds_no_fault_with_the_definitions() {
    cli::command().debug_assert();
}

#[test]
fn nothing_given_is_the_default() {
    let loaded = load_with(&[], "").unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.settings.iter().all(|setting| setting.origin == Origin::Default));
    assert!(loaded.config.http.listen.ip().is_loopback(), "a bare start is not reachable from outside");
}

#[test]
fn the_stronger_layer_wins_and_says_who_it_is() {
    let text = "udp-port = 5000\nmax-rooms = 7\nstun = ['stun:file']\n";
    let loaded = load_with(&["--udp-port", "6000", "--stun", "stun:a", "--stun=stun:b,stun:c"], text).unwrap();
    assert_eq!(loaded.config.media.udp_port, 6000);
    assert_eq!(loaded.config.limits.rooms, 7);
    assert_eq!(loaded.config.ice.stun, ["stun:a", "stun:b", "stun:c"], "lists replace, they do not add up");
    let line = |key: &str| loaded.settings.iter().find(|setting| setting.key == key).unwrap().to_string();
    assert_eq!(line("udp-port"), "udp-port = 6000  # flag");
    assert_eq!(line("max-rooms"), "max-rooms = 7  # r.toml:2");
    assert_eq!(line("max-members"), "max-members = 2000  # default");
    assert_eq!(line("tls-cert"), "# tls-cert is not set");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let arguments =
        ["--udp-port=1", "--turn=turn:t", "--turn-user=u\"x", "--turn-pass=p", "--no-ipv6", "--log-format=json"];
    let first = load_with(&arguments, "").unwrap();
    let printed: String = first.settings.iter().map(|setting| format!("{setting}\n")).collect();
    assert!(!printed.contains("\"p\""), "the password is not shown:\n{printed}");
    let second = load_with(&["--turn-pass=p"], &printed).unwrap();
    assert_eq!(first.config, second.config);
}

#[test]
fn serving_is_what_happens_without_a_subcommand() {
    for arguments in [&["--udp-port=5"][..], &["serve", "--udp-port=5"], &["config", "print", "--udp-port=5"]] {
        assert_eq!(given(arguments).settings.udp_port, Some(5), "{arguments:?}");
    }
    let parse = |arguments: &[&str]| cli::parse(arguments.iter().map(OsString::from));
    assert!(matches!(parse(&["roundtable", "schema"]), Ok(Action::Schema)));
    assert!(
        matches!(parse(&["roundtable", "config", "check", "x"]), Ok(Action::CheckConfig(path)) if path == Path::new("x"))
    );
    for bad in [&["roundtable", "--udp-prot=5"][..], &["roundtable", "--udp-port=x"], &["roundtable", "sreve"]] {
        assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad:?}");
    }
}

#[test]
fn a_mistake_names_the_setting_and_its_origin() {
    let cases: &[(&[&str], &str, &str)] = &[
        (&["--tls-cert=c"], "", "tls-cert (flag): a certificate is of no use without tls-key"),
        (&[], "\ntls-key = 'k'", "tls-key (r.toml:2): a key is of no use without tls-cert"),
        (&["--stun=turn:t"], "", "stun (flag): `turn:t` belongs to turn"),
        (&["--max-receive-bitrate=20k"], "", "max-receive-bitrate (flag): 20k is not between 50k and 1000M"),
        (&[], "max-publish-bitrate = '2000M'", "max-publish-bitrate (r.toml:1): 2000M is not between 50k and 1000M"),
        (&["--max-video-height=0"], "", "max-video-height (flag): 0 is not between 1 and 65535"),
        (&["--max-video-fps=0"], "", "max-video-fps (flag): 0 is not between 1 and 255"),
        (&["--turn=stun:s"], "", "turn (flag): `stun:s` belongs to stun"),
        (&["--stun=stun://s"], "", "stun (flag): `stun://s`: there are no slashes"),
        (&["--turn=turn:t"], "", "turn (flag): a relay needs turn-secret-file"),
        (&["--turn-secret=s"], "", "turn-secret (flag): a credential is of no use without a turn URL"),
        (&["--turn=turn:t", "--turn-secret="], "", "turn-secret (flag): it is empty"),
        (&["--turn=turn:t", "--turn-user=u"], "", "turn-user (flag): a user is of no use without"),
        (&["--turn=turn:t", "--turn-pass=p"], "", "turn-pass (flag): a password is of no use without turn-user"),
        (&["--turn=turn:t", "--turn-user=", "--turn-pass=p"], "", "turn-user (flag): the name is empty"),
        (
            &["--turn=turn:t", "--turn-secret=s", "--turn-user=u"],
            "",
            "turn-secret (flag): a shared secret and a fixed user",
        ),
        (
            &["--turn=turn:t", "--turn-secret=s", "--turn-secret-file=f"],
            "",
            "turn-secret-file (flag): turn-secret is given",
        ),
        (&["--turn=turn:t", "--turn-secret-file=no/such"], "", "turn-secret-file (flag): no/such: "),
        (
            &["--turn=turn:t", "--turn-secret=s", "--turn-ttl=25h"],
            "",
            "turn-ttl (flag): it is to be between 1s and 24h",
        ),
        (&["--turn=turn:t", "--turn-secret=s"], "turn-ttl = '0s'", "turn-ttl (r.toml:1): it is to be"),
        (&["--public-ip=0.0.0.0"], "", "public-ip (flag): nobody can send to 0.0.0.0"),
        (&["--public-ip=2001:db8::1", "--no-ipv6"], "", "public-ip (flag): 2001:db8::1 is IPv6"),
        (&["--udp-listen=::1"], "no-ipv6 = true", "udp-listen (flag): ::1 is IPv6"),
        (&["--udp-listen=224.0.0.1"], "", "udp-listen (flag): 224.0.0.1 is a multicast"),
        (&["--max-rooms=0"], "", "max-rooms (flag): 0 is not between 1 and 10000"),
        (&["--max-members=20001"], "", "max-members (flag): 20001 is not between 1 and 20000"),
        (&["--max-seats=49"], "", "max-seats (flag): 49 is not between 0 and 48"),
        (&["--voice-slots=0"], "", "voice-slots (flag): 0 is not between 1 and 6"),
        (&[], "voice-slots = 7\n", "voice-slots (r.toml:1): 7 is not between 1 and 6"),
        (&["--udp-listen=127.0.0.1,::1,127.0.0.2"], "", "udp-listen (flag): at most one address of IPv4"),
        (&["--allowed-origin=example.org"], "", "allowed-origin (flag): `example.org` is no origin"),
        (&["--allowed-origin=https://a.example/"], "", "allowed-origin (flag): `https://a.example/` is no origin"),
        (&["--api-key=k"], "", "api-key (flag): a key is of no use without api-secret-file"),
        (&["--api-secret=s"], "", "api-secret (flag): a secret is of no use without api-key"),
        (&["--api-key=k", "--api-secret=s"], "", "api-key (flag): key \"k\": its secret has 1 bytes"),
        (&["--keys-file=no/such"], "", "keys-file (flag): no/such: "),
        (&[], "jwks-file = 'Cargo.toml'", "jwks-file (r.toml:1): Cargo.toml: this is no list of keys"),
        (&["--allow-guests"], "", "allow-guests (flag): without keys everybody is a guest"),
        (&["--dev", "--http-listen=0.0.0.0:80"], "", "dev (flag): its key is known to everybody"),
        (
            &["--open", "--api-key=k", "--api-secret=0123456789abcdef0123456789abcdef"],
            "",
            "open (flag): there are keys",
        ),
        (&["--log=roundtable=loudly"], "", "log (flag): "),
        (&["--record-room=r"], "", "record-room (flag): a room is of no use without record-trace"),
        (&["--record-trace=f", "--record-room="], "", "record-room (flag): "),
        (&["--webhook=https://a.example/"], "", "webhook (flag): receivers check who posts"),
        (
            &["--webhook=http://a.example/"],
            "",
            "webhook (flag): `http://a.example/`: plain http goes to this machine only",
        ),
        (&["--webhook=https://10.0.0.1/"], "", "webhook (flag): `https://10.0.0.1/`: 10.0.0.1 is no public address"),
        (
            &["--webhook-secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "",
            "webhook-secret (flag): a secret is of no use",
        ),
        (&["--webhook-secret=north"], "", "webhook-secret (flag): a webhook secret is `whsec_`"),
        (&["--webhook-secret=a,b,c"], "", "webhook-secret (flag): there is to be one secret, or two"),
        (&["--webhook-types=danced"], "", "webhook-types (flag): `danced` is no event; there are joined, left"),
        (&["--webhook-give-up=8d"], "", "webhook-give-up (flag): it is to be between 1s and 7d"),
        (&["--record-trace-max=0"], "", "record-trace-max (flag): 0 is not between 1 and 4096"),
    ];
    for (arguments, text, expected) in cases {
        let refusal = refusal(arguments, text);
        assert!(refusal.starts_with(expected), "{arguments:?} {text:?} gave {refusal}");
    }
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let secret = Scratch::new("secret", "north\n");
    let argument = format!("--turn-secret-file={}", secret.path());
    let auth = |arguments: &[&str], text: &str| load_with(arguments, text).unwrap().config.ice.turn.unwrap().auth;
    let from = |secret: &str| TurnAuth::Secret { secret: Secret::new(secret), ttl: settings::DEFAULT_TURN_TTL };

    assert_eq!(auth(&["--turn=turn:t", &argument], ""), from("north"), "without its line end");
    assert_eq!(auth(&["--turn=turn:t", &argument], "turn-secret = 'south'"), from("north"), "the flag is stronger");
    let text = format!("turn-secret-file = '{}'", secret.path());
    assert_eq!(auth(&["--turn=turn:t", "--turn-secret=south"], &text), from("south"), "whichever flag it is");

    for (content, problem) in [("\n", "it is empty"), (&"x".repeat(5_000), "it is longer than 4096 bytes")] {
        let bad = Scratch::new("bad-secret", content);
        let argument = format!("--turn-secret-file={}", bad.path());
        assert!(refusal(&["--turn=turn:t", &argument], "").ends_with(problem));
    }
}

#[test]
fn webhooks_are_signed_with_one_secret_or_two() {
    let (one, two) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX");
    let file = Scratch::new("webhook-secret", &format!("{one}\n{two}\n"));
    let argument = format!("--webhook-secret-file={}", file.path());
    let webhooks =
        |arguments: &[&str]| load_with(arguments, "webhook = ['https://a.example/h']").unwrap().config.webhooks;
    let secrets: Vec<_> = [one, two].iter().map(|text| SigningSecret::parse(text).unwrap()).collect();
    assert_eq!(webhooks(&[&argument]).secrets, secrets);
    assert_eq!(webhooks(&[&format!("--webhook-secret={one}")]).secrets, secrets[..1]);
    let private =
        webhooks(&[&argument, "--webhook-allow-private", "--webhook=http://10.0.0.1/", "--webhook-types=left"]);
    assert_eq!((private.urls.len(), private.types), (1, vec!["left".to_owned()]));
}

#[test]
fn a_wide_bind_is_told_about_plainly() {
    let warnings = |arguments: &[&str]| load_with(arguments, "").unwrap().config.warnings();
    assert!(warnings(&[]).is_empty() && warnings(&["--http-listen=[::1]:80"]).is_empty());
    assert!(warnings(&["--http-listen=0.0.0.0:80"])[0].contains("there are no keys"), "and so it does not start");
    assert_eq!(warnings(&["--http-listen=0.0.0.0:80", "--open"]).len(), 2);
    let with_tls = warnings(&["--http-listen=0.0.0.0:80", "--open", "--tls-cert=c", "--tls-key=k"]);
    assert!(with_tls.len() == 1 && with_tls[0].contains("may enter every room"), "{with_tls:?}");
}

#[test]
fn every_flag_has_its_variable_and_its_key() {
    let written = toml::Table::try_from(all_set()).unwrap();
    let mut keys: Vec<&str> = written.keys().map(String::as_str).collect();
    let arguments = setting_arguments();
    let mut flags: Vec<&str> = arguments.iter().filter_map(Arg::get_long).collect();
    keys.sort_unstable();
    flags.sort_unstable();
    assert_eq!(keys, flags);
    for argument in &arguments {
        let flag = argument.get_long().unwrap();
        let variable = argument.get_env().and_then(|name| name.to_str());
        assert_eq!(variable, Some(&*format!("ROUNDTABLE_{}", flag.replace('-', "_").to_uppercase())));
        assert!(argument.get_help_heading().is_some(), "{flag} stands under a heading");
    }
}

/// Settings in which every key has a value.
fn all_set() -> Settings {
    let text: String = EXAMPLE.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    file(&text).settings
}

/// The line with the comment sign taken from a setting that is shown but not in force.
fn uncommented(line: &str) -> &str {
    match line.strip_prefix("# ") {
        Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => rest,
        _ => line,
    }
}

#[test]
fn the_example_names_every_setting_and_shows_the_defaults() {
    let example = file(EXAMPLE);
    assert_eq!(resolve(&Given::default(), &example).unwrap().config, Config::default());
    let shown = settings::merge(&Given::default(), &example).shown;
    for (setting, default) in shown.iter().zip(settings::defaults()) {
        assert_eq!(setting.value, default.value, "{}", setting.key);
    }
    let named: Vec<&str> =
        EXAMPLE.lines().filter_map(|line| uncommented(line).split_once(" = ")).map(|(key, _)| key).collect();
    let flags: Vec<String> = setting_arguments().iter().filter_map(|a| a.get_long().map(str::to_owned)).collect();
    assert_eq!(named, flags, "every setting once, in the order of the help");
}

/// The table of `docs/CONFIG.md` as the definitions make it.
fn table() -> String {
    let defaults = settings::defaults();
    let mut table = String::new();
    let mut heading = "";
    let arguments = setting_arguments();
    for argument in &arguments {
        let flag = argument.get_long().unwrap();
        if argument.get_help_heading() != Some(heading) {
            heading = argument.get_help_heading().unwrap();
            table +=
                &format!("\n### {heading}\n\n| flag and key | variable | default | what it is |\n|---|---|---|---|\n");
        }
        let default = defaults.iter().find(|setting| setting.key == flag).unwrap().value.plain();
        let default = default.map_or_else(|| "–".to_owned(), |text| format!("`{text}`"));
        let variable = argument.get_env().unwrap().to_str().unwrap();
        let value = argument.get_value_names().unwrap()[0].as_str();
        let help = argument.get_help().unwrap().to_string();
        table += &format!("| `--{flag} {value}` | `{variable}` | {default} | {help} |\n");
    }
    table
}

#[test]
fn the_page_about_settings_is_fresh() {
    const BEGIN: &str =
        "<!-- begin: made from the definitions; ROUNDTABLE_WRITE_DOCS=1 cargo test -p roundtable --lib config -->\n";
    const END: &str = "\n<!-- end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark where the table begins");
    let (found, after) = rest.split_once(END).expect("the mark where the table ends");
    if std::env::var_os("ROUNDTABLE_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert!(found == table(), "{PAGE} is stale: run the command in its comment");
}

#[test]
fn the_help_shows_defaults_and_no_secrets() {
    let help = cli::command().render_long_help().to_string();
    for part in ["[default: 127.0.0.1:7880]", "[default: 4h]", "ROUNDTABLE_UDP_PORT", "STUN and TURN:", "Limits:"] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(text in "[a-z\\-_=\"'\\[\\]\n #0-9.]{0,60}") {
        let _ = file::parse(Path::new("r.toml"), &text).map(|file| resolve(&Given::default(), &file));
    }
}

#[test]
fn limits_of_quality_are_off_until_somebody_sets_them() {
    assert_eq!(load_with(&[], "").unwrap().config.limits.member, MemberLimits::NONE);
    let text = "max-publish-bitrate = \"3M\"\nlast-n = 9\nmax-video-fps = 30\n";
    let loaded = load_with(&["--max-receive-bitrate=2.5M", "--max-video-height=720"], text).unwrap();
    let receive = QualityLimits { max_bitrate_bps: Some(2_500_000), max_height: Some(720), max_fps: Some(30) };
    let publish = QualityLimits { max_bitrate_bps: Some(3_000_000), ..QualityLimits::NONE };
    assert_eq!(loaded.config.limits.member, MemberLimits { receive, publish, last_n: Some(9) });
}

#[test]
fn keys_come_from_a_setting_or_from_files() {
    let auth = |arguments: &[&str]| load_with(arguments, "").unwrap().config.auth;
    assert_eq!(auth(&[]), AuthConfig::default());
    let secret = "0123456789abcdef0123456789abcdef";
    let file = Scratch::new("api-secret", &format!("{secret}\n"));
    let with_key = auth(&["--api-key=k", &format!("--api-secret-file={}", file.path())]);
    assert_eq!(with_key.keys.api_key, Some(ApiKey { id: "k".into(), secret: secret.into() }));
    assert!(!format!("{with_key:?}").contains(secret), "it is not shown");
    assert!(!with_key.allow_guests && !with_key.dev);

    let dev = auth(&["--dev"]);
    assert_eq!(dev.keys.api_key.map(|key| key.id), Some("devkey".into()));
    assert!(dev.allow_guests && dev.keys.short_allowed);
}

#[test]
fn a_new_key_is_a_keys_file_and_signs_tokens() {
    let made = issue::new_key([7; issue::KEY_RANDOM_BYTES]);
    let file = Scratch::new("keys.toml", &made);
    let said = issue::check_keys(Path::new(file.path())).unwrap();
    assert!(said.starts_with("RT") && said.ends_with("HS256\nfine"), "{said}");

    let now = Duration::from_secs(1_800_000_000);
    let wish = issue::TokenWish {
        keys_file: Some(file.0.clone()),
        room: Some("r".into()),
        identity: Some("ann".into()),
        role: Some(Role::Listener),
        ttl: Duration::from_secs(60),
        grants: vec!["canPublish".into(), "canPublishSources=camera,screen_share".into()],
        attributes: vec!["team=blue".into(), "motto=a=b".into()],
        ..issue::TokenWish::default()
    };
    let token = issue::token(now, &wish).unwrap();
    let keys = KeySources { keys_file: Some(file.0.clone()), ..KeySources::default() };
    let authority = crate::auth::Authority::new(keys, false, false).unwrap();
    let pass = authority.verify(now, &token).unwrap();
    assert_eq!((&*pass.attributes["team"], &*pass.attributes["motto"]), ("blue", "a=b"));
    let grants = pass.entry(&RoomId::new("r").unwrap()).unwrap();
    assert!(grants.publish && !grants.data, "a grant wins over the role");
    assert!(grants.may_publish(TrackSource::Camera) && !grants.may_publish(TrackSource::Microphone));

    for (bad, says) in [
        (issue::TokenWish { grants: vec!["canFly".into()], ..wish.clone() }, "canFly"),
        (issue::TokenWish { grants: vec!["canPublish=perhaps".into()], ..wish.clone() }, "canPublish=perhaps"),
        (issue::TokenWish { attributes: vec!["team".into()], ..wish.clone() }, "KEY=VALUE"),
        (issue::TokenWish { attributes: vec!["=blue".into()], ..wish.clone() }, "the key of an attribute"),
        (issue::TokenWish { room: Some("a b".into()), ..wish.clone() }, "room: "),
        (issue::TokenWish { identity: None, ..wish.clone() }, "identity: "),
        (issue::TokenWish { ttl: Duration::from_secs(86_401), ..wish.clone() }, "ttl: "),
        (issue::TokenWish { key: Some("k".into()), ..wish.clone() }, "no such key"),
        (issue::TokenWish { keys_file: None, ..wish.clone() }, "name a key"),
    ] {
        let error = issue::token(now, &bad).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
