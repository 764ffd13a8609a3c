//! A page that is left open.

use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use host::http::{Answers, bind, serve};

use crate::browser::Browser;

#[test]
fn a_thousand_updates_leave_nothing_behind() {
    let Some(mut browser) = Browser::start(1200, 900) else { return };
    let address = serve_updates();
    browser.open(&format!("http://{address}/"));
    // The plot's five minutes are full before the first measurement.
    let (warm, all) = (500, 1_600);
    browser.wait_until(&shows(warm));
    let (nodes, heap) = (browser.counter("Nodes"), browser.counter("JSHeapUsedSize"));
    browser.wait_until(&shows(all));
    let nodes_after = browser.wait_for_at_most("Nodes", nodes + 20.0);
    let heap_after = browser.wait_for_at_most("JSHeapUsedSize", heap * 1.1 + 200e3);
    println!("nodes: {nodes}, then {nodes_after}; heap: {heap}, then {heap_after} bytes");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

fn shows(number: u64) -> String {
    format!(
        "Number(document.querySelector('#repair-body td')?.textContent.replaceAll(',', '')) >= {number}"
    )
}

/// Two streams and 64 subscribers of each, a hundred times a second.
fn serve_updates() -> SocketAddr {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let number = Arc::new(AtomicU64::new(0));
    let answers =
        Answers::new(Vec::new, || true, move || status(number.fetch_add(1, Ordering::Relaxed)));
    let answers = answers.with_events_every(Duration::from_millis(10));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(listener, answers, std::future::pending())).unwrap();
    });
    address
}

/// Everything changes with every update, and so does who is there.
fn status(number: u64) -> String {
    let mut rows = String::new();
    // While it is measured they are as many as can be.
    let here = if number % 1_000 < 400 && number < 1_600 { 32 + number % 33 } else { 64 };
    for i in 0..here {
        let comma = if i > 0 { "," } else { "" };
        write!(
            rows,
            "{comma}{{\"name\":\"s{i}-{number}\",\"id\":\"{i}\",\"complete\":false,\"present\":true,\
             \"received\":{number},\"repaired\":{i},\"recovered\":{number},\"lost\":0,\
             \"wire_losses\":{number},\"kernel_losses\":0}}"
        )
        .unwrap();
    }
    let stream = |name: &str| {
        format!(
            "{{\"stream\":\"{name}\",\"session\":\"1\",\"at\":{number},\"started\":true,\
             \"finished\":false,\"audience\":{here},\"wants\":null,\"egress_bytes\":{},\
             \"repair_bytes\":{number},\"unicast_equivalent_bytes\":{},\"grtt_seconds\":0.001,\
             \"naks_received\":{number},\"packets_asked\":{number},\"input_dropped\":0,\
             \"repairs_suppressed\":{{\"held_down\":{number}}},\"send_errors\":{{}},\
             \"losses\":{{\"wire\":{number}}},\"given_up\":{number},\"subscribers\":[{rows}],\
             \"subscribers_hidden\":0}}",
            number * 1_000_000 + (number % 7) * 100_000,
            number * 30_000_000,
        )
    };
    format!(
        "{{\"program\":\"publisher\",\"version\":\"0\",\"started_at\":1,\"time\":{number},\
         \"streams\":[{},{}]}}",
        stream("one"),
        stream("other")
    )
}
