//! The status page in a real browser.

mod browser;

use std::sync::{Arc, Mutex, mpsc};
use std::time::SystemTime;

use browser::Browser;
use ha_stack::{Control, Event, HttpServer, Request, Response, Status};
use serde_json::{Value, json};

/// What names, reasons and errors would look like if somebody meant harm.
const HOSTILE: &str = "<img src=x onerror=\"window.harmed=1\"></script><script>window.harmed=2</script>";

/// A stack whose status the test sets.
#[derive(Default)]
struct Fake(Mutex<Status>);

impl Control for Fake {
    fn status(&self) -> Status {
        self.0.lock().unwrap().clone()
    }

    fn watch(&self) -> Option<mpsc::Receiver<Event>> {
        None
    }

    fn execute(&self, _: Request) -> Response {
        panic!("the page changes nothing")
    }
}

impl Fake {
    fn set(&self, status: Value) {
        *self.0.lock().unwrap() = serde_json::from_value(status).unwrap();
    }
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn router(name: &str, state: &str, reason: &str, active: Option<&str>) -> Value {
    json!({
        "name": name, "interface": "eth0", "vrid": 51, "family": "ipv4", "version": 3, "state": state, "reason": reason,
        "priority": 150, "effective_priority": 140, "addresses": ["10.0.0.100/24"], "since": now(),
        "active_router": active, "statistics": {},
        "problems": [{"peer": "10.0.0.3", "field": "interval", "text": "another interval"}],
    })
}

fn server(name: &str, second_is: &str, error: &str) -> Value {
    let real = |address: &str, state: &str, error: Option<&str>| {
        json!({"address": address, "weight": 1, "effective_weight": 1, "state": state,
            "order": (state == "drain").then_some("drain"), "active_connections": 12, "inactive_connections": 3,
            "traffic": {"connections": 4711, "packets_in": 1, "packets_out": 2, "bytes_in": 1_500_000, "bytes_out": 2,
                "connections_per_second": 42, "bytes_in_per_second": 2_500, "bytes_out_per_second": 3_000_000},
            "checks": [{"type": "http", "state": state, "last_error": error, "last_latency_us": 1234}]})
    };
    json!({
        "name": name, "address": name, "fwmark": null, "group": null, "protocol": "tcp", "scheduler": "wlc",
        "forwarding": "droute", "quorum": 1, "quorum_met": true, "sorry_server": "10.0.0.99:80",
        "real_servers": [real("10.0.0.11:80", "up", None), real("10.0.0.12:80", second_is, Some(error))],
    })
}

fn status(routers: &[Value], servers: &[Value]) -> Value {
    json!({"schema": 1, "data_plane": "ipvs", "virtual_routers": routers, "sync_groups": [], "virtual_servers": servers,
        "tracked": [{"kind": "script", "name": HOSTILE, "state": "down"}]})
}

fn start(status: Value) -> (Arc<Fake>, HttpServer, Browser) {
    let fake = Arc::new(Fake::default());
    fake.set(status);
    let http = HttpServer::start("127.0.0.1:0".parse().unwrap(), fake.clone()).unwrap();
    let mut browser = Browser::open(&format!("http://{}/", http.address()));
    browser.until("document.querySelector('#live')?.dataset.state === 'live'");
    (fake, http, browser)
}

#[test]
#[ignore = "needs chromium-headless-shell"]
fn it_shows_what_is_going_on_and_follows_it() {
    let waiting = router(
        "VI_1",
        "backup",
        "priority 200 from 10.0.0.2 is higher",
        Some("10.0.0.2"),
    );
    let (fake, http, mut browser) = start(status(&[waiting], &[server("10.0.0.100:80", "up", "")]));
    let card = "(document.querySelector('#routers article')?.innerText ?? '')";
    for words in [
        "VI_1",
        "backup",
        "priority 200 from 10.0.0.2 is higher",
        "140 (of 150)",
        "10.0.0.100/24",
        "another interval",
        "10.0.0.2 active",
    ] {
        browser.until(&format!("{card}.includes({words:?})"));
    }
    browser.until(
        "document.querySelector('#summary').innerText.includes('2 of 2 real servers up, through ipvs')",
    );

    let active = router("VI_1", "active", "nothing heard for 3.6 s", Some("10.0.0.1"));
    fake.set(status(
        &[active],
        &[server("10.0.0.100:80", "down", "connection refused")],
    ));
    browser.until(&format!("{card}.includes('nothing heard for 3.6 s')"));
    browser.until("document.querySelectorAll('#routers .timeline span').length === 2");
    browser.until("document.querySelector('#routers .timeline .by-us') !== null");
    browser.until("document.querySelectorAll('#routers .past li')[0].innerText.includes('this host active')");
    browser.until("document.querySelector('#servers table').innerText.includes('connection refused')");
    browser.until("document.querySelector('#summary').innerText.includes('1 of 2 real servers up')");

    // What is not there is not shown, and what comes later is.
    fake.set(status(&[], &[]));
    browser.until("document.querySelector('#routers').hidden && document.querySelector('#servers').hidden");
    fake.set(status(
        &[router("VI_2", "initialize", "the interface is down", None)],
        &[],
    ));
    browser.until(&format!(
        "{card}.includes('VI_2') && {card}.includes('not taking part')"
    ));
    assert_eq!(browser.complaints, [""; 0]);

    drop(http);
    browser.until("document.querySelector('#live').innerText.startsWith('no answer since')");
    // What is old does not look like what is.
    assert_eq!(
        browser.evaluate("document.querySelector('#stale').innerText.startsWith('The daemon does not answer. What is below is how it was')"),
        true
    );
    assert_eq!(
        browser.evaluate("getComputedStyle(document.querySelector('main')).filter"),
        "grayscale(1)"
    );
    assert_eq!(browser.evaluate("document.title.startsWith('✕')"), true);
}

/// Events have keepalived's labels, the page has the names of the status.
#[test]
#[ignore = "needs chromium-headless-shell"]
fn servers_are_called_the_same_everywhere() {
    let (_fake, _http, mut browser) = start(status(&[], &[]));
    for (label, name) in [
        ("[10.0.0.1]:tcp:80", "10.0.0.1:80"),
        (
            "[10.0.0.1]:tcp:80 [10.0.0.100]:tcp:80",
            "10.0.0.1:80 of 10.0.0.100:80",
        ),
        ("[2001:db8::1]:udp:53 FWM 7", "[2001:db8::1]:53/udp of FWM 7"),
        ("VI_1", "VI_1"),
    ] {
        assert_eq!(browser.evaluate(&format!("called({label:?})")), name);
    }
}

#[test]
#[ignore = "needs chromium-headless-shell"]
fn nothing_from_outside_becomes_markup() {
    let hostile = router(HOSTILE, "active", HOSTILE, Some(HOSTILE));
    let mut odd = router("odd", "\" onclick=\"x", HOSTILE, None);
    odd["addresses"] = json!([HOSTILE]);
    let servers = [server(HOSTILE, "down", HOSTILE)];
    let (_fake, _http, mut browser) = start(status(&[hostile, odd], &servers));
    browser.until("document.querySelectorAll('article').length === 3");
    let text = browser.evaluate("document.body.innerText");
    assert!(text.as_str().unwrap().matches(HOSTILE).count() >= 6, "{text}");
    assert_eq!(browser.evaluate("typeof window.harmed"), "undefined");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('img, body script, [onclick], [onerror]').length"),
        0
    );
    // What would run if it came in all the same is refused by the policy.
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.harmed = 3\">')",
    );
    assert_eq!(
        browser.evaluate("new Promise((done) => setTimeout(() => done(typeof window.harmed), 500))"),
        "undefined"
    );
}

#[test]
#[ignore = "needs chromium-headless-shell"]
fn it_can_be_read_on_a_phone_in_the_dark_and_without_eyes() {
    let routers = [
        router("VI_1", "active", "nothing heard for 3.6 s", Some("10.0.0.1")),
        router(
            "a_name_without_any_place_to_break_it_that_is_far_too_long_for_a_phone",
            "backup",
            "started",
            None,
        ),
        router("VI_3", "initialize", "the interface is down", None),
    ];
    let error = "a-long-word-".repeat(20);
    let mut drained = server("[2001:db8:1111:2222:3333:4444:5555:6666]:8443", "drain", &error);
    drained["quorum_met"] = json!(false);
    let servers = [server("10.0.0.100:80", "down", &error), drained];
    let (_fake, _http, mut browser) = start(status(&routers, &servers));
    browser.until("document.querySelectorAll('article').length === 5");
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        for (width, height) in [(320, 640), (390, 844), (800, 600), (1400, 900)] {
            browser.look_like(width, height, scheme);
            browser.until(&format!("window.innerWidth === {width}"));
            let wide = browser.evaluate("document.documentElement.scrollWidth > window.innerWidth");
            assert_eq!(wide, false, "{width} {scheme}: too wide");
        }
        backgrounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        let pale = browser.evaluate(include_str!("contrast.js"));
        assert_eq!(pale, json!([]), "{scheme}: less than 4.5 to 1");
    }
    assert_ne!(backgrounds[0], backgrounds[1]);

    // What a screen reader is given.
    assert_eq!(browser.evaluate("document.documentElement.lang"), "en");
    assert_eq!(browser.evaluate("document.querySelectorAll('h1').length"), 1);
    assert_eq!(browser.evaluate("[...document.querySelectorAll('section:not([hidden])')].every((part) => document.getElementById(part.getAttribute('aria-labelledby'))?.innerText)"), true);
    assert_eq!(browser.evaluate("[...document.querySelectorAll('table')].every((table) => table.caption?.innerText && table.querySelector('tbody th[scope=row]'))"), true);
    assert_eq!(
        browser.evaluate(
            "[...document.querySelectorAll('[role=img]')].every((image) => image.getAttribute('aria-label'))"
        ),
        true
    );
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
#[ignore = "needs chromium-headless-shell"]
fn a_thousand_virtual_servers_are_folded_and_an_open_one_stays_open() {
    let servers = |error: &str| -> Vec<Value> {
        (0..1000)
            .map(|number| {
                let mut server = server(
                    &format!("10.1.{}.{}:80", number / 250, number % 250),
                    "down",
                    error,
                );
                let pair = server["real_servers"].as_array().unwrap();
                let reals = vec![pair.clone(); 5].concat();
                server["real_servers"] = json!(reals);
                server
            })
            .collect()
    };
    let (fake, _http, mut browser) = start(status(&[], &servers("connection refused")));
    browser.until("document.querySelectorAll('article').length === 1000");
    browser.until("document.querySelector('#summary').innerText.includes('5000 of 10000 real servers up')");
    assert_eq!(browser.evaluate("document.querySelectorAll('tr').length"), 0);
    browser.evaluate(
        "document.querySelectorAll('summary')[7].focus(); document.querySelectorAll('summary')[7].click()",
    );
    browser.until("document.querySelectorAll('tbody tr').length === 10");
    fake.set(status(&[], &servers("no route to host")));
    browser.until("document.querySelectorAll('article')[7].innerText.includes('no route to host')");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('details[open]').length"),
        1
    );
    assert_eq!(
        browser.evaluate("document.activeElement === document.querySelectorAll('summary')[7]"),
        true
    );
    browser.evaluate("document.querySelectorAll('summary')[7].click()");
    browser.until("document.querySelectorAll('tr').length === 0");
    for (wanted, number) in [
        ("10.1.0.7:80", 1),
        ("10.1.0.7:80 UP", 1),
        ("nothing", 0),
        ("", 1000),
    ] {
        browser.evaluate(&format!("document.querySelector('#wanted').value = {wanted:?}"));
        browser.evaluate("document.querySelector('#wanted').dispatchEvent(new Event('input'))");
        browser.until(&format!(
            "document.querySelectorAll('article').length === {number}"
        ));
    }
    assert_eq!(
        browser.evaluate("document.querySelector('#search').hidden"),
        false
    );
    assert_eq!(browser.complaints, [""; 0]);
}
