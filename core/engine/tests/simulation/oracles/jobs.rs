//! Jobs: each that the engine handed out was given back exactly once, begun at most once and before that, or died with its
//! process. Nothing is lost on the way between the engine and who runs its jobs.

use std::collections::BTreeMap;

use super::Violation;
use super::view::View;
use crate::history::{Ending, Event, History};

/// Longer than any call takes, in seconds: what is still out at the end of a run was handed out a moment ago.
const LONGEST_CALL: u64 = 3_600;

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    // Since when it is out, whether it has begun.
    let mut out = BTreeMap::new();
    let mut ends = karafka_engine::Instant::START;
    for (index, (now, event)) in history.events.iter().enumerate() {
        view.follow(event);
        ends = *now;
        let mut violate = |problem: String| violations.push(Violation::new(index, problem));
        match event {
            Event::HandedOut { call, .. } if out.insert(*call, (*now, false)).is_some() => {
                violate(format!("job {call} was handed out twice"));
            }
            Event::Started { call } => match out.get_mut(call) {
                Some((_, begun @ false)) => *begun = true,
                Some(_) => violate(format!("job {call} began twice")),
                None => violate(format!("job {call} began and was not out")),
            },
            Event::Finished { call, ending } => match out.remove(call) {
                Some((_, begun)) if begun == (*ending == Ending::PutBack) => {
                    violate(format!("job {call} ended by {ending:?}, begun: {begun}"));
                }
                Some(_) => {}
                None => violate(format!("job {call} was given back and not out")),
            },
            Event::Crashed { process } => {
                out.retain(|call, _| view.job(*call).is_some_and(|job| job.owner.process != *process));
            }
            _ => {}
        }
    }
    let lost = out.iter().filter(|(_, (since, _))| ends.since(*since).as_secs() > LONGEST_CALL);
    let end = history.events.len();
    violations.extend(lost.map(|(call, _)| Violation::new(end, format!("job {call} was never given back"))));
    violations
}

#[test]
fn a_job_that_is_not_given_back_once_is_red() {
    use super::example::{at, falsified, handed_out, who_speaks};
    let end = Event::Finished { call: 4, ending: Ending::Done };
    let twice = falsified(|events| events.push(end.clone()));
    assert_eq!(who_speaks(&twice), ["jobs"]);
    let begun_twice = falsified(|events| events.insert(at(&end), Event::Started { call: 4 }));
    assert!(who_speaks(&begun_twice).contains(&"jobs"));
    let handed_out_twice = falsified(|events| events.insert(at(&end), handed_out(4, 2, 11, &[6])));
    assert!(!judge(&handed_out_twice).is_empty());
    let mut never = falsified(|events| events.retain(|event| *event != end));
    let (last, _) = never.events[never.events.len() - 1];
    never.add(last + std::time::Duration::from_secs(LONGEST_CALL + 60), Event::Crashed { process: 9 });
    assert!(judge(&never).len() == 1);
}
