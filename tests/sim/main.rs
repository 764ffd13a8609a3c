//! One sender and its receivers in virtual time: what holds whatever the network does.
//!
//! | you look for | open |
//! |---|---|
//! | loss, reorder, duplicates; the same seed gives the same run | `loss.rs` |
//! | what repair by count costs, beside theory | `repair.rs` |
//! | how many ask for one loss, beside theory | `backoff.rs` |
//! | loss in bursts | `burst.rs` |
//! | who joins late | `late_join.rs` |
//! | a publisher that dies and comes back | `restart.rs` |
//! | streams with a deadline | `timely.rs` |
//! | pace, slow receivers, lasting loss, few askers | `flow.rs` |
//! | partitions, deaths, every kind of packet lost | `faults.rs` |
//! | each fault with several seeds | `matrix.rs` |
//! | sealed streams, strangers | `sealed.rs`, on `segment.rs` |
//! | what was recorded, and is sent again | `recordings.rs` |
//! | one epoch's key after another, and who is not to have it | `rotation.rs` |
//! | signed streams, and a member turned bad | `signed.rs` |
//! | a thousand receivers | `scale.rs` |
//! | many seeds, and those that failed once | `seeds.rs` |
//! | an hour, and a week, of everything at once | `soak.rs` |
//! | what must hold after every step | `invariants.rs` |

mod backoff;
mod burst;
mod faults;
mod flow;
mod invariants;
mod late_join;
mod loss;
mod matrix;
mod recordings;
mod repair;
mod restart;
mod rotation;
mod scale;
mod sealed;
mod seeds;
mod segment;
mod signed;
mod soak;
mod timely;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use invariants::Invariants;
use lab::world::{Link, Plan, World};

/// Bytes of `count` full packets of a simulated stream.
pub(crate) fn packets(count: usize) -> usize {
    count * 1_431
}

/// Runs to the end of the session, and checks what must hold all the while.
pub(crate) fn finish(world: &mut World) {
    let finished = run_checked(world, Duration::from_secs(300));
    assert!(finished, "the sender has not finished at {}", world.now());
}

/// Runs for `time`, and checks what must hold all the while.
pub(crate) fn run_for(world: &mut World, time: Duration) {
    let mut invariants = Invariants::new(world);
    world.run_for(time);
    invariants.check(world);
}

fn run_checked(world: &mut World, limit: Duration) -> bool {
    let mut invariants = Invariants::new(world);
    let end = world.now().after(limit);
    while world.now() < end {
        let finished = world.run(STEP.min(end.since(world.now())));
        invariants.check(world);
        if finished {
            return true;
        }
    }
    false
}

/// All that was counted, and when everything was handed out.
pub(crate) fn digest(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", world.sender().stats()).hash(&mut hasher);
    for listener in world.listeners() {
        format!("{:?}", listener.receiver().stats()).hash(&mut hasher);
        listener.delays().hash(&mut hasher);
    }
    world.now().hash(&mut hasher);
    hasher.finish()
}

/// A link on which everything happens that happens on a busy segment.
pub(crate) fn rough() -> Link {
    Link { loss: 0.01, reorder: 0.01, duplicate: 0.01, feedback_loss: 0.01, ..Link::default() }
}

/// `receivers` with `link`, at a fixed rate.
pub(crate) fn plan(receivers: usize, link: Link) -> Plan {
    Plan { receivers, link, ..Plan::default() }
}

/// How often the invariants are looked at.
const STEP: Duration = Duration::from_millis(100);
