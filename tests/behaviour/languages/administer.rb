# frozen_string_literal: true

# Asks a real cluster what the embedded broker cannot answer: administer.rb BROKERS PREFIX.
require "libkarafka"

def check(what, truth)
  raise "not so: #{what}" unless truth
end

brokers, prefix = ARGV
topic = "#{prefix}-topic"
group = "#{prefix}-group"
admin = LibKarafka::Admin.new(bootstrap_servers: brokers)
admin.create_topic(topic, partitions: 2, replicas: 1, configs: { "retention.ms" => 123_456_789 })
admin.add_partitions(topic, 3)
check "partitions", admin.topic(topic).partitions.size == 3
setting = admin.configs(topic: topic).find { |one| one.name == "retention.ms" }
check "a setting", setting.value == "123456789" && !setting.is_default
admin.alter_configs({ "retention.ms" => nil }, topic: topic)
# A day ago: what is older than a week, Kafka may delete in the midst of this.
base = Time.now.to_i - 90_000

LibKarafka::Producer.new(bootstrap_servers: brokers).produce_many_sync(
  (0...10).map { |n| { topic: topic, payload: n.to_s, partition: 0, timestamp: Time.at(base + n) } }
)
at = Time.at(base + 6)
check "a time", LibKarafka::Reader.new(topic, from: at, partitions: [0], bootstrap_servers: brokers).map(&:payload) == %w[6 7 8 9]
cut, missing = admin.truncate(topic, { 0 => 4, 9 => nil })
check "outcomes of each item", cut.value == 4 && missing.error.is_a?(LibKarafka::Error)

moved = admin.seek_group(group, topic, 5, partitions: [0, 1])
check "moved or refused", moved.map { |one| [one.item, one.value, one.ok?] } == [[0, 5, true], [1, nil, false]]
check "a time for a group", admin.seek_group(group, topic, at, partitions: [0]).first.get == 6
lag, = admin.lag(group)
check "lag", [lag.offset, lag.end, lag.messages] == [6, 10, 4] && lag.age_seconds > 86_400
check "copied", admin.copy_group(group, "#{group}-copy").first.item == [topic, 0]
admin.rename_group("#{group}-copy", "#{group}-new")
check "offsets", admin.group_offsets("#{group}-new").map(&:offset) == [6]
check "described", admin.describe_groups(["#{group}-new"]).first.get.state == "Empty"
check "listed", admin.groups.map(&:group).include?(group)
admin.delete_group_offsets(group, topic, [0]).each(&:get)
gone, unknown = admin.delete_groups(["#{group}-new", "#{group}-nowhere"])
check "deleted", gone.ok? && unknown.error.is_a?(LibKarafka::BrokerError)

begin
  admin.acls
  raise "rules without an authorizer"
rescue LibKarafka::UnsupportedError => e
  check "the reason", e.message.include?("authorizer")
end
rule = { resource: "topic", name: topic, pattern: "literal", principal: "User:a", host: "*", operation: "read", permission: "allow" }
refused = admin.create_acls([rule]).first
check "a rule is refused by itself", refused.item.name == topic && refused.error.code == 54

steps = admin.plan([{ name: topic, partitions: 4, configs: { "retention.ms" => "1000" } }])
check "a plan", steps.map(&:destructive?).sort_by(&:to_s) == [false, true]
check "half of it", admin.apply(steps).map(&:ok?).tally == { true => 1, false => 1 }
check "aligned", admin.align([{ name: topic, configs: { "retention.ms" => "1000" } }], allow_destruction: true).all?(&:ok?)
admin.delete_topic(topic)
