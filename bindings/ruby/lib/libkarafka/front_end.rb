# frozen_string_literal: true

require "libkarafka"

module LibKarafka
  # The gem's executable: runs the app of a file as the whole of a program.
  #
  # Used on the main thread, by exe/libkarafka. Ends with 0 when the app has stopped, with 1 on an error, with 2 when
  # consumers had to be left behind, with 3 when the parent of the process is gone; with 64 for wrong arguments, and with 78
  # for a file that is not there, that holds no app, or whose app has wrong options.
  class FrontEnd # :nodoc:
    USAGE = 64
    CONFIGURATION = 78

    HELP = <<~TEXT
      Usage: libkarafka run FILE [CLASS]

      Loads FILE and runs its app: the subclass of LibKarafka::App, or CLASS where there are several. TERM, INT and QUIT stop
      it gracefully, a second one at once; TSTP has it quiet, CONT goes on, TTIN says what every worker does.

      Ends with 0 when the app has stopped, 1 on an error, 2 when consumers had to be left behind, 3 when the parent of the
      process is gone, 64 for wrong arguments, 78 for a file that is not there or holds no app, and for wrong options.
    TEXT

    def initialize(arguments)
      @arguments = arguments
    end

    # The status to end with.
    def run
      case @arguments
      in ["--help" | "-h" | "help"] then help
      in ["--version"] then puts("libkarafka #{VERSION}") || 0
      in ["run", String => file] unless file.start_with?("-") then start(file, nil)
      in ["run", String => file, String => name] unless file.start_with?("-") then start(file, name)
      else
        warn(HELP)
        USAGE
      end
    rescue ConfigError => e
      refuse(e.message)
    rescue Error => e
      warn("libkarafka: #{e.message}")
      1
    end

    private

    def help
      puts(HELP)
      0
    end

    def start(file, name)
      path = File.expand_path(file)
      return refuse("there is no such file: #{path}") unless File.file?(path)

      known = apps
      load(path)
      found = name ? named(name) : apps - known
      case found
      in [app]
        app.run!
        0
      in [] then refuse("#{path} has no #{name || 'subclass of LibKarafka::App'}")
      else refuse("#{path} has several apps: say which one, #{found.map(&:name).join(' or ')}")
      end
    end

    # Classes of apps that no other class comes from.
    def apps
      all = [App]
      all.each { |app| all.concat(app.subclasses) }
      all.drop(1).select { |app| app.subclasses.empty? }
    end

    def named(name)
      found = Object.const_get(name)
      found.is_a?(Class) && found < App ? [found] : []
    rescue NameError
      []
    end

    def refuse(message)
      warn("libkarafka: #{message}")
      CONFIGURATION
    end
  end
end
