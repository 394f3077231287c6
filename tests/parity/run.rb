# frozen_string_literal: true

# The Ruby runner of the scenario table: <tt>run.rb scenarios.json [words]</tt> prints, for each scenario whose name contains
# the words, one line of JSON with what happened. What should have happened is judged elsewhere (judge.py).
#
# The consumer records each call when it begins and when it ends, on its own thread; the main thread waits for what was
# recorded.

require "json"
require "libkarafka"

ADDRESS = "embedded://parity-ruby"
BROKER = LibKarafka.embedded_broker("parity-ruby")
PATIENCE = 30

# What a consumer raises when the table wants it to fail.
class Unlucky < StandardError; end

# Reads the table's bytes and records.
module Table
  module_function

  def octets(described)
    described.is_a?(Hash) ? [described["hex"]].pack("H*") : described
  end

  def hexadecimal(string)
    string&.unpack1("H*")
  end

  def in_turn(values, number)
    values && values[number % values.size]
  end

  # Records of the table: one by one, or +count+ of them with +keys+ and +prefixes+ in turn, numbered from 0.
  def records(described, topic)
    described = numbered(described) if described.is_a?(Hash)
    (described || []).map do |record|
      { topic: topic, key: octets(record["key"]), payload: octets(record["payload"]), headers: headers(record),
        partition: record["partition"], timestamp: record["timestamp"] }
    end
  end

  def headers(record)
    record["headers"]&.map { |name, value| [name, octets(value)] }
  end

  def numbered(described)
    Array.new(described["count"]) do |number|
      { "key" => in_turn(described["keys"], number), "payload" => "#{in_turn(described['prefixes'], number)}#{number}" }
    end
  end

  def options(*layers)
    layers.compact.reduce({}, :merge).transform_keys(&:to_sym)
  end
end

# What was recorded of a run, shared by its consumers and whoever waits for them.
class Watch
  attr_reader :calls, :events, :hooks, :last

  def initialize
    @lock = Mutex.new
    @changed = ConditionVariable.new
    @counts = { "begun" => 0, "done" => 0, "stopped" => 0, "ended" => 0, "told" => 0, "hooked" => 0 }
    @hooks = []
    @events = []
    @tick = 0
    @calls = []
  end

  # Waits for an effect. Returns whether it came in time.
  def wait(what, count)
    deadline = now + PATIENCE
    @lock.synchronize do
      @changed.wait(@lock, [deadline - now, 0].max) until @counts[what] >= count || now > deadline
      @counts[what] >= count
    end
  end

  def stopped
    change { @counts["stopped"] = 1 }
  end

  def told(event)
    change do
      @events << { name: event.name, fields: event.fields }
      @counts["told"] += 1 if event.name == "app.stopped"
    end
  end

  def hook(name, consumer)
    change do
      @hooks << [name, consumer.used?, consumer.eofed?, consumer.revoked?]
      @counts["hooked"] += 1
    end
  end

  def task(run)
    change do
      @hooks << [run.task, run.scheduled.nil?, false, false]
      @counts["hooked"] += 1
    end
  end

  def begin(consumer, keeps)
    messages = consumer.messages
    call = { attempt: consumer.attempt, retrying: consumer.retrying?, end: nil, outcome: nil, stuck: false, marks: [], sent: [],
             virtual_partitions: [messages.virtual_partition].compact, records: messages.map { |message| describe(message) } }
    change do
      # Kept messages hold up the end of the app's clients.
      @last = messages.first if keeps
      @counts["begun"] += messages.size
      @calls << call
      call[:begin] = @tick += 1
    end
    call
  end

  def end(call, is_done)
    change do
      call[:end] = @tick += 1
      call[:outcome] = is_done ? "done" : "failed"
      @counts["done"] += call[:records].size if is_done
      @counts["ended"] += 1
    end
  end

  private

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def change
    @lock.synchronize do
      yield
      @changed.broadcast
    end
  end

  def describe(message)
    { partition: message.partition, offset: message.offset, key: Table.hexadecimal(message.key),
      payload: Table.hexadecimal(message.payload), headers: headers(message), tombstone: message.tombstone?,
      timestamp: message.timestamp && (message.timestamp.to_r * 1000).to_i }
  end

  def headers(message)
    message.header_pairs.map { |pair| pair.map { |part| Table.hexadecimal(part) } }
  end
end

# The consumer of a run: it does what the run's rules say, which are holding, marking and failing.
def scripted(watch, run, producer)
  Class.new(LibKarafka::BaseConsumer) do
    define_method(:consume) do
      call = watch.begin(self, (run["after"] || []).include?("mark"))
      hold = about(run["hold"])
      call[:stuck] = !watch.wait(*hold["until"]) if hold
      call[:marks] = marks(run)
      due = (run["send"] || []).select { |at, _| at == attempt }
      call[:sent] = due.map { |_, topic| outcome { producer.produce_sync(topic: topic, payload: "sent") && nil }[:error] }
      failure = about(run["fail"])
      failed = failure && attempt <= failure["attempts"]
      watch.end(call, !failed)
      raise Unlucky, "not yet" if failed
    end

    private

    # The rule, if it is about this call: one of its messages has the rule's key, or the rule names none.
    def about(rule)
      rule if rule && (!rule.key?("key") || messages.keys.include?(rule["key"]))
    end

    def marks(run)
      how = { "prefix" => :mark_as_consumed, "single" => :acknowledge, "waiting" => :mark_as_consumed! }
      (run["mark"] || []).flat_map do |extent, offset|
        messages.select { |message| message.offset == offset }.map { |message| public_send(how[extent], message) }
      end
    end
  end
end

# The same consumer with all hooks.
def hooked(consumer, watch, described)
  Class.new(consumer) do
    %w[tick eofed revoked shutdown].each do |name|
      define_method(name) do
        watch.hook(name, self)
        raise Unlucky, "not this" if described["then"] == "fail"
      end
    end
  end
end

def partitioner(described)
  lambda do |message|
    raise Unlucky, "no partition" unless described["prefix"]

    message.payload[0, described["prefix"]]
  end
end

def filter(described)
  lambda do |message|
    raise Unlucky, "no answer" if message.key == described["fails"]

    message.key != described["skips"]
  end
end

# What a call outside of consumers gave, or how it was refused.
def outcome
  { value: yield }
rescue LibKarafka::Error => e
  { error: e.class.name.delete_prefix("LibKarafka::").delete_suffix("Error"), message: e.message }
end

# A call's value, or the kind of its error.
def short(result)
  result.fetch(:error) { result[:value] }
end

# Plays one scenario after another.
class Runner
  def initialize(table)
    @table = table
    @defaults = table["defaults"]
  end

  def play(scenario, name)
    runs = scenario["runs"] ? play_runs(scenario, name) : []
    { runs: runs, calls: (scenario["calls"] || []).map { |call| outcome { play_call(call) } } }
  end

  private

  def play_runs(scenario, name)
    BROKER.create_topic(name, partitions: scenario.fetch("partitions", 1))
    producer = new_producer(@defaults["producer"].merge(scenario["producer"] || {}))
    producer.produce_many_sync(Table.records(scenario["records"], name))
    if (beside = scenario["beside"])
      BROKER.create_topic("#{name}-beside", partitions: scenario.fetch("partitions", 1))
      producer.produce_many_sync(Table.records(beside["records"], "#{name}-beside"))
    end
    prepare(scenario, name, producer)
    scenario["runs"].map do |run|
      producer.produce_many_sync(Table.records(run["records"], name))
      play_run(scenario, name, run, producer)
    end
  ensure
    producer&.close
  end

  # Before the first run: schedules and cancels, and gives commands.
  def prepare(scenario, name, producer)
    if (scheduled = scenario["scheduled"])
      BROKER.create_topic("#{name}-later", partitions: 1)
      at = Time.now + (scheduled["in"] / 1000r)
      Table.records(scheduled["records"], name).each do |record|
        id = producer.schedule("#{name}-later", at: at, **record)
        producer.cancel("#{name}-later", id) if record[:payload] == scheduled["cancelled"]
      end
    end
    return unless scenario["tasks"]

    BROKER.create_topic("#{name}-tasks", partitions: 1)
    scenario["tasks"]["trigger"].each { |task| producer.trigger_task("#{name}-tasks", task) }
  end

  # Has the app send what is scheduled, and run the tasks, which are recorded as calls of hooks.
  def add_apart(scenario, name, app, watch)
    app.scheduled_messages("#{name}-later", interval: 100) if scenario["scheduled"]
    return unless scenario["tasks"]

    tasks = app.recurring_tasks("#{name}-tasks", interval: 100)
    %w[broken report].each do |task|
      tasks.task(task, "@yearly") do |run|
        watch.task(run)
        raise Unlucky, "not this" if task == "broken"
      end
    end
  end

  def play_run(scenario, name, run, producer)
    app = new_app(Table.options(@defaults["app"], scenario["app"], run["app"], { "group" => name }))
    options = Table.options(@defaults["topic"], scenario["topic"], run["topic"])
    options[:virtual_partitions] = partitioner(scenario["partitioner"]) if scenario["partitioner"]
    options[:unique_by] = partitioner(scenario["unique"]) if scenario["unique"]
    options[:filter] = filter(scenario["filter"]) if scenario["filter"]
    watch = Watch.new
    consumer = scripted(watch, run, producer)
    consumer = hooked(consumer, watch, scenario["hooks"]) if scenario["hooks"]
    app.topic(scenario["pattern"] ? /#{Regexp.escape(name)}/ : name, consumer: consumer, **options)
    if (beside = scenario["beside"])
      app.topic("#{name}-beside", consumer: consumer, **Table.options(@defaults["topic"], beside["topic"]))
    end
    add_apart(scenario, name, app, watch)
    app.on_event { |event| watch.told(event) }
    app.start
    other = other_member(scenario, run, name, options, watch) if run["joined"]
    in_time = watch.wait(*run["until"])
    app.stop(wait: false)
    joined = outcome { app.join(PATIENCE) }
    other&.stop
    watch.stopped
    watch.wait("ended", watch.calls.size)
    watch.wait("told", 1)
    after = (run["after"] || []).to_h { |step| [step, outcome { afterwards(step, app, watch) }] }
    { in_time: in_time, joined: joined, calls: watch.calls, after: after, events: watch.events,
      hooks: watch.hooks }
  end

  # Another member of the group, which handles what it gets and records nothing.
  def other_member(scenario, run, name, options, watch)
    watch.wait(*run["joined"])
    app = new_app(Table.options(@defaults["app"], scenario["app"], run["app"], { "group" => name }))
    reading(app, name, **options)
    app.start
    app
  end

  # One call on an app that has stopped, or on the last message that its consumer saw.
  def afterwards(step, app, watch)
    consumer = LibKarafka::BaseConsumer.new
    case step
    when "mark" then consumer.mark_as_consumed(watch.last)
    when "acknowledge" then consumer.acknowledge(watch.last)
    when "mark_and_wait" then consumer.mark_as_consumed!(watch.last)
    else step(step, app)
    end
  end

  # One call on an app that is not running.
  def step(name, app)
    case name
    when "topic" then reading(app, "another")
    when "stop" then app.stop(wait: false)
    when "join" then app.join(PATIENCE)
    when "phase" then app.phase
    else app.public_send(name)
    end
  end

  def new_app(options = {})
    LibKarafka::App.new(bootstrap_servers: ADDRESS, **options)
  end

  def new_producer(options)
    LibKarafka::Producer.new(bootstrap_servers: ADDRESS, **Table.options(options))
  end

  def reading(app, topic, **options)
    app.topic(topic, **options) { |messages| messages }
    nil
  end

  def play_call(call)
    case call["do"]
    when "app" then start_and_stop(Table.options(call["app"]), Table.options(call["topic"]))
    when "topic" then reading(LibKarafka::App.new, repeated(call), **Table.options(call["topic"]))
    when "producer" then new_producer(call["producer"]).close
    when "testing_producer" then LibKarafka::Producer.testing(**Table.options(call["producer"])).close
    when "transactional_producer"
      LibKarafka::TransactionalProducer.new(bootstrap_servers: ADDRESS, **Table.options(call["producer"])).close
    when "produce" then send_one(call)
    when "create_topic" then BROKER.create_topic(repeated(call), partitions: call["partitions"]) && nil
    when "admin" then LibKarafka::Admin.new(bootstrap_servers: ADDRESS).public_send(call["ask"], *call["with"].values)
    when "unstarted" then unstarted(call["steps"])
    when "start_without_topic" then LibKarafka::App.new.start
    else public_send(call["do"])
    end
  end

  # A name is text and how often it is repeated; "orders" if nothing is said.
  def repeated(call)
    text, times = call.fetch("name", ["orders", 1])
    text * times
  end

  # Settings of librdkafka are checked at the start.
  def start_and_stop(options, topic)
    app = new_app(options)
    reading(app, "orders", **topic)
    app.start
    app.stop
  end

  def send_one(call)
    producer = new_producer(call["producer"])
    report = producer.produce_sync(topic: repeated(call), payload: "x" * call.fetch("payload", 1),
                                   partition: call["partition"])
    [report.partition, report.offset]
  ensure
    producer&.close
  end

  def unstarted(steps)
    app = LibKarafka::App.new
    reading(app, "orders")
    steps.map { |name| short(outcome { step(name, app) }) }
  end

  public

  def closed_producer
    producer = new_producer({})
    late = -> { producer.produce_sync(topic: "never", payload: "late") }
    flush = -> { producer.flush(timeout: PATIENCE) }
    [producer.method(:close), producer.method(:close), late, flush].map { |action| short(outcome { action.call }) }
  end

  def same_topic_twice
    app = LibKarafka::App.new
    2.times { reading(app, "orders") }
  end

  def error_kinds
    classes = LibKarafka.constants.map { |name| LibKarafka.const_get(name) }
    kinds = classes.select { |found| found.is_a?(Class) && found < LibKarafka::Error }
    kinds.map { |kind| kind.name.delete_prefix("LibKarafka::").delete_suffix("Error") }.sort
  end

  def versions
    [LibKarafka::VERSION, LibKarafka.librdkafka_version]
  end
end

table = JSON.parse(File.read(ARGV.fetch(0)))
runner = Runner.new(table)
table["scenarios"].each_with_index do |scenario, number|
  name = scenario["name"]
  next unless name.include?(ARGV.fetch(1, "")) && scenario.fetch("languages", ["ruby"]).include?("ruby")

  begin
    result = runner.play(scenario, "scenario-#{number}")
  rescue StandardError => e
    result = { broken: "#{e.class}: #{e.message}" }
  end
  puts JSON.generate({ **result, scenario: name })
  $stdout.flush
end
