"""Administration: topics, settings, consumer groups, access rules.

Everything here may be called on any thread; calls wait for the cluster without the interpreter's lock, and Ctrl-C ends every wait. From a
coroutine, use it by ``asyncio.to_thread``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar, Union

from . import _native
from .errors import Error, _from_core

Item = TypeVar("Item")
Value = TypeVar("Value")

Configs = Mapping[str, Union[str, int, None]]
"""Settings by name; None stands for the cluster's default."""


@dataclass(frozen=True)
class Broker:
    """A broker, and where it tells clients to connect to."""

    id: int
    host: str
    port: int


@dataclass(frozen=True)
class Cluster:
    """A cluster: how it names itself, its brokers, and how many topics the user may see."""

    id: str
    brokers: list[Broker]
    topics: int


@dataclass(frozen=True)
class Partition:
    """A partition: the broker that leads it (None while nobody does), those that keep it, and those that have everything."""

    partition: int
    leader: int | None
    replicas: list[int]
    in_sync: list[int]


@dataclass(frozen=True)
class Topic:
    """A topic with its partitions."""

    name: str
    partitions: list[Partition]


@dataclass(frozen=True)
class NewTopic:
    """A topic to be made. What is not given is the cluster's default."""

    name: str
    partitions: int | None = None
    replicas: int | None = None
    configs: Configs = field(default_factory=dict)


@dataclass(frozen=True)
class DeclaredTopic:
    """A topic as it is to be. What is not given may be as it likes; ``is_absent`` says that there is to be none."""

    name: str
    partitions: int | None = None
    replicas: int | None = None
    configs: Configs = field(default_factory=dict)
    is_absent: bool = False


@dataclass(frozen=True)
class Watermarks:
    """Where a partition begins, and one beyond its last record."""

    partition: int
    first: int
    end: int


@dataclass(frozen=True)
class Setting:
    """A setting; ``value`` is None where it is secret."""

    name: str
    value: str | None
    is_default: bool
    is_read_only: bool
    is_sensitive: bool


@dataclass(frozen=True)
class GroupListing:
    """A group in a list, with its state and protocol in Kafka's words."""

    group: str
    state: str
    protocol: str


@dataclass(frozen=True)
class Member:
    """A member of a group, with its topics and partitions."""

    id: str
    client_id: str
    instance_id: str | None
    host: str
    partitions: list[tuple[str, int]]


@dataclass(frozen=True)
class Group:
    """A group with its members; its state is "Dead" where there is none of this name."""

    group: str
    state: str
    protocol: str
    assignor: str
    coordinator: int | None
    members: list[Member]


@dataclass(frozen=True)
class Offset:
    """What a group has committed for a partition, and the text beside it."""

    topic: str
    partition: int
    offset: int
    metadata: str


@dataclass(frozen=True)
class Lag:
    """How far a group is behind in a partition: in records, and by the age of the first of them in seconds (None where it could not
    be read, and where there is none)."""

    topic: str
    partition: int
    offset: int
    end: int
    messages: int
    age_seconds: float | None


@dataclass(frozen=True)
class Acl:
    """An access rule, in Kafka's words as lower case text: ``resource`` is "topic", "group", "cluster" or "transactional_id"."""

    resource: str
    name: str
    principal: str
    operation: str
    permission: str = "allow"
    pattern: str = "literal"
    host: str = "*"


@dataclass(frozen=True)
class Step:
    """One thing to be done so that topics are as declared. ``kind`` is "create", "grow", "set", "delete" or "impossible";
    ``is_destructive`` tells whether records can be lost by it."""

    kind: str
    text: str
    is_destructive: bool
    fields: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What became of one item: its ``value`` or its ``error``."""

    item: Item
    value: Value | None = None
    error: Error | None = None

    @property
    def is_ok(self) -> bool:
        """Whether there is no error."""
        return self.error is None

    def get(self) -> Value | None:
        """The value, where there is one to tell; raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Admin:
    """Asks a cluster about itself, and changes what it keeps. Threads may share it.

    Options are those of ``docs/configuration.md`` for an admin. Every call waits for the cluster's answer, at most the option
    ``timeout``, or so many seconds as its own ``timeout`` says. It raises ``TimeoutError`` or ``BrokerError`` when nobody answers,
    ``AuthError`` without the right to it, ``UnsupportedError`` for what an embedded broker cannot do. What is done to several items
    returns an ``Outcome`` for each: one that fails leaves the others alone.

    Raises ``ConfigError`` for a bad option, ``AuthError`` when the cluster does not let us in, ``BrokerError`` when nobody answers.
    """

    def __init__(self, **options: Any) -> None:
        self._native = _native._Admin(options)

    def cluster(self, *, timeout: float | None = None) -> Cluster:
        """The cluster and its brokers."""
        told = self._ask(timeout, "cluster")
        return Cluster(told["id"], [Broker(**one) for one in told["brokers"]], told["topics"])

    def topics(self, *, timeout: float | None = None) -> list[Topic]:
        """All topics that the user may see, by name."""
        return [_topic(one) for one in self._ask(timeout, "topics")]

    def topic(self, name: str, *, timeout: float | None = None) -> Topic:
        """One topic. Raises ``BrokerError`` when it does not exist."""
        return _topic(self._ask(timeout, "topic", name=name))

    def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        *,
        replicas: int | None = None,
        configs: Configs | None = None,
        timeout: float | None = None,
    ) -> None:
        """Creates a topic, and waits until its partitions have leaders. What is not given is the cluster's default."""
        for outcome in self.create_topics([NewTopic(name, partitions, replicas, configs or {})], timeout=timeout):
            outcome.get()

    def create_topics(self, topics: Iterable[NewTopic], *, timeout: float | None = None) -> list[Outcome[str, None]]:
        """Creates topics. Outcomes by name."""
        return _outcomes(self._ask(timeout, "create_topics", topics=[_declared(topic) for topic in topics]))

    def delete_topic(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a topic and every record in it."""
        for outcome in self.delete_topics([name], timeout=timeout):
            outcome.get()

    def delete_topics(self, names: Iterable[str], *, timeout: float | None = None) -> list[Outcome[str, None]]:
        """Deletes topics and every record in them. Outcomes by name."""
        return _outcomes(self._ask(timeout, "delete_topics", names=list(names)))

    def add_partitions(self, topic: str, total: int, *, timeout: float | None = None) -> None:
        """Gives a topic more partitions: so many in all. The order of a key's records is not kept across the change."""
        self._ask(timeout, "add_partitions", topic=topic, total=total)

    def watermarks(self, topic: str, *, timeout: float | None = None) -> list[Watermarks]:
        """Where each partition of a topic begins and ends."""
        return [Watermarks(**one) for one in self._ask(timeout, "watermarks", topic=topic)]

    def truncate(
        self, topic: str, before: Mapping[int, int | None], *, timeout: float | None = None
    ) -> list[Outcome[int, int]]:
        """Deletes the records below an offset (None: all that are there) of each given partition. Outcomes by partition, with the
        offset at which it begins now."""
        cuts = [{"partition": partition, "offset": offset} for partition, offset in before.items()]
        return _outcomes(self._ask(timeout, "truncate", topic=topic, before=cuts))

    def configs(
        self, *, topic: str | None = None, broker: int | None = None, timeout: float | None = None
    ) -> list[Setting]:
        """All settings of a topic or of a broker, by name."""
        return [Setting(**one) for one in self._ask(timeout, "configs", topic=topic, broker=broker)]

    def alter_configs(
        self, changes: Configs, *, topic: str | None = None, broker: int | None = None, timeout: float | None = None
    ) -> None:
        """Changes settings of a topic or of a broker, all or none; None puts one back to its default. Others stay as they are."""
        self._ask(timeout, "alter_configs", topic=topic, broker=broker, changes=_texts(changes))

    def groups(self, *, timeout: float | None = None) -> list[GroupListing]:
        """All groups, by name."""
        return [GroupListing(**one) for one in self._ask(timeout, "groups")]

    def describe_groups(self, groups: Iterable[str], *, timeout: float | None = None) -> list[Outcome[str, Group]]:
        """Groups with their members. Outcomes by name."""
        return _outcomes(self._ask(timeout, "describe_groups", groups=list(groups)), value=_group)

    def group_offsets(self, group: str, *, timeout: float | None = None) -> list[Offset]:
        """What a group has committed, by topic and partition."""
        return [Offset(**one) for one in self._ask(timeout, "group_offsets", group=group)]

    def seek_group(
        self,
        group: str,
        topic: str,
        target: int | str | datetime,
        *,
        partitions: Iterable[int] = (),
        timeout: float | None = None,
    ) -> list[Outcome[int, int]]:
        """Moves a group without members: to ``"earliest"``, ``"latest"``, an offset or an aware ``datetime``, in the ``partitions``
        (all of them when there are none). Outcomes by partition, with the new offset. What the group had done beyond its old
        offset is forgotten."""
        to: Any = target
        if isinstance(target, datetime):
            if target.tzinfo is None:
                raise ValueError("a group is moved to an aware datetime: this one has no time zone")
            to = {"time": (target - datetime(1970, 1, 1, tzinfo=timezone.utc)) // _MILLISECOND}
        elif isinstance(target, int):
            to = {"offset": target}
        arguments = {"group": group, "topic": topic, "partitions": list(partitions), "to": to}
        return _outcomes(self._ask(timeout, "seek_group", **arguments))

    def copy_group(self, source: str, target: str, *, timeout: float | None = None) -> list[Outcome[tuple[str, int], None]]:
        """Gives a group what another one has committed; the other one keeps it. Outcomes by topic and partition."""
        return _outcomes(self._ask(timeout, "copy_group", **{"from": source, "to": target}), item=_pair)

    def rename_group(self, source: str, target: str, *, timeout: float | None = None) -> None:
        """Copies a group without members to another name, then deletes it. Not one step: who fails in between is left with both."""
        self._ask(timeout, "rename_group", **{"from": source, "to": target})

    def delete_groups(self, groups: Iterable[str], *, timeout: float | None = None) -> list[Outcome[str, None]]:
        """Deletes groups without members, and what they have committed. Outcomes by name."""
        return _outcomes(self._ask(timeout, "delete_groups", groups=list(groups)))

    def delete_group_offsets(
        self, group: str, topic: str, partitions: Iterable[int], *, timeout: float | None = None
    ) -> list[Outcome[int, None]]:
        """Forgets what a group has committed for some partitions of a topic. Outcomes by partition."""
        arguments = {"group": group, "topic": topic, "partitions": list(partitions)}
        return _outcomes(self._ask(timeout, "delete_group_offsets", **arguments))

    def lag(self, group: str, *, timeout: float | None = None) -> list[Lag]:
        """How far a group is behind, by topic and partition."""
        return [Lag(**one) for one in self._ask(timeout, "lag", group=group)]

    def acls(self, *, timeout: float | None = None, **filter: str) -> list[Acl]:
        """Access rules that match: all, or those that have what is given by the names of ``Acl``."""
        return [Acl(**one) for one in self._ask(timeout, "acls", filter=filter)]

    def create_acls(self, acls: Iterable[Acl], *, timeout: float | None = None) -> list[Outcome[Acl, None]]:
        """Makes access rules. Outcomes by rule."""
        return _outcomes(self._ask(timeout, "create_acls", acls=[asdict(acl) for acl in acls]), item=_acl)

    def delete_acls(self, *, timeout: float | None = None, **filter: str) -> list[Outcome[Acl, None]]:
        """Deletes the access rules that match, as in ``acls``; at least one part of the rule must be given. Outcomes by rule."""
        if not filter:
            raise ValueError("say which rules are to be deleted")
        return _outcomes(self._ask(timeout, "delete_acls", filter=filter), item=_acl)

    def plan(self, topics: Iterable[DeclaredTopic], *, timeout: float | None = None) -> list[Step]:
        """What has to be done so that topics are as declared; nothing when they are."""
        return [_step(one) for one in self._ask(timeout, "plan", topics=[_declared(topic) for topic in topics])]

    def apply(
        self, steps: Iterable[Step], *, allow_destruction: bool = False, timeout: float | None = None
    ) -> list[Outcome[Step, None]]:
        """Does what a plan says, one step after the other. Steps by which records can be lost are refused unless
        ``allow_destruction``. Outcomes by step."""
        fields = [step.fields for step in steps]
        return _outcomes(self._ask(timeout, "apply", steps=fields, is_destruction_allowed=allow_destruction), item=_step)

    def align(
        self, topics: Iterable[DeclaredTopic], *, allow_destruction: bool = False, timeout: float | None = None
    ) -> list[Outcome[Step, None]]:
        """Gives topics that exist the settings that are declared for them, and nothing else. Outcomes by step."""
        declared = [_declared(topic) for topic in topics]
        return _outcomes(self._ask(timeout, "align", topics=declared, is_destruction_allowed=allow_destruction), item=_step)

    def _ask(self, timeout: float | None, call: str, **arguments: Any) -> Any:
        return json.loads(self._native.ask(json.dumps({"call": call, **arguments}), timeout))


_MILLISECOND = datetime.resolution * 1000


def _topic(told: Any) -> Topic:
    return Topic(told["name"], [Partition(**one) for one in told["partitions"]])


def _group(told: Any) -> Group:
    members = [Member(**{**one, "partitions": [_pair(pair) for pair in one["partitions"]]}) for one in told["members"]]
    return Group(**{**told, "members": members})


def _pair(told: Any) -> tuple[str, int]:
    return told[0], told[1]


def _acl(told: Any) -> Acl:
    return Acl(**told)


def _step(told: Any) -> Step:
    return Step(told["step"], told["text"], told["is_destructive"], told)


def _declared(topic: NewTopic | DeclaredTopic) -> dict[str, Any]:
    return {**asdict(topic), "configs": _texts(topic.configs)}


def _texts(configs: Configs) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in configs.items()}


def _as_it_is(told: Any) -> Any:
    return told


def _outcomes(
    told: Any, *, item: Callable[[Any], Any] = _as_it_is, value: Callable[[Any], Any] = _as_it_is
) -> list[Outcome[Any, Any]]:
    outcomes = []
    for one in told:
        failed = one["error"]
        error = None
        if failed is not None:
            error = _from_core(
                failed["kind"], failed["text"], failed["retriable"], failed["fatal"], failed["code"], failed["exit_code"]
            )
        known = None if one["value"] is None else value(one["value"])
        outcomes.append(Outcome(item(one["item"]), known, error))
    return outcomes
