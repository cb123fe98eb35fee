// JOURNAL on a real folder: what is in the file, and when it says that it is on disk.
#include "actors/agent/journal_actor.hpp"

#include <filesystem>

#include "tests/support/actor_fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::agent {
namespace {

class journal_actor_test : public test::actor_fixture {
protected:
  void open() { writer = track(sys.spawn(journal_file, path())); }
  std::string path() const { return dir / "journal"; }
  std::string file() const { return read_journal(path()); }
  bool on_disk() { return ask<bool>(writer, sync_atom::value).value.value_or(false); }
  std::string fact(const std::string& name) { return ask<ActorStatus>(writer, ReadStatus{}).value->facts().at(name); }

  test::temp_dir dir;
  journal_actor writer;
};

TEST_F(journal_actor_test, a_new_file_takes_the_place_of_the_old_one_and_additions_follow_it) {
  open();
  self->send(writer, replace_atom::value, std::string{"one "});
  settle();
  self->send(writer, append_atom::value, std::string{"two "});
  self->send(writer, append_atom::value, std::string{"three"});
  settle();
  EXPECT_EQ(file(), "one two three");
  self->send(writer, replace_atom::value, std::string{"four"});
  settle();
  EXPECT_EQ(file(), "four");
}

TEST_F(journal_actor_test, what_came_before_is_in_the_file_when_it_says_that_it_is_on_disk) {
  open();
  self->send(writer, replace_atom::value, std::string{"one "});
  self->send(writer, append_atom::value, std::string{"two"});
  EXPECT_TRUE(on_disk());
  EXPECT_EQ(file(), "one two");
  EXPECT_EQ(fact("writes"), "1") << "together";
  EXPECT_EQ(fact("syncs"), "1");
}

TEST_F(journal_actor_test, what_an_earlier_writer_left_goes_to_disk_as_well) {
  open();
  self->send(writer, replace_atom::value, std::string{"one"});
  settle();
  open();
  EXPECT_TRUE(on_disk());
  EXPECT_EQ(file(), "one");
}

TEST_F(journal_actor_test, after_an_error_there_is_no_file_until_there_is_a_whole_one) {
  open();
  self->send(writer, replace_atom::value, std::string{"one"});
  settle();
  std::filesystem::create_directory(path() + ".new"); // where the next one would be written
  self->send(writer, replace_atom::value, std::string{"two"});
  EXPECT_FALSE(on_disk());
  EXPECT_EQ(fact("failing"), "true");
  self->send(writer, append_atom::value, std::string{"three"});
  EXPECT_FALSE(on_disk());
  EXPECT_FALSE(std::filesystem::exists(path())) << "what stops short is not believed";
  std::filesystem::remove(path() + ".new");
  self->send(writer, replace_atom::value, std::string{"four"});
  EXPECT_TRUE(on_disk());
  EXPECT_EQ(file(), "four");
  EXPECT_EQ(fact("failing"), "false");
}

} // namespace
} // namespace swarm::agent
