# A member of a group that tells what its handler and the app do; see languages.rs for its words.
require "libkarafka"

$stdout.sync = true
name, work, fail_key, *options = ARGV
options = options.map { |option| option.split("=", 2) }
kafka, options = options.partition { |key, _| key.start_with?("kafka.") }
options = options.map { |key, value| [key, Integer(value, exception: false) || value] }
of_topic, of_app = options.partition { |key, _| key.start_with?("topic.") }

class Program < LibKarafka::App
  def initialize(**)
    super
    on_event { |event| $stdout.write("#{event}\n") }
  end
end

Program.setup do |config|
  of_app.each { |key, value| config.public_send(:"#{key}=", value) }
  config.kafka = kafka.to_h { |key, value| [key.delete_prefix("kafka."), value] }
end
Program.routes.draw do
  topic(name, **of_topic.to_h { |key, value| [key.delete_prefix("topic.").to_sym, value] }) do |messages|
    messages.each do |message|
      $stdout.write("began #{message.key}\n")
      sleep(work.to_i / 1000.0)
      raise "the test wants this record to fail" if message.key == fail_key
      $stdout.write("finished #{message.key}\n")
    end
  end
end
Program.run!
