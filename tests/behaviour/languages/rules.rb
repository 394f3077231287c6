# frozen_string_literal: true

# Makes, shows and deletes access rules, and feels them: rules.rb BROKERS PREFIX GUARDED USER PASSWORD.
# BROKERS is where everything is allowed, GUARDED where the user needs rules.
require "libkarafka"

def check(what, truth)
  raise "not so: #{what}" unless truth
end

DEADLINE = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 45

def eventually(what)
  until yield
    check what, Process.clock_gettime(Process::CLOCK_MONOTONIC) < DEADLINE
    sleep 0.05
  end
end

brokers, prefix, guarded, user, password = ARGV
kafka = {
  "security.protocol" => "SASL_PLAINTEXT", "sasl.mechanism" => "SCRAM-SHA-256",
  "sasl.username" => user, "sasl.password" => password
}
master = LibKarafka::Admin.new(bootstrap_servers: brokers)
nobody = "User:#{prefix}"

# What the user is told who produces; nil when the record arrives.
refusal = lambda do
  producer = LibKarafka::Producer.new(bootstrap_servers: guarded, kafka: kafka)
  producer.produce_sync(topic: "#{prefix}-topic", payload: "x")
  nil
rescue LibKarafka::AuthError => e
  e
ensure
  producer&.close
end

# Every resource, pattern and permission.
rule = lambda do |resource, operation, name: "#{prefix}-#{resource}", principal: nobody, pattern: "literal", permission: "allow", host: "*"|
  { resource: resource, name: name, pattern: pattern, principal: principal, host: host, operation: operation, permission: permission }
end
kinds = [%w[topic read], %w[group describe], %w[transactional_id write]]
rules = kinds.product(%w[literal prefixed], %w[allow deny]).map do |(resource, operation), pattern, permission|
  rule.call(resource, operation, pattern: pattern, permission: permission)
end
rules << rule.call("cluster", "alter_configs", name: "kafka-cluster")
rules << rule.call("topic", "all", name: "*", permission: "deny", host: "10.0.0.1")
broken = rule.call("topic", "read", principal: "no-such-kind-of-principal")
outcomes = master.create_acls([*rules, broken])
check "items", outcomes.map { |one| one.item.to_h } == [*rules, broken]
check "each by itself", outcomes.map(&:ok?) == [*([true] * rules.size), false]

found = ->(**of) { master.acls(principal: nobody, **of).map(&:to_h).sort_by(&:to_s) }
those = ->(**of) { rules.select { |one| of.all? { |name, value| one[name] == value } }.sort_by(&:to_s) }
eventually("all of them") { found.call == those.call }
%w[topic group transactional_id cluster].each do |resource|
  check resource, found.call(resource: resource) == those.call(resource: resource)
end
%w[literal prefixed].each { |pattern| check pattern, found.call(pattern: pattern) == those.call(pattern: pattern) }
check "denied", found.call(permission: "deny") == those.call(permission: "deny")
check "a host", found.call(host: "10.0.0.1") == those.call(host: "10.0.0.1")
check "an operation", found.call(operation: "alter_configs") == those.call(operation: "alter_configs")
# What applies to a topic whose name begins so: the prefixed ones, and the one for all.
applies = (those.call(resource: "topic", pattern: "prefixed") + those.call(name: "*")).sort_by(&:to_s)
check "what applies", found.call(resource: "topic", name: "#{prefix}-topic-1", pattern: "match") == applies
begin
  master.acls(resource: "user")
  raise "a resource that there is none of"
rescue LibKarafka::ConfigError => e
  check "the words", e.message.include?("is not among any, topic, group")
end

# They are obeyed.
master.create_topic("#{prefix}-topic", partitions: 1, replicas: 1)
check "refused", refusal.call
may = rule.call("topic", "write", name: "#{prefix}-t", principal: "User:#{user}", pattern: "prefixed")
check "allowed", master.create_acls([may]).first.ok?
eventually("the right to write") { refusal.call.nil? }
must_not = rule.call("topic", "write", principal: "User:#{user}", permission: "deny")
check "denied", master.create_acls([must_not]).first.ok?
eventually("the denial") { refusal.call }
refused = LibKarafka::Admin.new(bootstrap_servers: guarded, kafka: kafka).create_acls([may]).first
check "rules are not for everybody", refused.error.is_a?(LibKarafka::AuthError) && !refused.error.message.include?(password)

# And deleted, those that match and no others.
denied = master.delete_acls(principal: nobody, permission: "deny")
check "deleted", denied.all?(&:ok?) && denied.map { |one| one.item.to_h }.sort_by(&:to_s) == those.call(permission: "deny")
eventually("the others") { found.call == those.call(permission: "allow") }
check "all", master.delete_acls(principal: nobody).all?(&:ok?)
check "the denial", master.delete_acls(principal: "User:#{user}", name: "#{prefix}-topic").all?(&:ok?)
eventually("none") { found.call.empty? }
check "the last", master.delete_acls(resource: "topic", name: "#{prefix}-t", pattern: "prefixed").map { |one| one.item.to_h } == [may]
master.delete_topic("#{prefix}-topic")
