//! No silent stall: nothing froze on the way, no counter went astray, and once the faults had ended everything drained.

use crate::history::{Event, History};

pub fn judge(history: &History) -> Vec<String> {
    let seen = history.events.iter().filter_map(|(now, event)| match event {
        Event::Defect { process, problem } => Some(format!("defect: {now:?} process {process}: {problem}")),
        _ => None,
    });
    seen.chain(history.unfinished.iter().map(|what| format!("not drained: {what}"))).collect()
}

#[test]
fn a_stall_and_an_unfinished_run_are_red() {
    use crate::oracles::example;
    assert_eq!(judge(&example::history(example::honest())), [""; 0]);
    let mut events = example::honest();
    events.push(Event::Defect { process: 1, problem: "stall".to_owned() });
    assert_eq!(judge(&example::history(events)).len(), 1);
    let mut history = example::history(example::honest());
    history.unfinished.push("partition 0".to_owned());
    assert_eq!(judge(&history).len(), 1);
}
