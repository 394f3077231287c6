"""Asks a real cluster what the embedded broker cannot answer: administer.py BROKERS PREFIX."""

import sys
import time
from datetime import datetime, timezone

import libkarafka

brokers, prefix = sys.argv[1:]
topic, group = f"{prefix}-topic", f"{prefix}-group"
admin = libkarafka.Admin(bootstrap_servers=brokers)
admin.create_topic(topic, 2, replicas=1, configs={"retention.ms": 123456789})
admin.add_partitions(topic, 3)
assert len(admin.topic(topic).partitions) == 3
(setting,) = [one for one in admin.configs(topic=topic) if one.name == "retention.ms"]
assert setting.value == "123456789" and not setting.is_default
admin.alter_configs({"retention.ms": None}, topic=topic)
# A day ago: what is older than a week, Kafka may delete in the midst of this.
base = int(time.time()) - 90_000

with libkarafka.Producer(bootstrap_servers=brokers) as producer:
    producer.produce_many_sync(
        [{"topic": topic, "value": str(n), "partition": 0, "timestamp": (base + n) * 1000} for n in range(10)]
    )
at = datetime.fromtimestamp(base + 6, timezone.utc)
with libkarafka.Reader(topic, start=at, partitions=[0], bootstrap_servers=brokers) as reader:
    assert [message.value for message in reader] == [b"6", b"7", b"8", b"9"]
cut, missing = admin.truncate(topic, {0: 4, 9: None})
assert cut.value == 4 and isinstance(missing.error, libkarafka.Error)

moved = admin.seek_group(group, topic, 5, partitions=[0, 1])
assert [(one.item, one.value, one.is_ok) for one in moved] == [(0, 5, True), (1, None, False)]
assert admin.seek_group(group, topic, at, partitions=[0])[0].get() == 6
(lag,) = admin.lag(group)
assert (lag.offset, lag.end, lag.messages) == (6, 10, 4) and (lag.age_seconds or 0) > 86_400
assert admin.copy_group(group, f"{group}-copy")[0].item == (topic, 0)
admin.rename_group(f"{group}-copy", f"{group}-new")
assert [one.offset for one in admin.group_offsets(f"{group}-new")] == [6]
described = admin.describe_groups([f"{group}-new"])[0].get()
assert described is not None and described.state == "Empty"
assert group in [one.group for one in admin.groups()]
for outcome in admin.delete_group_offsets(group, topic, [0]):
    outcome.get()
gone, unknown = admin.delete_groups([f"{group}-new", f"{group}-nowhere"])
assert gone.is_ok and isinstance(unknown.error, libkarafka.BrokerError)

try:
    admin.acls()
    raise SystemExit("rules without an authorizer")
except libkarafka.UnsupportedError as error:
    assert "authorizer" in str(error)
refused = admin.create_acls([libkarafka.Acl("topic", topic, "User:a", "read")])[0]
assert refused.item.name == topic and refused.error is not None and refused.error.code == 54

steps = admin.plan([libkarafka.DeclaredTopic(topic, 4, configs={"retention.ms": "1000"})])
assert sorted(step.is_destructive for step in steps) == [False, True]
assert sorted(outcome.is_ok for outcome in admin.apply(steps)) == [False, True]
declared = libkarafka.DeclaredTopic(topic, configs={"retention.ms": "1000"})
assert all(outcome.is_ok for outcome in admin.align([declared], allow_destruction=True))
admin.delete_topic(topic)
