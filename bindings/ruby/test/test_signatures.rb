# frozen_string_literal: true

begin
  require "rbs"
rescue LoadError
  return
end

# The signatures name what is there, and all of it.
class TestSignatures < KarafkaTest
  FILE = File.expand_path("../sig/libkarafka.rbs", __dir__)
  HIDDEN = %i[mark mark_with commit commit_offsets seek pause resume offset_metadata store_offset_metadata headers_at
              header_pairs_at timestamp_at begin_transaction settle ownership ownership_number receive hear hooks_of hears? consumer_class partitioner ask_to_finish finish for_app producer_for
              count inspect to_s].freeze

  def test_every_class_has_the_methods_that_its_signature_names_and_no_others
    definitions.each do |name, (instance, singleton)|
      constant = Object.const_get(name)
      if constant.is_a?(Class)
        present = constant.public_instance_methods(false) - HIDDEN - struct_writers(constant)
        assert_equal instance.sort, (present | (instance & constant.public_instance_methods)).sort, name
      end
      present = constant.singleton_methods(false) - HIDDEN - %i[new [] members keyword_init?]
      assert_equal singleton.sort, (present | (singleton & constant.methods)).sort, "#{name} itself"
    end
  end

  def test_every_option_is_named
    config, = definitions.fetch("LibKarafka::Config")
    topic, = definitions.fetch("LibKarafka::Routing::Topic")
    assert_empty(LibKarafka.options(:app).map { |option| option[:name] } - config)
    assert_empty(LibKarafka.options(:topic).map { |option| option[:name] } - topic)
  end

  def test_signatures_are_valid
    loader = RBS::EnvironmentLoader.new
    loader.add(path: Pathname(File.dirname(FILE)))
    environment = RBS::Environment.from_loader(loader).resolve_type_names
    builder = RBS::DefinitionBuilder.new(env: environment)
    definitions.each_key do |name|
      type = RBS::TypeName.new(name: name.split("::").last.to_sym, namespace: RBS::Namespace.parse("::#{name}").parent)
      builder.build_singleton(type)
      builder.build_instance(type)
    end
  end

  private

  def struct_writers(constant)
    constant < Struct ? constant.members.map { |member| :"#{member}=" } : []
  end

  # Names of classes, and the instance and singleton methods that their signatures name.
  def definitions
    @definitions ||= {}.tap { |found| RBS::Parser.parse_signature(File.read(FILE)).each { |node| walk(node, "", found) } }
  end

  def walk(node, outer, found)
    return unless node.respond_to?(:members)

    name = "#{outer}#{node.name.name}"
    methods = node.members.flat_map { |member| names_of(member) }
    found[name] = [methods.reject(&:last), methods.select(&:last)].map { |part| part.map(&:first) - [:initialize] }
    node.members.each { |member| walk(member, "#{name}::", found) }
  end

  def names_of(member)
    case member
    when RBS::AST::Members::MethodDefinition then [[member.name, member.singleton?]]
    when RBS::AST::Members::AttrReader then [[member.name, member.kind == :singleton]]
    when RBS::AST::Members::AttrAccessor then [[member.name, false], [:"#{member.name}=", false]]
    when RBS::AST::Members::Alias then [[member.new_name, false]]
    else []
    end
  end
end
