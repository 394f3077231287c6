# frozen_string_literal: true

module LibKarafka
  # One run of a recurring task.
  class TaskRun
    # The task's name.
    attr_reader :task
    # The Time that the run is for, the last one that has come; nil when it was triggered.
    attr_reader :scheduled

    def initialize(native, task, milliseconds) # :nodoc:
      @native = native
      @task = task
      @scheduled = Time.at(0, milliseconds, :millisecond).utc if milliseconds
    end

    # Whether the run should end early: the app was asked to stop, or another member of the group has the tasks now.
    def should_end?
      @native.should_end
    end
  end

  # The recurring tasks of a topic: App#recurring_tasks. They run one after another, on a thread of their own.
  class RecurringTasks
    def initialize(native, tasks) # :nodoc:
      @native = native
      @tasks = tasks
    end

    # Declares a task, before the app is started: a block that runs at the times of a cron pattern, <tt>"minute hour day month
    # weekday"</tt>, with seconds before them where wanted, or <tt>"@hourly"</tt> and the like. It gets a TaskRun. What it raises, an
    # +exit+ too, is told by the event +recurring_tasks.error+ and by the log, and the run is not repeated: the next one is at the
    # next time.
    #
    # Raises ConfigError for a name that is taken, or a pattern that is none, with the field that is wrong; StoppedError once the app
    # was started.
    def task(name, cron, &block)
      raise ArgumentError, "a task needs a block" unless block

      @native.add(name.to_s, cron)
      @tasks[name.to_s] = block
      self
    end
  end

  # The thread that runs the tasks of a topic.
  class TaskThread # :nodoc:
    def initialize(native, tasks)
      @native = native
      @tasks = tasks
      @thread = nil
    end

    def start
      # One that is killed before it begins would have nobody to replace it.
      @thread = Thread.handle_interrupt(Object => :never) { Thread.new { serve } }
    end

    def include?(thread)
      @thread == thread
    end

    def close
      @native.close
    end

    private

    def serve
      Thread.current.name = "karafka-tasks"
      Thread.handle_interrupt(Object => :immediate) { take_runs }
      over = true
    ensure
      # One that is killed is replaced.
      unless over || Exit.exiting?
        @native.ended("ThreadKill", "the task's thread was killed")
        start
      end
    end

    def take_runs
      while (name, milliseconds = @native.next)
        failure = run(name, milliseconds)
        @native.ended(*failure)
      end
    end

    # The class and the message of what it raised.
    def run(name, milliseconds)
      @tasks.fetch(name).call(TaskRun.new(@native, name, milliseconds))
      [nil, nil]
    rescue Exception => e # rubocop:disable Lint/RescueException
      [e.class.name.to_s, e.message.to_s]
    end
  end
  private_constant :TaskThread
end
