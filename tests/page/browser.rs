//! A browser without a window, told what to do by the Chrome DevTools Protocol over two pipes.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Chromium with one page open; it ends when this is dropped.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// The page's session of the protocol.
    session: Option<String>,
    next_id: u64,
    requested: Vec<String>,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// A browser of this width and height, in pixels; `None`, said loudly, where there is none.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let Some(program) = find() else {
            assert!(env::var_os("CI").is_none(), "no chromium: apt-get install chromium");
            eprintln!("SKIPPED: no chromium here (apt-get install chromium)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory for a profile");
        let mut child = Command::new("sh")
            .args(["-c", PIPES, &program, "--remote-debugging-pipe"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},{height}"))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromium");
        let commands = child.stdin.take().expect("a pipe");
        let messages = listen(child.stdout.take().expect("a pipe"));
        let mut browser = Self {
            child,
            commands,
            messages,
            session: None,
            next_id: 0,
            requested: Vec::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        browser.attach(width, height);
        Some(browser)
    }

    fn attach(&mut self, width: u32, height: u32) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let flat = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", &flat);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Network.enable", "Log.enable"] {
            self.call(domain, &json!({}));
        }
        self.call("Performance.enable", &json!({}));
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Goes to a page.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
    }

    /// What a script gives.
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        let all = json!({ "expression": script, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", &all);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].take()
    }

    /// The text of the first element that a selector finds; empty if there is none.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let script = format!("document.querySelector({selector:?})?.textContent ?? ''");
        self.evaluate(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a script gives true.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, script: &str) {
        let late = Instant::now() + PATIENCE;
        while self.evaluate(script) != json!(true) {
            assert!(Instant::now() < late, "never: {script}\n{}", self.text("body"));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has pages think that this is what the person prefers: `dark` or `light`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Presses a key as a person would.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key == "Enter" && kind == "keyDown" { "\r" } else { "" };
            let all = json!({ "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", &all);
        }
    }

    /// The page as a screen reader is given it: role and name of each node.
    pub(crate) fn accessible(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let of =
            |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
        let seen = nodes.iter().filter(|node| node["ignored"] != json!(true));
        seen.map(|node| (of(node, "role"), of(node, "name"))).collect()
    }

    /// A counter of the page, once its garbage was collected.
    pub(crate) fn counter(&mut self, name: &str) -> f64 {
        self.call("HeapProfiler.collectGarbage", &json!({}));
        let all = self.call("Performance.getMetrics", &json!({}));
        let mut metrics = all["metrics"].as_array().into_iter().flatten();
        let found = metrics.find(|metric| metric["name"] == name);
        found.and_then(|metric| metric["value"].as_f64()).expect("a counter")
    }

    /// Waits until a counter is no more than that: not everything is garbage at once.
    #[track_caller]
    pub(crate) fn wait_for_at_most(&mut self, name: &str, most: f64) -> f64 {
        let late = Instant::now() + PATIENCE;
        loop {
            let value = self.counter(name);
            if value <= most {
                return value;
            }
            assert!(Instant::now() < late, "{name} is {value}, not {most} or less");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Writes what is seen, all of it, as a PNG.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let all = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.call("Page.captureScreenshot", &all);
        let png = from_base64(shot["data"].as_str().expect("a picture"));
        File::create(path).and_then(|mut file| file.write_all(&png)).expect("write a picture");
    }

    /// What the pages asked for until now.
    pub(crate) fn requested(&self) -> &[String] {
        &self.requested
    }

    /// Errors that the browser's console shows, what the policy forbade among them.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next_id += 1;
        let mut message = json!({ "id": self.next_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        write!(self.commands, "{message}\0").expect("tell the browser");
        loop {
            let heard = self.messages.recv_timeout(PATIENCE);
            let mut heard = heard.unwrap_or_else(|_| panic!("no answer to {method}"));
            if heard["id"] == json!(self.next_id) {
                assert!(heard.get("error").is_none(), "{method}: {heard}");
                return heard["result"].take();
            }
            self.note(&heard);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                // The page that a browser begins with is asked of nobody.
                if url != "about:blank" {
                    self.requested.push(url.to_owned());
                }
            }
            Some("Runtime.exceptionThrown") => self.complaints.push(params.to_string()),
            // That a connection was lost is what a restart is about.
            Some("Log.entryAdded")
                if params["entry"]["level"] == "error"
                    && params["entry"]["source"] != "network" =>
            {
                self.complaints.push(params["entry"].to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(write!(self.commands, "{}\0", json!({ "id": 0, "method": "Browser.close" })));
        let late = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < late {
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn find() -> Option<String> {
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names
        .into_iter()
        .find(|name| env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    found.map(str::to_owned)
}

/// Messages end with a zero byte.
fn listen(pipe: impl Read + Send + 'static) -> Receiver<Value> {
    let (tell, messages) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut message = Vec::new();
        while pipe.read_until(0, &mut message).is_ok_and(|len| len > 0) {
            message.pop();
            let heard = serde_json::from_slice(&message);
            if heard.is_ok_and(|heard| tell.send(heard).is_err()) {
                return;
            }
            message.clear();
        }
    });
    messages
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits =
            four.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

/// The protocol is spoken on descriptors 3 and 4.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// Nothing leaves the machine: loopback is never sent to the proxy, and nobody listens there.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--proxy-server=http://127.0.0.1:9",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// A machine under load starts a browser slowly.
const PATIENCE: Duration = Duration::from_secs(60);
