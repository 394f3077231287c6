# frozen_string_literal: true

# At the top, since the extension is built from the whole workspace: cargo refuses one with missing members.
root = __dir__
version = File.read(File.join(root, "Cargo.toml"))[/^version = "([^"]+)"/, 1]

Gem::Specification.new do |spec|
  spec.name = "libkarafka"
  spec.version = version
  spec.summary = "Process Apache Kafka topics in parallel, in order per key, losing nothing"
  spec.description = "A Rust core that fetches, spreads messages over virtual partitions, runs your consumers on Ruby " \
                     "threads, tracks what is done offset by offset, and commits."
  spec.authors = ["The libkarafka authors"]
  spec.licenses = %w[MIT Apache-2.0]
  spec.metadata = { "rubygems_mfa_required" => "true" }

  spec.required_ruby_version = ">= 3.1"
  # The first one that builds extensions with cargo.
  spec.required_rubygems_version = ">= 3.3.11"

  spec.files = Dir.chdir(root) do
    patterns = %w[
      Cargo.toml Cargo.lock .cargo/config.toml LICENSE-* README.md {core,ffi,tests,bindings/python}/**/*.{rs,toml}
      core/runtime/allocator/*.c
      bindings/ruby/{Cargo.toml,README.md} bindings/ruby/{src,lib,sig,examples}/**/*.{rs,rb,rbs}
    ]
    Dir.glob(patterns).select { |path| File.file?(path) }.sort
  end
  # Cargo's library is renamed to the gem's name, which is therefore the name of the crate's library, too.
  spec.extensions = ["bindings/ruby/Cargo.toml"]
  spec.require_paths = ["bindings/ruby/lib"]
end
