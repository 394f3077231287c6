"""Judges what the runners of the scenario table saw.

    judge.py flat TABLE                       the table in lines, for the C runner
    judge.py compare TABLE LANGUAGE=FILE...   prints a line for each scenario and language, then how many passed and failed

Runners print facts only: each call of a handler with its records, the events, how calls were refused. Views of these facts
are made here, once for all languages, and compared with what the table expects and with what the first language saw.
"""

from __future__ import annotations

import json
import sys
from typing import Any

Facts = dict[str, Any]


def octets(described: Any) -> str | None:
    """Bytes of the table as hex digits."""
    if described is None:
        return None
    return described["hex"] if isinstance(described, dict) else described.encode().hex()


def readable(digits: str | None) -> str | None:
    """Bytes of a runner as text, where they are text."""
    if digits is None:
        return None
    try:
        return bytes.fromhex(digits).decode()
    except UnicodeDecodeError:
        return "0x" + digits


def in_turn(values: list[Any] | None, number: int) -> Any:
    return values[number % len(values)] if values else None


def records(described: Any) -> list[Facts]:
    """Records of the table, one by one, with bytes as hex digits."""
    if isinstance(described, dict):
        prefixes, keys = described.get("prefixes"), described["keys"]
        described = [
            {"key": in_turn(keys, number), "payload": f"{in_turn(prefixes, number) or ''}{number}"}
            for number in range(described["count"])
        ]
    return [
        {
            "key": octets(record.get("key")),
            "payload": octets(record.get("payload")),
            "headers": [[octets(name), octets(value)] for name, value in record.get("headers", [])],
            "partition": record.get("partition"),
            "timestamp": record.get("timestamp"),
        }
        for record in described or []
    ]


# Views of a run. Each takes the facts of a run.


def done(run: Facts) -> list[Facts]:
    return [call for call in run["calls"] if call["outcome"] == "done"]


def seen_records(run: Facts) -> list[Facts]:
    return [record for call in done(run) for record in call["records"]]


def grouped(pairs: Any) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for name, value in pairs:
        groups.setdefault(str(name), []).append(value)
    return groups


def keys_of(call: Facts) -> set[str | None]:
    return {readable(record["key"]) for record in call["records"]}


def prefix(record: Facts) -> str:
    return (readable(record["payload"]) or "")[:1]


def overlapping(run: Facts, names: Any) -> list[Any]:
    """Which names were in two calls at once."""
    found = set()
    for place, call in enumerate(run["calls"]):
        for other in run["calls"][place + 1 :]:
            if other["begin"] < (call["end"] or float("inf")):
                found |= names(call) & names(other)
    return sorted(found, key=str)


def most_open(run: Facts) -> int:
    ticks = [(call["begin"], 1) for call in run["calls"]]
    ticks += [(call["end"], -1) for call in run["calls"] if call["end"] is not None]
    most = count = 0
    for _, change in sorted(ticks):
        count += change
        most = max(most, count)
    return most


def interruptions(run: Facts) -> int:
    """How many calls began between the first and the last whose records' payloads begin with a u."""
    names = [prefix(call["records"][0]) for call in run["calls"]]
    urgent = [place for place, name in enumerate(names) if name == "u"]
    return sum(name != "u" for name in names[urgent[0] : urgent[-1]])


def per_key(run: Facts, what: str) -> dict[str, list[Any]]:
    return grouped((key, call[what]) for call in run["calls"] for key in keys_of(call))


def distinct(pairs: Any) -> dict[str, list[Any]]:
    return {name: sorted(set(values)) for name, values in grouped(pairs).items()}


def handler_errors(run: Facts) -> list[list[str]]:
    """Class, text and attempt. Languages write a class with or without where it was defined."""
    failed = [event["fields"] for event in run["events"] if event["name"] == "consumer.consume.error"]
    return [[fields["error_class"].split(".")[-1], said(fields), str(fields["attempt"])] for fields in failed]


def said(fields: Facts) -> str:
    """What an error says, with the same name for every scenario's topic."""
    return str(fields["error"]).replace(str(fields["topic"]), "TOPIC")


def result(facts: Facts) -> Any:
    return [facts["error"]] if "error" in facts else facts.get("value")


VIEWS: dict[str, Any] = {
    "after": lambda run: {step: result(facts) for step, facts in run["after"].items()},
    "attempts": lambda run: per_key(run, "attempt"),
    "by_key": lambda run: grouped((readable(r["key"]), readable(r["payload"])) for r in seen_records(run)),
    "by_prefix": lambda run: grouped((prefix(r), readable(r["payload"])) for r in seen_records(run)),
    "calls": lambda run: [
        [c["attempt"], c["outcome"], [readable(r["payload"]) for r in c["records"]]] for c in run["calls"]
    ],
    "error": lambda run: [run["joined"]["error"]] if "error" in run["joined"] else None,
    "failed_calls": lambda run: sum(call["outcome"] == "failed" for call in run["calls"]),
    "handler_errors": handler_errors,
    "hooks": lambda run: run["hooks"],
    "hooks_of_each_kind": lambda run: sorted({json.dumps(hook) for hook in run["hooks"]}),
    "interrupted": interruptions,
    "keys_in_a_call": lambda run: max(len(keys_of(call)) for call in run["calls"]),
    "largest_call": lambda run: max(len(call["records"]) for call in run["calls"]),
    "marks": lambda run: [mark for call in run["calls"] for mark in call["marks"]],
    "most_open": most_open,
    "overlapping_keys": lambda run: overlapping(run, keys_of),
    "overlapping_prefixes": lambda run: overlapping(run, lambda call: {prefix(r) for r in call["records"]}),
    "partitions": lambda run: distinct((readable(r["key"]), r["partition"]) for r in seen_records(run)),
    "places": lambda run: {
        readable(r["payload"]): [r["partition"], r["offset"], r["timestamp"]] for r in seen_records(run)
    },
    "records": lambda run: [[r["key"], r["payload"], r["headers"]] for r in seen_records(run)],
    "retrying": lambda run: per_key(run, "retrying"),
    "outputs": lambda run: [
        [str(event["fields"][name]) for name in ("output", "problem", "calls")]
        for event in run["events"]
        if event["name"] == "consumer.outputs.error"
    ],
    "sent": lambda run: [[call["attempt"], call["outcome"], *call["sent"]] for call in run["calls"]],
    "seen": lambda run: [readable(record["payload"]) for record in seen_records(run)],
    "seen_in_any_order": lambda run: sorted(readable(record["payload"]) or "" for record in seen_records(run)),
    "seen_keys": lambda run: sorted({readable(record["key"]) or "" for record in seen_records(run)}),
    "stuck_calls": lambda run: sum(call["stuck"] for call in run["calls"]),
    "task_events": lambda run: [
        [event["name"], event["fields"]["task"]] for event in run["events"] if event["name"].startswith("recurring_tasks.")
    ],
    "tombstones": lambda run: [record["tombstone"] for record in seen_records(run)],
    "virtual_partitions": lambda run: distinct(
        (key, number) for call in run["calls"] for number in call["virtual_partitions"] for key in keys_of(call)
    ),
}


def view(name: str, run: Facts, expected: Any) -> Any:
    """A view; those of events look only at what the table names."""
    events = run["events"]
    if name == "event_counts":
        return {wanted: sum(event["name"] == wanted for event in events) for wanted in expected}
    if name == "event_fields":
        # A backtrace is there where the language has one.
        fields = {event["name"]: sorted(set(event["fields"]) - {"backtrace"}) for event in events}
        return {wanted: fields.get(wanted) for wanted in expected}
    if name == "events_in_order":
        return [event["name"] for event in events if event["name"] in expected]
    return VIEWS[name](run)


def as_produced(scenario: Facts) -> Facts:
    """A run that saw every record of the scenario once, in order."""
    facts = [{**record, "tombstone": record["payload"] is None} for record in records(scenario["records"])]
    return {"calls": [{"outcome": "done", "records": facts}], "events": []}


def differences(name: str, actual: Any, expected: Any, scenario: Facts) -> list[str]:
    if expected == "as produced":
        expected = VIEWS[name](as_produced(scenario))
    if isinstance(expected, dict) and set(expected) == {"at_most"}:
        return [] if actual <= expected["at_most"] else [f"{name} is {actual}, more than {expected['at_most']}"]
    return [] if actual == expected else [f"{name} is {short(actual)}, not {short(expected)}"]


def short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else text[:600] + "…"


def judge_run(run: Facts, expected: Facts, scenario: Facts) -> list[str]:
    problems = [] if run["in_time"] else ["it did not see what it waited for in time"]
    for name, wanted in expected.items():
        problems += differences(name, view(name, run, wanted), wanted, scenario)
    return problems


def judge_call(call: Facts, expected: Facts) -> list[str]:
    if "error" in expected:
        if call.get("error") != expected["error"]:
            return [f"a call gave {short(call)}, not the error {expected['error']}"]
        return [f"{call['message']!r} does not say {words!r}" for words in expected["says"] if words not in call["message"]]
    if expected["value"] == "the same everywhere":
        return []
    return [] if "value" in call and call["value"] == expected["value"] else [f"a call gave {short(call)}, not {short(expected)}"]


def judge(table: Facts, scenario: Facts, language: str, facts: Facts | None) -> list[str]:
    """What is wrong with a language's result."""
    if facts is None:
        return ["the runner said nothing about it"]
    if "broken" in facts:
        return [facts["broken"]]
    problems = []
    own = scenario.get("expect_in", {}).get(language, {})
    expected_runs = scenario.get("expect", [])
    if len(facts["runs"]) != len(expected_runs) or len(facts["calls"]) != len(scenario.get("expect_calls", [])):
        return ["there are not as many results as the table expects"]
    for number, (run, expected) in enumerate(zip(facts["runs"], expected_runs)):
        expected = {**table["defaults"]["expect"], **expected, **own.get("runs", [{}] * len(expected_runs))[number]}
        problems += [f"run {number + 1}: {problem}" for problem in judge_run(run, expected, scenario)]
    for number, (call, expected) in enumerate(zip(facts["calls"], scenario.get("expect_calls", []))):
        problems += judge_call(call, own.get("calls", {}).get(str(number + 1), expected))
    return problems


def compared(facts: Facts, other: Facts, language: str, exempt: Facts) -> list[str]:
    """Where calls outside of runs have other results, or say other words, than in another language."""
    pairs = enumerate(zip(facts["calls"], other["calls"]))
    wrong = [(own, theirs) for number, (own, theirs) in pairs if own != theirs and str(number + 1) not in exempt]
    return [f"{short(own)} differs from {language}: {short(theirs)}" for own, theirs in wrong]


def compare(table: Facts, files: dict[str, str], words: str) -> int:
    results: dict[str, dict[str, Facts]] = {}
    for language, path in files.items():
        with open(path, encoding="utf-8") as lines:
            results[language] = {facts["scenario"]: facts for facts in map(json.loads, filter(str.strip, lines))}
    passed = failed = 0
    for scenario in table["scenarios"]:
        name = scenario["name"]
        if words not in name:
            continue
        reference: tuple[str, Facts] | None = None
        for language in files:
            if language not in scenario.get("languages", files):
                print(f"-       {language:7} {name}: not offered: {scenario['why_not']}")
                continue
            facts = results[language].get(name)
            problems = judge(table, scenario, language, facts)
            if facts is not None and "broken" not in facts:
                if reference is not None:
                    exempt = scenario.get("expect_in", {}).get(language, {}).get("calls", {})
                    problems += compared(facts, reference[1], reference[0], exempt)
                else:
                    reference = (language, facts)
            passed, failed = passed + (not problems), failed + bool(problems)
            print(f"{'FAILED' if problems else 'ok':7} {language:7} {name}")
            for problem in problems:
                print(f"          {problem}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


# The table in lines: a word, then arguments without blanks. Bytes are hex digits after an `x`, `-` is none.


def field(digits: str | None) -> str:
    return "-" if digits is None else "x" + digits


def text(value: str) -> str:
    return field(value.encode().hex())


def option_lines(scope: str, options: Facts, before: str = "") -> list[str]:
    lines = []
    for name, value in sorted(options.items()):
        if isinstance(value, dict):
            lines += option_lines(scope, value, f"{before}{name}.")
            continue
        kind = {bool: "bool", int: "integer", float: "float", str: "string"}[type(value)]
        shown = text(value) if kind == "string" else str(value).lower()
        lines.append(f"option {scope} {text(before + name)} {kind} {shown}")
    return lines


def record_lines(described: Any) -> list[str]:
    lines = []
    for record in records(described):
        partition = -1 if record["partition"] is None else record["partition"]
        timestamp = -1 if record["timestamp"] is None else record["timestamp"]
        lines.append(f"record {field(record['key'])} {field(record['payload'])} {partition} {timestamp}")
        lines += [f"header {field(name)} {field(value)}" for name, value in record["headers"]]
    return lines


def run_lines(run: Facts) -> list[str]:
    lines = ["run"]
    for scope in ("app", "topic"):
        lines += option_lines(scope, run.get(scope, {}))
    lines += record_lines(run.get("records"))
    lines.append("until {} {}".format(*run["until"]))
    lines += ["joined {} {}".format(*run["joined"])] if "joined" in run else []
    if hold := run.get("hold"):
        lines.append("hold {} {} {}".format(field(octets(hold.get("key"))), *hold["until"]))
    lines += ["mark {} {}".format(*mark) for mark in run.get("mark", [])]
    lines += ["send {} {}".format(*send) for send in run.get("send", [])]
    if fail := run.get("fail"):
        lines.append(f"fail {field(octets(fail['key']))} {fail['attempts']} {fail.get('how', 'return')}")
    return lines + [f"after {step}" for step in run.get("after", [])]


def call_lines(call: Facts) -> list[str]:
    lines = [f"call {call['do']}"]
    for scope in ("app", "topic", "producer"):
        lines += option_lines(scope, call.get(scope, {}))
    if "name" in call:
        lines.append("name {} {}".format(text(call["name"][0]), call["name"][1]))
    if "ask" in call:
        lines.append("name {} 1".format(text(json.dumps({"call": call["ask"], **call["with"]}))))
    lines += [f"{word} {call[word]}" for word in ("payload", "partition", "partitions") if word in call]
    return lines + [f"step {step}" for step in call.get("steps", [])]


def flat(table: Facts) -> list[str]:
    lines = []
    for number, scenario in enumerate(table["scenarios"]):
        if "c" not in scenario.get("languages", ["c"]):
            continue
        lines.append(f"scenario {number} {text(scenario['name'])}")
        for scope in ("app", "topic", "producer"):
            if "runs" in scenario:
                lines += option_lines(scope, {**table["defaults"][scope], **scenario.get(scope, {})})
        lines += [f"partitions {scenario.get('partitions', 1)}"]
        lines += ["later"] if scenario.get("later") else []
        lines += ["pattern"] if scenario.get("pattern") else []
        lines += [f"hooks {scenario['hooks'].get('then', 'return')}"] if "hooks" in scenario else []
        if partitioner := scenario.get("partitioner"):
            lines.append(f"partitioner {partitioner.get('prefix', 'fails')}")
        if unique := scenario.get("unique"):
            lines.append(f"unique {unique['prefix']}")
        if described := scenario.get("filter"):
            lines.append(f"filter {text(described['skips'])} {text(described['fails'])}")
        lines += record_lines(scenario.get("records"))
        if beside := scenario.get("beside"):
            lines.append("beside")
            lines += option_lines("beside", {**table["defaults"]["topic"], **beside.get("topic", {})})
            lines += record_lines(beside["records"])
        if scheduled := scenario.get("scheduled"):
            lines.append(f"scheduled {scheduled['in']} {text(scheduled['cancelled'])}")
            lines += record_lines(scheduled["records"])
        lines += [f"trigger {task}" for task in scenario.get("tasks", {}).get("trigger", [])]
        for run in scenario.get("runs", []):
            lines += run_lines(run)
        for call in scenario.get("calls", []):
            lines += call_lines(call)
        lines.append("end")
    return lines


def check(table: Facts) -> None:
    """What runners rely on: options are in alphabetical order, as libraries that read JSON may hand them over."""
    names = [scenario["name"] for scenario in table["scenarios"]]
    assert len(names) == len(set(names)), "two scenarios have one name"
    for scenario in table["scenarios"]:
        for part in [scenario, scenario.get("beside", {}), *scenario.get("runs", []), *scenario.get("calls", [])]:
            for scope in ("app", "topic", "producer"):
                assert list(part.get(scope, {})) == sorted(part.get(scope, {})), f"{scenario['name']}: sort its options"


def main(arguments: list[str]) -> int:
    what, path, *rest = arguments
    with open(path, encoding="utf-8") as file:
        table = json.load(file)
    check(table)
    if what == "flat":
        print("\n".join(flat(table)))
        return 0
    files = dict(argument.split("=", 1) for argument in rest if "=" in argument)
    return compare(table, files, next((words for words in rest if "=" not in words), ""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
