"""Makes, shows and deletes access rules, and feels them: rules.py BROKERS PREFIX GUARDED USER PASSWORD.

BROKERS is where everything is allowed, GUARDED where the user needs rules.
"""

import sys
import time

import libkarafka
from libkarafka import Acl

brokers, prefix, guarded, user, password = sys.argv[1:]
kafka = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": user,
    "sasl.password": password,
}
master = libkarafka.Admin(bootstrap_servers=brokers)
nobody = f"User:{prefix}"
deadline = time.monotonic() + 45


def until(what, is_so):
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def refusal():
    """What the user is told who produces; none when the record arrives."""
    with libkarafka.Producer(bootstrap_servers=guarded, kafka=kafka) as producer:
        try:
            producer.produce_sync(f"{prefix}-topic", "x")
        except libkarafka.AuthError as error:
            return error
    return None


# Every resource, pattern and permission.
rules = [
    Acl(resource, f"{prefix}-{resource}", nobody, operation, pattern=pattern, permission=permission)
    for resource, operation in [("topic", "read"), ("group", "describe"), ("transactional_id", "write")]
    for pattern in ["literal", "prefixed"]
    for permission in ["allow", "deny"]
]
rules += [
    Acl("cluster", "kafka-cluster", nobody, "alter_configs"),
    Acl("topic", "*", nobody, "all", permission="deny", host="10.0.0.1"),
]
broken = Acl("topic", prefix, "no-such-kind-of-principal", "read")
outcomes = master.create_acls([*rules, broken])
assert [outcome.item for outcome in outcomes] == [*rules, broken]
assert [outcome.is_ok for outcome in outcomes] == [True] * len(rules) + [False], outcomes


def found(**of):
    return sorted(master.acls(principal=nobody, **of), key=repr)


def those(is_one):
    return sorted((rule for rule in rules if is_one(rule)), key=repr)


until("all of them", lambda: found() == those(lambda rule: True))
for resource in ["topic", "group", "transactional_id", "cluster"]:
    assert found(resource=resource) == those(lambda rule: rule.resource == resource)
for pattern in ["literal", "prefixed"]:
    assert found(pattern=pattern) == those(lambda rule: rule.pattern == pattern)
assert found(permission="deny") == those(lambda rule: rule.permission == "deny")
assert found(host="10.0.0.1") == those(lambda rule: rule.host == "10.0.0.1")
assert found(operation="alter_configs") == those(lambda rule: rule.operation == "alter_configs")
# What applies to a topic whose name begins so: the prefixed ones, and the one for all.
applies = found(resource="topic", name=f"{prefix}-topic-1", pattern="match")
assert applies == those(lambda rule: rule.resource == "topic" and (rule.pattern == "prefixed" or rule.name == "*"))
try:
    master.acls(resource="user")
    raise SystemExit("a resource that there is none of")
except libkarafka.ConfigError as error:
    assert "is not among any, topic, group" in str(error)

# They are obeyed.
master.create_topic(f"{prefix}-topic", 1, replicas=1)
assert refusal() is not None
may = Acl("topic", f"{prefix}-t", f"User:{user}", "write", pattern="prefixed")
assert master.create_acls([may])[0].is_ok
until("the right to write", lambda: refusal() is None)
must_not = Acl("topic", f"{prefix}-topic", f"User:{user}", "write", permission="deny")
assert master.create_acls([must_not])[0].is_ok
until("the denial", lambda: refusal() is not None)
(refused,) = libkarafka.Admin(bootstrap_servers=guarded, kafka=kafka).create_acls([may])
assert isinstance(refused.error, libkarafka.AuthError) and password not in str(refused.error)

# And deleted, those that match and no others.
denied = [outcome.get() or outcome.item for outcome in master.delete_acls(principal=nobody, permission="deny")]
assert sorted(denied, key=repr) == those(lambda rule: rule.permission == "deny")
until("the others", lambda: found() == those(lambda rule: rule.permission == "allow"))
for principal in [nobody, f"User:{user}"]:
    name = {"name": f"{prefix}-topic"} if principal != nobody else {}
    assert all(outcome.is_ok for outcome in master.delete_acls(principal=principal, **name))
until("none", lambda: found() == [])
assert [outcome.item for outcome in master.delete_acls(resource="topic", name=f"{prefix}-t", pattern="prefixed")] == [may]
master.delete_topic(f"{prefix}-topic")
