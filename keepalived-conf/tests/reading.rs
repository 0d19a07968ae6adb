//! What keepalived's language comes to, beside what keepalived itself dumps of the same files: small ones that are written
//! to be difficult, and mixtures of them.
//!
//! `READINGS=N` reads so many mixtures instead of a few; `READINGS_SEED=N` begins elsewhere.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keepalived_conf::{Configuration, Options, System};

/// Lines around which every case stands: a whole virtual router, so that keepalived has something to say.
const BASE: &str =
    "vrrp_instance BASE {\ninterface eth0\nvirtual_router_id 250\nvirtual_ipaddress { 10.0.0.250 }\n}\n";

/// A virtual router in one definition: its name is `I` and `$N`.
const BLOCK: &str = "$B=\\\nvrrp_instance I$N { \\\ninterface eth0 \\\nvirtual_router_id $N \\\nvirtual_ipaddress { \\\n10.0.0.$N \\\n} \\\n}\n";

/// A virtual router with lines of its own.
fn router(name: &str, vrid: &str, lines: &str) -> String {
    format!(
        "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\n{lines}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
    )
}

/// Not among them, since more is understood here than by keepalived 2.2.7: definitions in `~LST`, which it makes nothing of;
/// `\#` and `\!`, which later releases know; and names in which a brace comes right after `$`, where it begins the block.
fn cases() -> Vec<String> {
    let mut all: Vec<String> = [
        // Definitions.
        "$N=5\n$B\n",
        "$N=5\n${B}\n",
        "$N=5\n$B\n$N=6\n$B\n",
        "~SEQ(N,1,3) $B\n",
        "~SEQ(N,3) $B\n",
        "~SEQ(N,1,2,7) $B\n",
        "~SEQ(N,9,-3,1) $B\n",
        "~SEQ(N,3,1) $B\n",
        "~SEQx(N,9,12) $B\n",
        "~LST(N,4,9,2) $B\n",
        "~LST( N , 4 , 9 ) $B\n",
        "~LST({N},{4},{9}) $B\n",
        "$N=5 \\# no comment\n$B\n",
        "$N=5\n$B \\# no comment\n",
        "$N=5\n\\# $N=6\n$B\n",
        "~SEQ(N,1,2)$B\n",
        "~SEQ (N,1,2) $B\n",
        "$E=3\n~SEQ(N,1,$E) $B\n",
        "$E=3\n~SEQ(N,1,${E}) $B\n",
        "~NOSUCH(N,1,2) $B\n",
        "$N=5 # why\n$B # not\n",
        "$N=\"5\"\n$B\n",
        "$N = 5\n$B\n",
        "$N=\n$B\n",
        "$A=1\n$N=${A}2\n$B\n",
        "$N=${A}2\n$A=1\n$B\n",
        "$N=5\n  $B  \n",
        "! $N=5\n$N=6\n$B\n",
        // Conditions.
        "$N=5\n@left $N=6\n$B\n",
        "$N=5\n@^left $N=6\n$B\n",
        "$N=5\n@right $N=6\n$B\n",
        "$N=5\n@^right $N=6\n$B\n",
        "@left $N=7\n@left $B\n",
        "@left @left $N=7\n$N=7\n$B\n",
        "@^right @left vrrp_script x { script /bin/true\n}\n",
        // Includes.
        "include a.inc\n",
        "include sub/b.inc\n",
        "include *.inc\n",
        "include {a,none}.inc\n",
        "include none.inc\n",
        "include none*.inc\n",
        "include sub\n",
        "include \"a.inc\"\n",
        "include a.inc sub/b.inc\n",
        "include ./a.inc # again\n",
        "$F=a.inc\ninclude $F\n",
        "@left include a.inc\n",
        "$N=8\ninclude defs.inc\n$B\n",
    ]
    .map(|text| format!("{BLOCK}{text}"))
    .to_vec();
    // A block in which conditions and definitions stand.
    all.push("$B=\\\nvrrp_instance I$N { \\\ninterface eth0 \\\n@left virtual_router_id 9 \\\n@right virtual_router_id 8 \\\nvirtual_ipaddress { \\\n10.0.0.$N \\\n} \\\n}\n$N=3\n$B\n".into());
    all.push("$V=\\\n10.0.0.$N \\\n10.0.1.$N\nvrrp_instance M {\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {\n~SEQ(N,2,4) $V\n}\n}\n".into());
    all.push("$V=10.0\nvrrp_instance M {\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {\n~SEQ(N,2) ~LST(M,7,8) ${V}.$N.$M\n~SEQ(N,2) ~SEQ(M,$N) ${V}.9${N}.$M\n}\n}\n".into());
    for name in [
        "A",
        "\"A\"",
        "\"A B\"",
        "A\"B\"",
        "A\"B C\"D",
        "'A'",
        "\"A#B\"",
        "A!B",
        "A#B",
        "$A",
        "${A}",
        "$A.z",
        "${A}.z",
        "A$",
        "\"${A}\"",
        "\"$A\"",
        "é",
        "a\\nb",
        "a=b",
        "@left",
        "~A",
        "A,B",
        "A;B",
        "a\\",
        "A\\\\#B",
        "\"A\\#B\"",
        "A${ A}",
        "A$}",
        "$",
        "$$A",
        "\"\"",
        "${_INSTANCE}x",
        "${_ENV X}",
        "$A$A",
        "${A}${A}",
        "$A,z",
        "($A)",
    ] {
        all.push(format!("$A=x\n{}", router(name, "9", "")));
    }
    for command in [
        "/bin/echo",
        "\"/bin/echo\"",
        "\"/bin/echo a b\"",
        "\"/bin/echo 'a b'\"",
        "\"/bin/echo \\\"a b\\\"\"",
        "\"/bin/echo a\\ b\"",
        "\"/bin/echo c\\x41d\\101e\\cAf\"",
        "\"/bin/echo \\t\\n\\E|\"",
        "\"/bin/echo a#b !c\"",
        "/bin/echo root",
        "\"/bin/echo x\" root",
        "\"/bin/echo x\" root root",
        "'/bin/echo x'",
        "'/bin/echo \"x y\"'",
        "\"/bin/echo 'it\\'s'\"",
        "\"/bin/echo ''\"",
        "\"/bin/echo \\\"\\\"\"",
        "\"/bin/echo $A ${A} \\$A\"",
        "\"/bin/echo a{b}c\"",
        "\"/bin/echo { }\"",
        "\"  /bin/echo   x  \"",
        "/bin/echo # x",
        "\"/bin/echo\" # \"x\"",
        "/bin/\"echo\"",
        "\"/bin/echo ~SEQ(N,2)\"",
        "\"/bin/echo a'b'c\"",
        "\"/bin/echo 'a'\\\"b\\\"\"",
        "\"/bin/echo \\q\"",
    ] {
        all.push(format!(
            "$A=x\n{}",
            router("A", "9", &format!("notify_master {command}"))
        ));
    }
    for text in [
        "vrrp_instance A\n{\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress\n{\n10.0.0.1\n}\n}\n",
        "vrrp_instance A {interface eth0\nvirtual_router_id 9\nvirtual_ipaddress { 10.0.0.1 } }\n",
        "vrrp_instance A { interface eth0 } \n",
        "vrrp_instance A { interface eth0\nvirtual_router_id 9 } vrrp_instance C { interface eth0\nvirtual_router_id 8 }\n",
        "vrrp_instance A {\r\ninterface eth0\r\nvirtual_router_id 9\r\nvirtual_ipaddress {\r\n10.0.0.1\r\n}\r\n}\r\n",
        "\tvrrp_instance\tA\t{\n\tinterface\teth0\n virtual_router_id\t 9\n}",
        "vrrp_instance A { # x\ninterface eth0 ! y\nvirtual_router_id 9 # }\n}\n",
        "#vrrp_instance A {\n!}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\npriority 20\npriority 30\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\npriority 300\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\npriority 20x\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nelephant {\n}\npriority 30\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nelephant\npriority 30\n}\n",
        "elephant {\nvrrp_instance A {\ninterface eth0\nvirtual_router_id 9\n}\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nstate MASTER\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nstate MASTER\nstate BACKUP\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nnotify_master /bin/true\nnotify_master /bin/false\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {\n10.0.0.1\n}\nvirtual_ipaddress {\n10.0.0.2\n10.0.0.1\n}\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {\n10.0.0.1/24 dev eth0 label eth0:1 # x\n10.0.0.2/24 brd + scope link\n10.0.0.300\n10.0.0.3/33\nlabel eth0:2 10.0.0.4\n}\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {\n10.0.0.1 10.0.0.2\nfd00::1\n}\n}\n",
    ] {
        all.push(text.to_owned());
    }
    all
}

/// What one of both made of a text: each virtual router in a line, or that it is given up.
type Reading = Result<Vec<String>, String>;

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn a_text_means_what_it_means_to_keepalived() {
    let number = |name: &str, usual| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(usual)
    };
    let mut texts = cases();
    let mut random = Random(number("READINGS_SEED", 2));
    let cases = texts.clone();
    texts.extend((0..number("READINGS", 24)).map(|_| mixed(&cases, &mut random)));
    // keepalived waits most of the time.
    let each = texts.len().div_ceil(8);
    let wrong: String = std::thread::scope(|scope| {
        let parts = texts.chunks(each).enumerate();
        let threads: Vec<_> = parts
            .map(|(part, texts)| scope.spawn(move || differences(part, texts)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let compared = texts.len();
    assert!(wrong.is_empty(), "of {compared}:\n{wrong}");
    println!("{compared} texts mean the same");
}

/// The texts of which both make different things.
fn differences(part: usize, texts: &[String]) -> String {
    let lab = Lab::new(part);
    let mut wrong = String::new();
    for text in texts {
        lab.write(&format!("{text}{BASE}"));
        let (theirs, ours) = (lab.theirs(), lab.ours());
        let same = match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => theirs == ours,
            // What it gives up we do not start with either.
            (Err(_), ours) => ours.is_err(),
            // Where it goes on we may refuse: what would change who is elected is an error.
            (Ok(_), Err(_)) => true,
        };
        if !same {
            let text = text.replace(BLOCK, "");
            writeln!(
                wrong,
                "{text}\n  keepalived: {theirs:?}\n  ours:       {ours:?}\n----"
            )
            .unwrap();
        }
    }
    wrong
}

/// Lines of several cases, some of them cut, doubled or swapped.
fn mixed(cases: &[String], random: &mut Random) -> String {
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..1 + random.below(3) {
        let case = &cases[random.below(cases.len())];
        lines.extend(case.lines().map(str::to_owned));
    }
    for _ in 0..random.below(4) {
        let place = random.below(lines.len());
        match random.below(4) {
            0 => drop(lines.remove(place)),
            1 => lines.insert(place, lines[place].clone()),
            2 => {
                let other = random.below(lines.len());
                lines.swap(place, other);
            }
            _ => {
                let insert =
                    ["\"", "#", "$", "{", "}", " ", "\\", "~", "@", "'", "${A}", "1"][random.below(12)];
                let line = &mut lines[place];
                let at = (0..=line.len())
                    .filter(|at| line.is_char_boundary(*at))
                    .nth(random.below(line.len() + 1));
                line.insert_str(at.unwrap_or(0), insert);
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\n") + "\n"
}

/// A directory with the files that the cases include.
struct Lab(PathBuf);

impl Lab {
    fn new(part: usize) -> Self {
        let name = format!("keepalived-conf-reading-{}-{part}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("sub")).unwrap();
        let lab = Self(path);
        lab.put("a.inc", &router("INC_A", "201", ""));
        lab.put("sub/b.inc", &(router("INC_B", "202", "") + "include c.inc\n"));
        lab.put("sub/c.inc", &router("INC_C", "203", ""));
        lab.put("defs.inc", "$N=7\n");
        lab
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn write(&self, text: &str) {
        self.put("main.conf", text);
    }

    fn main(&self) -> PathBuf {
        self.0.join("main.conf")
    }

    fn ours(&self) -> Reading {
        let mut options = Options::default();
        options.config_id = Some("left".to_owned());
        let (configuration, report) = Configuration::read(&self.main(), &System, &options);
        if report.errors() > 0 {
            let errors = report.diagnostics().iter().map(|each| report.headline(each));
            return Err(errors.collect::<Vec<_>>().join("; "));
        }
        let routers = configuration.vrrp_instance.iter().map(|router| {
            let addresses: Vec<String> = router
                .virtual_ipaddress
                .iter()
                .map(|each| plain(&each.address.to_string()).to_owned())
                .collect();
            let told = router.notify_master.as_ref().map(|command| command.words());
            // One that is not to be found is never run, and keepalived does not show it.
            let told = told.filter(|words| words.first().is_some_and(|program| Path::new(program).exists()));
            line(
                &router.name,
                router.virtual_router_id.unwrap_or(0).into(),
                router.effective_priority().into(),
                &addresses,
                &told.unwrap_or_default(),
            )
        });
        Ok(routers.collect())
    }

    fn theirs(&self) -> Reading {
        let script = "mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mkdir /run/keepalived && ip link add eth0 type veth peer name eth1 && \
                      ip addr add 10.0.0.2/24 dev eth0 && ip link set eth0 up && ip link set eth1 up && \
                      exec timeout -s KILL 60 keepalived -n -l -D -d -P -i left -f \"$0\" 2>&1";
        let mut child = Command::new("unshare")
            .args(["-n", "-m", "-p", "-f", "--kill-child", "sh", "-c", script])
            .arg(self.main())
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut dump = Dump::default();
        for said in BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
        {
            if dump.take(&said) {
                break;
            }
        }
        // The process namespace ends with it.
        child.kill().unwrap();
        child.wait().unwrap();
        dump.finish()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What keepalived says while it starts, as far as it matters.
#[derive(Default)]
struct Dump {
    said: Vec<String>,
    routers: Vec<Router>,
    in_topology: bool,
    in_addresses: bool,
    done: bool,
}

#[derive(Default)]
struct Router {
    name: String,
    vrid: u32,
    priority: u32,
    addresses: Vec<String>,
    told: Vec<String>,
}

impl Dump {
    /// Takes a line in; true when there is nothing more to come.
    fn take(&mut self, said: &str) -> bool {
        // `Sat Nov 21 22:18:32 2026: `
        let text = said.get(26..).unwrap_or_default();
        if text.starts_with("------<") {
            self.in_topology = text.contains("VRRP Topology");
            self.done |= text.contains("Interfaces");
            return self.done;
        }
        if !self.in_topology {
            self.said.push(text.to_owned());
            return false;
        }
        if let Some(name) = text.strip_prefix(" VRRP Instance = ") {
            self.routers.push(Router {
                name: name.to_owned(),
                ..Router::default()
            });
        }
        let Some(router) = self.routers.last_mut() else {
            return false;
        };
        if let Some(number) = text.strip_prefix("   Virtual Router ID = ") {
            router.vrid = number.parse().unwrap();
        } else if let Some(number) = text.strip_prefix("   Priority = ") {
            router.priority = number.parse().unwrap();
        } else if let Some(command) = text.strip_prefix("   Master state transition script = ") {
            let command = command
                .rsplit_once(", uid:gid")
                .map_or(command, |(command, _)| command);
            let command = command.strip_prefix('\'').unwrap_or(command);
            let words = command.strip_suffix('\'').unwrap_or(command).split("' '");
            router.told = words.map(str::to_owned).collect();
        }
        match text.strip_prefix("     ") {
            Some(address) if self.in_addresses => {
                let first = address.trim().split(' ').next().unwrap_or_default();
                router.addresses.push(plain(first).to_owned());
            }
            _ => self.in_addresses = text.starts_with("   Virtual IP ("),
        }
        false
    }

    fn finish(self) -> Reading {
        if !self.done {
            return Err(self.said.join("; "));
        }
        Ok(self
            .routers
            .iter()
            .map(|router| {
                line(
                    &router.name,
                    router.vrid,
                    router.priority,
                    &router.addresses,
                    &router.told,
                )
            })
            .collect())
    }
}

/// A virtual router in a line. The program is said by its name: keepalived follows links.
fn line(name: &str, vrid: u32, priority: u32, addresses: &[String], told: &[String]) -> String {
    let mut told = told.to_vec();
    if let Some(program) = told.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    format!("{name} {vrid} {priority} {addresses:?} {told:?}")
}

/// An address without the prefix length that it has anyhow.
fn plain(address: &str) -> &str {
    address.trim_end_matches("/32").trim_end_matches("/128")
}

/// A generator of numbers that are random enough (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most.max(1)
    }
}
