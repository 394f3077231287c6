# frozen_string_literal: true

require "json"

module LibKarafka
  # Asks a cluster about itself, and changes what it keeps: topics, settings, consumer groups, access rules. All threads may use it.
  #
  # Every call waits for the cluster's answer, at most the option +timeout+, or so many seconds as its keyword +timeout+ says; it
  # raises TimeoutError or BrokerError when nobody answers, AuthError without the right to it, and UnsupportedError for what an embedded
  # broker cannot do. What is done to several items returns an Outcome for each: one that fails leaves the others alone.
  class Admin
    # A Struct with keywords that is made of what the core answers.
    module Record # :nodoc:
      def self.of(*members, **nested)
        Struct.new(*members, keyword_init: true) do
          define_singleton_method(:from) do |fields|
            made = fields.slice(*members)
            nested.each { |member, type| made[member] = made[member]&.map { |one| type.from(one) } }
            new(**made).freeze
          end
        end
      end
    end
    private_constant :Record

    # A broker: its number, and the host and port that it tells clients to connect to.
    Broker = Record.of(:id, :host, :port)
    # A cluster: how it names itself, its brokers, and how many topics the user may see.
    Cluster = Record.of(:id, :brokers, :topics, brokers: Broker)
    # A partition: the broker that leads it (nil while nobody does), those that keep it, and those that have everything.
    Partition = Record.of(:partition, :leader, :replicas, :in_sync)
    # A topic with its partitions.
    Topic = Record.of(:name, :partitions, partitions: Partition)
    # Where a partition begins, and one beyond its last message.
    Watermarks = Record.of(:partition, :first, :end)
    # A setting; +value+ is nil where it is secret.
    Setting = Record.of(:name, :value, :is_default, :is_read_only, :is_sensitive)
    # A group in a list, with its state and protocol in Kafka's words.
    GroupListing = Record.of(:group, :state, :protocol)
    # A member of a group; +partitions+ are pairs of a topic and a number.
    Member = Record.of(:id, :client_id, :instance_id, :host, :partitions)
    # A group with its members; its state is "Dead" where there is none of this name.
    Group = Record.of(:group, :state, :protocol, :assignor, :coordinator, :members, members: Member)
    # What a group has committed for a partition, and the text beside it.
    Offset = Record.of(:topic, :partition, :offset, :metadata)
    # How far a group is behind in a partition: in messages, and by the age of the first of them in seconds (nil where it could not be
    # read, and where there is none).
    Lag = Record.of(:topic, :partition, :offset, :end, :messages, :age_seconds)
    # An access rule, in Kafka's words as lower case text: +resource+ is "topic", "group", "cluster" or "transactional_id".
    Acl = Record.of(:resource, :name, :pattern, :principal, :host, :operation, :permission)

    # One thing to be done so that topics are as declared. +kind+ is +:create+, +:grow+, +:set+, +:delete+ or +:impossible+.
    class Step
      attr_reader :kind, :text, :fields

      def self.from(fields) # :nodoc:
        new(fields)
      end

      def initialize(fields) # :nodoc:
        @kind = fields[:step].to_sym
        @text = fields[:text]
        @fields = fields.freeze
        freeze
      end

      # Whether messages can be lost by it.
      def destructive?
        @fields[:is_destructive]
      end

      def to_s
        @text
      end

      def ==(other)
        other.is_a?(Step) && fields == other.fields
      end
    end

    # What became of one item: its +value+, where there is one to tell, or its +error+, a LibKarafka::Error.
    class Outcome
      attr_reader :item, :value, :error

      def initialize(item, value, error) # :nodoc:
        @item = item
        @value = value
        @error = error
        freeze
      end

      def ok?
        error.nil?
      end

      # The value; raises the error.
      def get
        raise error if error

        value
      end
    end

    # Connects to a cluster and waits for its first answer. Options are those of docs/configuration.md for an admin.
    #
    # Raises ConfigError for a bad option, AuthError when the cluster does not let us in, BrokerError when nobody answers in time.
    def initialize(**options)
      @native = Native::Admin.connect(options)
    end

    # The Cluster and its brokers.
    def cluster(timeout: nil)
      Cluster.from(ask(timeout, :cluster))
    end

    # All Topics that the user may see, by name.
    def topics(timeout: nil)
      list(Topic, ask(timeout, :topics))
    end

    # One Topic. Raises BrokerError when it does not exist.
    def topic(name, timeout: nil)
      Topic.from(ask(timeout, :topic, name: name.to_s))
    end

    # Creates a topic, and waits until its partitions have leaders. What is not given is the cluster's default.
    def create_topic(name, partitions: nil, replicas: nil, configs: {}, timeout: nil)
      create_topics([{ name: name, partitions: partitions, replicas: replicas, configs: configs }], timeout: timeout)
        .each(&:get)
      nil
    end

    # Creates topics: Hashes with the keywords of #create_topic and +name+. Outcomes by name.
    def create_topics(topics, timeout: nil)
      wanted = topics.map { |topic| { **topic, name: topic.fetch(:name).to_s, configs: strings(topic[:configs] || {}) } }
      outcomes(ask(timeout, :create_topics, topics: wanted))
    end

    # Deletes a topic and every message in it.
    def delete_topic(name, timeout: nil)
      delete_topics([name], timeout: timeout).each(&:get)
      nil
    end

    # Deletes topics and every message in them. Outcomes by name.
    def delete_topics(names, timeout: nil)
      outcomes(ask(timeout, :delete_topics, names: names.map(&:to_s)))
    end

    # Gives a topic more partitions: so many in all. The order of a key's messages is not kept across the change.
    def add_partitions(topic, total, timeout: nil)
      ask(timeout, :add_partitions, topic: topic.to_s, total: total)
      nil
    end

    # Where each partition of a topic begins and ends: Watermarks.
    def watermarks(topic, timeout: nil)
      list(Watermarks, ask(timeout, :watermarks, topic: topic.to_s))
    end

    # Deletes the messages below an offset (nil: all that are there) of each given partition: a Hash. Outcomes by partition, with
    # the offset at which it begins now.
    def truncate(topic, before, timeout: nil)
      cuts = before.map { |partition, offset| { partition: partition, offset: offset } }
      outcomes(ask(timeout, :truncate, topic: topic.to_s, before: cuts))
    end

    # All Settings of a topic or of a broker, by name.
    def configs(topic: nil, broker: nil, timeout: nil)
      list(Setting, ask(timeout, :configs, topic: topic&.to_s, broker: broker))
    end

    # Changes settings of a topic or of a broker, all or none: a Hash of values, nil for the default. Others stay as they are.
    def alter_configs(changes, topic: nil, broker: nil, timeout: nil)
      ask(timeout, :alter_configs, topic: topic&.to_s, broker: broker, changes: strings(changes))
      nil
    end

    # All groups, by name: GroupListings.
    def groups(timeout: nil)
      list(GroupListing, ask(timeout, :groups))
    end

    # Groups with their members. Outcomes by name, with a Group.
    def describe_groups(groups, timeout: nil)
      outcomes(ask(timeout, :describe_groups, groups: groups.map(&:to_s))) { |fields| Group.from(fields) }
    end

    # What a group has committed: Offsets, by topic and partition.
    def group_offsets(group, timeout: nil)
      list(Offset, ask(timeout, :group_offsets, group: group.to_s))
    end

    # Moves a group without members: to +:earliest+, +:latest+, an offset, or a Time, in the +partitions+ (all of them when there are
    # none). Outcomes by partition, with the new offset. What the group had done beyond its old offset is forgotten.
    def seek_group(group, topic, target, partitions: [], timeout: nil)
      to =
        case target
        when :earliest, :latest then target
        when Integer then { offset: target }
        when Time then { time: (target.to_r * 1000).floor }
        else raise ArgumentError, "a group is moved to an offset, a Time, :earliest or :latest, not #{target.inspect}"
        end
      outcomes(ask(timeout, :seek_group, group: group.to_s, topic: topic.to_s, partitions: partitions, to: to))
    end

    # Gives a group what another one has committed; the other one keeps it. Outcomes by topic and partition.
    def copy_group(from, to, timeout: nil)
      outcomes(ask(timeout, :copy_group, from: from.to_s, to: to.to_s))
    end

    # Copies a group without members to another name, then deletes it. Not one step: who fails in between is left with both.
    def rename_group(from, to, timeout: nil)
      ask(timeout, :rename_group, from: from.to_s, to: to.to_s)
      nil
    end

    # Deletes groups without members, and what they have committed. Outcomes by name.
    def delete_groups(groups, timeout: nil)
      outcomes(ask(timeout, :delete_groups, groups: groups.map(&:to_s)))
    end

    # Forgets what a group has committed for some partitions of a topic. Outcomes by partition.
    def delete_group_offsets(group, topic, partitions, timeout: nil)
      outcomes(ask(timeout, :delete_group_offsets, group: group.to_s, topic: topic.to_s, partitions: partitions))
    end

    # How far a group is behind: Lags, by topic and partition.
    def lag(group, timeout: nil)
      list(Lag, ask(timeout, :lag, group: group.to_s))
    end

    # Access rules that match: all, or those that have what is given by the names of Acl.
    def acls(timeout: nil, **filter)
      list(Acl, ask(timeout, :acls, filter: filter))
    end

    # Makes access rules: Hashes with the names of Acl, or Acls. Outcomes by Acl.
    def create_acls(acls, timeout: nil)
      acl_outcomes(ask(timeout, :create_acls, acls: acls.map(&:to_h)))
    end

    # Deletes the access rules that match, as in #acls; at least one part of the rule must be given. Outcomes by Acl.
    def delete_acls(timeout: nil, **filter)
      raise ArgumentError, "say which rules are to be deleted" if filter.empty?

      acl_outcomes(ask(timeout, :delete_acls, filter: filter))
    end

    # What has to be done so that topics are as declared: Steps, none when they are. A declaration is a Hash of +name+,
    # +partitions+, +replicas+, +configs+ (nil for a default) and +is_absent+, for a topic that is not to be there.
    def plan(topics, timeout: nil)
      list(Step, ask(timeout, :plan, topics: declared(topics)))
    end

    # Does what a plan says, one Step after the other. Steps by which messages can be lost are refused unless +allow_destruction+.
    # Outcomes by Step.
    def apply(steps, allow_destruction: false, timeout: nil)
      answer = ask(timeout, :apply, steps: steps.map(&:fields), is_destruction_allowed: allow_destruction)
      step_outcomes(answer)
    end

    # Gives topics that exist the settings that are declared for them, and nothing else. Outcomes by Step.
    def align(topics, allow_destruction: false, timeout: nil)
      step_outcomes(ask(timeout, :align, topics: declared(topics), is_destruction_allowed: allow_destruction))
    end

    private

    def ask(timeout, call, **arguments)
      JSON.parse(@native.ask(JSON.generate({ call: call, **arguments }), timeout), symbolize_names: true)
    end

    def list(type, answers)
      answers.map { |fields| type.from(fields) }
    end

    def outcomes(answers)
      answers.map do |answer|
        value = answer[:value]
        value = yield(value) if value && block_given?
        Outcome.new(answer[:item], value, answer[:error] && error_of(answer[:error]))
      end
    end

    def acl_outcomes(answers)
      outcomes(answers.map { |answer| { **answer, item: Acl.from(answer[:item]) } })
    end

    def step_outcomes(answers)
      outcomes(answers.map { |answer| { **answer, item: Step.from(answer[:item]) } })
    end

    def error_of(told)
      kind = told[:kind].gsub(/(?<=.)[A-Z]/) { |letter| "_#{letter}" }.downcase.to_sym
      LibKarafka.const_get("#{told[:kind]}Error").new(told[:text], kind: kind, **told.slice(:code, :retriable, :fatal, :exit_code))
    end

    def declared(topics)
      topics.map { |topic| { **topic, name: topic.fetch(:name).to_s, configs: strings(topic[:configs] || {}) } }
    end

    def strings(settings)
      settings.to_h { |name, value| [name.to_s, value&.to_s] }
    end
  end
end
