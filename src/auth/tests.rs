//! What makes a token good, case by case, and that what it grants is what the room keeps to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use roundtable_protocol::event::TrackSource;
use roundtable_protocol::grant::{Grants, MemberLimits, QualityLimits, Sources};
use roundtable_protocol::{ErrorCode, Role, RoomId};
use serde_json::{Value, json};

use super::claims::Source;
use super::keys::KeyAlgorithm;
use super::token::verify;
use super::*;
use crate::room::{Now, Room};

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret of thirty-two bytes or so";

fn now() -> Duration {
    Duration::from_secs(NOW)
}

fn room() -> RoomId {
    RoomId::new("daily").unwrap()
}

/// Whoever signs tokens in these tests: with the keys of the set, and with others.
struct Signers {
    keys: KeySet,
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
}

#[derive(Debug, Clone, Copy)]
enum By {
    Shared,
    OtherShared,
    Ed25519,
    P256,
    /// HS256 with the public key as its secret: what confuses a verifier that trusts the header.
    PublicAsSecret,
    Nobody,
}

impl Signers {
    fn new() -> Self {
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let mut keys = KeySet::default();
        keys.add(Key::shared("shared", SECRET.as_bytes(), false).unwrap()).unwrap();
        keys.add(Key::public_pem("ed", KeyAlgorithm::EdDsa, &pem(&ED_PREFIX, ed25519.public_key().as_ref())).unwrap())
            .unwrap();
        let (x, y) = p256.public_key().as_ref()[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwks = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "use": "sig", "x": text(x), "y": text(y)},
            {"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"},
        ]});
        keys.add_jwks(&jwks.to_string(), false).unwrap();
        assert_eq!(keys.len(), 3, "what is not known is left out");
        Self { keys, ed25519, p256 }
    }

    fn sign(&self, by: By, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let hmac = |secret: &[u8]| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
            ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        };
        let signature = match by {
            By::Shared => hmac(SECRET.as_bytes()),
            By::OtherShared => hmac(b"another secret of thirty-two bytes"),
            By::Ed25519 => self.ed25519.sign(message.as_bytes()).as_ref().to_vec(),
            By::P256 => self.p256.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
            By::PublicAsSecret => hmac(self.ed25519.public_key().as_ref()),
            By::Nobody => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn enter(&self, token: &str) -> Result<Grants, ErrorCode> {
        let entry = verify(&self.keys, now(), token).and_then(|pass| pass.entry(&room()));
        entry.map_err(|error| error.code())
    }
}

const ED_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn pem(prefix: &[u8], key: &[u8]) -> String {
    let der = STANDARD.encode([prefix, key].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
}

/// Claims with which one enters.
fn good() -> Value {
    json!({"iss": "shared", "sub": "ann", "exp": NOW + 3600, "video": {"room": "daily", "roomJoin": true}})
}

/// The same with changes; null takes a claim away.
fn but(changes: Value) -> Value {
    fn lay(over: &Value, claims: &mut Value) {
        for (name, value) in over.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                Value::Object(_) if claims[name].is_object() => lay(value, &mut claims[name]),
                value => claims[name] = value.clone(),
            }
        }
    }
    let mut claims = good();
    lay(&changes, &mut claims);
    claims
}

fn hs() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "kid": "shared"})
}

#[test]
fn good_tokens_open_their_room() {
    let signers = Signers::new();
    let limits = json!({"receive": {"maxHeight": 360}, "lastN": 4});
    let cases = [
        ("by its kid", By::Shared, hs(), good()),
        ("by its iss, as LiveKit's", By::Shared, json!({"alg": "HS256", "typ": "JWT"}), good()),
        ("without typ", By::Shared, json!({"alg": "HS256"}), good()),
        ("Ed25519", By::Ed25519, json!({"alg": "EdDSA", "kid": "ed"}), but(json!({"iss": "https://id.example"}))),
        ("P-256", By::P256, json!({"alg": "ES256", "kid": "ec"}), but(json!({"iss": null}))),
        ("a role is an entry too", By::Shared, hs(), but(json!({"role": "host", "video": {"roomJoin": null}}))),
        (
            "a role beside permissions",
            By::Shared,
            hs(),
            but(json!({"role": "message-only", "video": {"canSubscribe": true}})),
        ),
        ("a fraction of a second", By::Shared, hs(), but(json!({"exp": NOW as f64 + 0.5}))),
        ("expired within the leeway", By::Shared, hs(), but(json!({"exp": NOW - 29}))),
        ("begins within the leeway", By::Shared, hs(), but(json!({"nbf": NOW + 30}))),
        ("a whole day", By::Shared, hs(), but(json!({"exp": NOW + 24 * 3600, "nbf": NOW, "iat": NOW}))),
        ("claims of others", By::Shared, hs(), but(json!({"sip": {"call": true}, "sha256": "", "kind": "standard"}))),
        (
            "permissions of others",
            By::Shared,
            hs(),
            but(json!({"video": {"ingressAdmin": true, "destinationRoom": "x"}})),
        ),
        ("sources", By::Shared, hs(), but(json!({"video": {"canPublishSources": ["camera", "screen_share_audio"]}}))),
        ("texts", By::Shared, hs(), but(json!({"name": "Ann", "metadata": "{}", "attributes": {"a": "b"}}))),
        ("empty texts", By::Shared, hs(), but(json!({"name": "", "metadata": "", "attributes": {}}))),
        ("limits and topics", By::Shared, hs(), but(json!({"limits": limits, "topics": ["board/**"]}))),
        ("the longest identity", By::Shared, hs(), but(json!({"sub": "x".repeat(128)}))),
    ];
    assert!(cases.len() >= 16);
    for (what, by, header, claims) in cases {
        let token = signers.sign(by, &header, &claims.to_string());
        assert!(signers.enter(&token).is_ok(), "{what}: {:?}", signers.enter(&token));
    }
}

#[test]
fn bad_tokens_open_nothing_and_say_why() {
    use ErrorCode::{TokenExpired as Expired, TokenGrant as Grant, TokenInvalid as Invalid, TokenRoom as Room};
    let signers = Signers::new();
    let topics: Vec<String> = (0..65).map(|n| format!("t{n}")).collect();
    let attributes: BTreeMap<String, String> = (0..65).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    let header = |changes: Value| {
        let mut header = hs();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header
    };
    let alg = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let cases = [
        ("no signature", By::Nobody, alg("none", "shared"), good(), Invalid),
        ("no algorithm, signed", By::Shared, alg("none", "shared"), good(), Invalid),
        ("an empty signature", By::Nobody, hs(), good(), Invalid),
        ("another secret", By::OtherShared, hs(), good(), Invalid),
        ("a public key as secret", By::PublicAsSecret, alg("HS256", "ed"), good(), Invalid),
        ("an algorithm of another key", By::Shared, alg("HS256", "ec"), good(), Invalid),
        ("another algorithm of the key", By::Shared, alg("HS384", "shared"), good(), Invalid),
        ("EdDSA by the name of a secret", By::Ed25519, alg("EdDSA", "shared"), good(), Invalid),
        ("an algorithm nobody knows", By::Shared, alg("HS257", "shared"), good(), Invalid),
        ("no algorithm in the header", By::Shared, json!({"kid": "shared"}), good(), Invalid),
        ("an unknown kid", By::Shared, alg("HS256", "gone"), good(), Invalid),
        ("an unknown iss", By::Shared, json!({"alg": "HS256"}), but(json!({"iss": "gone"})), Invalid),
        ("neither kid nor iss", By::Shared, json!({"alg": "HS256"}), but(json!({"iss": null})), Invalid),
        ("something critical", By::Shared, header(json!({"crit": ["b64"], "b64": false})), good(), Invalid),
        ("nothing critical", By::Shared, header(json!({"crit": []})), good(), Invalid),
        ("no end", By::Shared, hs(), but(json!({"exp": null})), Invalid),
        ("an end that is text", By::Shared, hs(), but(json!({"exp": (NOW + 60).to_string()})), Invalid),
        ("an end that is a list", By::Shared, hs(), but(json!({"exp": [NOW + 60]})), Invalid),
        ("ended", By::Shared, hs(), but(json!({"exp": NOW - 31})), Expired),
        ("ended before 1970", By::Shared, hs(), but(json!({"exp": -5})), Expired),
        ("an end in milliseconds", By::Shared, hs(), but(json!({"exp": (NOW + 60) * 1000})), Invalid),
        ("more than a day", By::Shared, hs(), but(json!({"exp": NOW + 24 * 3600 + 31})), Invalid),
        ("begins later", By::Shared, hs(), but(json!({"nbf": NOW + 31})), Invalid),
        ("a beginning that is text", By::Shared, hs(), but(json!({"nbf": "now"})), Invalid),
        ("too long", By::Shared, hs(), but(json!({"metadata": "x".repeat(4096)})), Invalid),
        ("too many attributes", By::Shared, hs(), but(json!({"attributes": attributes})), Invalid),
        ("an attribute without a key", By::Shared, hs(), but(json!({"attributes": {"": "x"}})), Invalid),
        ("another room", By::Shared, hs(), but(json!({"video": {"room": "weekly"}})), Room),
        ("another case of the room", By::Shared, hs(), but(json!({"video": {"room": "Daily"}})), Room),
        ("no room", By::Shared, hs(), but(json!({"video": {"room": null}})), Room),
        ("no room, though an admin", By::Shared, hs(), but(json!({"video": {"room": "", "roomAdmin": true}})), Room),
        ("every room", By::Shared, hs(), but(json!({"video": {"room": "*"}})), Invalid),
        ("no entry", By::Shared, hs(), but(json!({"video": {"roomJoin": false}})), Grant),
        ("a role without entry", By::Shared, hs(), but(json!({"role": "host", "video": {"roomJoin": false}})), Grant),
        ("nothing of an entry", By::Shared, hs(), but(json!({"video": {"roomJoin": null}})), Grant),
        ("nobody", By::Shared, hs(), but(json!({"sub": null})), Invalid),
        ("nobody named", By::Shared, hs(), but(json!({"sub": ""})), Invalid),
        ("a long identity", By::Shared, hs(), but(json!({"sub": "x".repeat(129)})), Invalid),
        ("an identity of two lines", By::Shared, hs(), but(json!({"sub": "a\nb"})), Invalid),
        ("a name that is none", By::Shared, hs(), but(json!({"name": "a\u{202e}b"})), Invalid),
        ("an unknown role", By::Shared, hs(), but(json!({"role": "owner"})), Invalid),
        ("an unknown source", By::Shared, hs(), but(json!({"video": {"canPublishSources": ["mind"]}})), Invalid),
        ("a permission that is text", By::Shared, hs(), but(json!({"video": {"canPublish": "no"}})), Invalid),
        ("permissions that are a list", By::Shared, hs(), but(json!({"video": []})), Invalid),
        ("attributes that are no texts", By::Shared, hs(), but(json!({"attributes": {"a": 1}})), Invalid),
        (
            "limits that let nothing through",
            By::Shared,
            hs(),
            but(json!({"limits": {"receive": {"maxFps": 0}}})),
            Invalid,
        ),
        ("limits of another name", By::Shared, hs(), but(json!({"limits": {"upload": {}}})), Invalid),
        ("too many topics", By::Shared, hs(), but(json!({"topics": topics})), Invalid),
        ("a long topic", By::Shared, hs(), but(json!({"topics": ["x".repeat(129)]})), Invalid),
    ];
    for (what, by, header, claims, expected) in cases {
        let token = signers.sign(by, &header, &claims.to_string());
        assert_eq!(signers.enter(&token), Err(expected), "{what}");
    }
}

#[test]
fn what_is_no_token_at_all_is_refused() {
    let signers = Signers::new();
    let token = signers.sign(By::Shared, &hs(), &good().to_string());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let twice =
        format!(r#"{{"exp": 1, "exp": {}, "sub": "ann", "video": {{"room": "daily", "roomJoin": true}}}}"#, NOW + 60);
    let other = URL_SAFE_NO_PAD.encode(but(json!({"sub": "eve"})).to_string());
    for text in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        message.to_owned(),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{message}.{}", &signature[..signature.len() - 4]),
        format!("{header}.{other}.{signature}"),
        format!("{header}..{signature}"),
        format!(" {token}"),
        format!("{header}.{claims}.{signature}\n"),
        signers.sign(By::Shared, &hs(), "[]"),
        signers.sign(By::Shared, &hs(), "null"),
        signers.sign(By::Shared, &hs(), "no JSON"),
        signers.sign(By::Shared, &hs(), &twice),
        signers.sign(By::Shared, &json!([]), &good().to_string()),
    ] {
        assert_eq!(signers.enter(&text), Err(ErrorCode::TokenInvalid), "{text:?}");
    }
}

#[test]
fn the_api_asks_for_what_it_needs() {
    let signers = Signers::new();
    let pass =
        |claims: Value| verify(&signers.keys, now(), &signers.sign(By::Shared, &hs(), &claims.to_string())).unwrap();
    let other = RoomId::new("weekly").unwrap();
    let member = pass(good());
    assert_eq!((member.read(&room()), member.read(&other)), (Ok(()), Err(TokenError::Room)));
    assert!(member.admin(&room()).is_err() && member.list().is_err() && member.create().is_err());

    let host = pass(but(json!({"role": "host"})));
    assert_eq!((host.admin(&room()), host.admin(&other)), (Ok(()), Err(TokenError::Room)));
    assert!(host.list().is_err(), "who moderates one room does not see the others");

    let operator = pass(json!({"exp": NOW + 60, "video": {"roomAdmin": true}}));
    assert!(operator.admin(&room()).is_ok() && operator.admin(&other).is_ok() && operator.read(&other).is_ok());
    assert!(operator.list().is_ok() && operator.create().is_ok());
    assert_eq!(operator.entry(&room()), Err(TokenError::Room), "it is for the API only");

    let lister = pass(json!({"exp": NOW + 60, "video": {"roomList": true}}));
    assert!(lister.list().is_ok() && lister.create().is_err() && lister.read(&room()).is_err());
    assert!(lister.admin(&room()).is_err());
}

#[test]
fn keys_are_looked_over_before_they_are_used() {
    let ed = pem(&ED_PREFIX, &[1; 32]).replace('\n', "\\n");
    let entry = |rest: &str| format!("[[keys]]\nid = \"k\"\n{rest}");
    let good = [
        entry(&format!("secret = \"{SECRET}\"")),
        format!(
            "{}\n{}",
            entry(&format!("secret = \"{SECRET}\"")),
            entry(&format!("algorithm = \"EdDSA\"\npublic-key = \"{ed}\"")).replace("\"k\"", "\"l\"")
        ),
        json!({"keys": [{"id": "k", "algorithm": "HS256", "secret": SECRET}]}).to_string(),
    ];
    for text in good {
        let mut keys = KeySet::default();
        keys.add_keys_file(&text, false).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(keys.find("k").is_some() && keys.signing_key().is_some_and(|key| key.id() == "k"));
        assert!(!format!("{keys:?}").contains(SECRET), "it is not shown");
    }
    for (text, says) in [
        (String::new(), "it holds none"),
        (entry("secret = \"short\""), "its secret has 5 bytes"),
        (entry("secret = \"\""), "its secret is empty"),
        (entry(""), "HS256 has a secret"),
        (entry(&format!("algorithm = \"EdDSA\"\nsecret = \"{SECRET}\"")), "EdDSA has a public-key"),
        (entry(&format!("algorithm = \"ES256\"\npublic-key = \"{ed}\"")), "none of ES256"),
        (entry("algorithm = \"EdDSA\"\npublic-key = \"x\""), "no PEM"),
        (entry("algorithm = \"none\""), "none"),
        (entry("algorithm = \"RS256\""), "RS256"),
        (entry(&format!("secret = \"{SECRET}\"\nsecrets = 1")), "secrets"),
        (format!("[[keys]]\nid = \"\"\nsecret = \"{SECRET}\""), "an id has 1 to"),
        (format!("{0}\n{0}", entry(&format!("secret = \"{SECRET}\""))), "there twice"),
        ((0..101).map(|n| format!("[[keys]]\nid = \"k{n}\"\nsecret = \"{SECRET}\"\n")).collect(), "more than 100 keys"),
    ] {
        let error = KeySet::default().add_keys_file(&text, false).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    assert!(KeySet::default().add_keys_file(&entry("secret = \"short\""), true).is_ok(), "where that is allowed");

    for (jwk, says) in [
        (json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}), "without kid"),
        (json!({"kty": "oct", "kid": "k", "k": "c2hvcnQ"}), "its secret has 5 bytes"),
        (json!({"kty": "oct", "kid": "k"}), "its k is missing"),
        (json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "AAAA"}), "its x is missing or not"),
        (json!({"kty": "EC", "crv": "P-384", "kid": "k", "x": "AAAA"}), "no key of HS256"),
        (json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "enc"}), "no key of HS256"),
    ] {
        let error = KeySet::default().add_jwks(&json!({"keys": [jwk]}).to_string(), false).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

fn any_source() -> impl Strategy<Value = TrackSource> {
    prop::sample::select(TrackSource::ALL.to_vec())
}

prop_compose! {
    fn any_video()(
        flags in prop::collection::vec(any::<Option<bool>>(), 8),
        sources in prop::option::of(prop::collection::vec(any_source(), 1..4)),
    ) -> VideoGrant {
        VideoGrant {
            room: Some("daily".into()),
            room_join: Some(true),
            room_admin: flags[0],
            can_publish: flags[1],
            can_subscribe: flags[2],
            can_publish_data: flags[3],
            can_chat: flags[4],
            can_publish_sources: sources.map(|sources| sources.into_iter().map(Source::from).collect()),
            can_update_own_metadata: flags[5],
            hidden: flags[6],
            recorder: flags[7],
            ..VideoGrant::default()
        }
    }
}

prop_compose! {
    fn any_claims()(
        video in any_video(),
        role in prop::option::of(prop::sample::select(Role::ALL.to_vec())),
        last_n in any::<Option<u16>>(),
        max_height in prop::option::of(1_u16..2000),
        topics in prop::option::of(prop::collection::vec("[a-c]{1,2}(/(\\*|[a-c]))?", 0..4)),
    ) -> Claims {
        let receive = QualityLimits { max_height, ..QualityLimits::NONE };
        Claims {
            sub: Some("ann".into()),
            exp: Some(NOW + 60),
            video: Some(video),
            role,
            limits: Some(MemberLimits { receive, last_n, ..MemberLimits::NONE }),
            topics,
            ..Claims::default()
        }
    }
}

proptest! {
    #[test]
    fn a_token_brings_its_grants_into_the_room_which_keeps_to_them(claims in any_claims()) {
        let mut keys = KeySet::default();
        keys.add(Key::shared("shared", SECRET.as_bytes(), false).unwrap()).unwrap();
        let token = mint(keys.signing_key().unwrap(), &claims).unwrap();
        let grants = verify(&keys, now(), &token).unwrap().entry(&room()).unwrap();

        // What was given stands, and what was not is as the role has it.
        let video = claims.video.as_ref().unwrap();
        let role = claims.role.map_or(Grants::ALL, Grants::of);
        prop_assert_eq!(grants.publish, video.can_publish.unwrap_or(role.publish));
        prop_assert_eq!(grants.subscribe, video.can_subscribe.unwrap_or(role.subscribe));
        prop_assert_eq!(grants.data, video.can_publish_data.unwrap_or(role.data));
        prop_assert_eq!(grants.chat, video.can_chat.or(video.can_publish_data).unwrap_or(role.chat));
        prop_assert_eq!(grants.admin, video.room_admin.unwrap_or(role.admin));
        prop_assert_eq!(grants.hidden, video.hidden == Some(true));
        prop_assert_eq!(grants.recorder, video.recorder == Some(true));
        prop_assert_eq!(grants.update_own_metadata, video.can_update_own_metadata.unwrap_or(role.update_own_metadata));
        prop_assert_eq!(&grants.topics, &claims.topics);
        prop_assert_eq!(Some(grants.limits), claims.limits);
        let sources = video.can_publish_sources.as_ref();
        let sources = sources.map(|sources| sources.iter().copied().map(TrackSource::from).collect::<Sources>());
        prop_assert_eq!(grants.sources, sources);

        // They survive the wire, and the room refuses what they forbid.
        let told: Grants = serde_json::from_value(serde_json::to_value(&grants).unwrap()).unwrap();
        prop_assert_eq!(&told, &grants);
        let mut room = Room::new(1);
        let now = Now { instant: Instant::now(), unix_ms: 1 };
        let member = room.join(now, "Ann", grants.clone(), 4).id;
        let seen = !grants.hidden;
        for source in TrackSource::ALL {
            let may = grants.publish && seen && sources.is_none_or(|sources| sources.contains(source));
            let checked = room.check_publish(&member, &[source]);
            prop_assert_eq!(checked.is_ok(), may, "{:?}: {:?}", source, checked);
            if let Err(error) = checked {
                prop_assert_eq!(error.code(), ErrorCode::PublishForbidden);
            }
        }
        let chat = room.chat(now, &member, 1, "hello".into());
        prop_assert_eq!(chat.is_ok(), grants.chat && seen);
        for topic in ["a", "b/c", "cc/a"] {
            prop_assert_eq!(room.check_data(&member, topic).is_ok(), grants.may_publish_data(topic));
            prop_assert!(grants.data && seen || room.check_data(&member, topic).is_err());
        }
        prop_assert_eq!(room.may_subscribe(&member), grants.subscribe);
    }

    #[test]
    fn no_text_makes_the_reader_of_tokens_panic(text in ".{0,80}", dots in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        let mut keys = KeySet::default();
        keys.add(Key::shared("shared", SECRET.as_bytes(), false).unwrap()).unwrap();
        prop_assert!(verify(&keys, now(), &text).is_err());
        prop_assert!(verify(&keys, now(), &dots).is_err());
        let _ = keys.add_jwks(&text, false);
        let _ = keys.add_keys_file(&text, false);
    }
}
