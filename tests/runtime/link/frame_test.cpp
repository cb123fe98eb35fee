// Frames under every cut, and frames that are none.
#include <gtest/gtest.h>

#include "runtime/link/frame.hpp"
#include "runtime/link/identity.hpp"
#include "runtime/link/send_queue.hpp"

namespace swarm::link {
namespace {

Envelope sample(std::uint64_t id, std::size_t payload) {
  Envelope out;
  out.set_kind(Envelope::KIND_ASK);
  out.set_request_id(id);
  out.set_to("control");
  out.set_type("ReadObjects");
  out.set_payload(std::string(payload, 'x'));
  return out;
}

TEST(link_frame, a_stream_gives_the_same_envelopes_wherever_it_is_cut) {
  std::string stream;
  for (std::uint64_t id = 1; id <= 5; ++id) {
    stream += encode_frame(sample(id, id * 7));
    stream += keepalive_frame();
  }
  for (std::size_t piece = 1; piece < stream.size(); ++piece) {
    frame_reader reader{1000};
    std::vector<std::uint64_t> ids;
    Envelope e;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      reader.feed(std::string_view{stream}.substr(at, piece));
      while (reader.next(e) == frame_reader::outcome::envelope) {
        ids.push_back(e.request_id());
        EXPECT_EQ(e.payload().size(), e.request_id() * 7);
      }
    }
    ASSERT_EQ(ids, (std::vector<std::uint64_t>{1, 2, 3, 4, 5})) << "pieces of " << piece;
    EXPECT_EQ(reader.keepalives(), 5U);
    EXPECT_EQ(reader.buffered(), 0U);
  }
}

TEST(link_frame, a_length_over_the_bound_is_refused_before_anything_else_arrives) {
  frame_reader reader{1000};
  Envelope e;
  reader.feed(std::string_view{"\x00\x00\x03\xe9", 4}); // 1001
  EXPECT_EQ(reader.next(e), frame_reader::outcome::too_large);
  reader.feed(encode_frame(sample(1, 1)));
  EXPECT_EQ(reader.next(e), frame_reader::outcome::too_large) << "the stream is lost for good";
}

TEST(link_frame, a_frame_of_exactly_the_bound_passes) {
  const auto frame = encode_frame(sample(1, 100));
  frame_reader reader{frame.size() - frame_header_bytes};
  Envelope e;
  reader.feed(frame);
  EXPECT_EQ(reader.next(e), frame_reader::outcome::envelope);
}

TEST(link_frame, bytes_that_are_no_envelope_are_malformed) {
  frame_reader reader{1000};
  Envelope e;
  reader.feed(std::string_view{"\x00\x00\x00\x03\xff\xff\xff", 7});
  EXPECT_EQ(reader.next(e), frame_reader::outcome::malformed);
  EXPECT_EQ(reader.next(e), frame_reader::outcome::malformed);
}

TEST(link_frame, large_payloads_travel_in_parts_that_mix_across_classes_only) {
  auto big = sample(7, 3 * part_bytes + 5), other = sample(8, part_bytes + 1);
  big.set_deadline(99);
  const auto a = encode_frames(big, 1), b = encode_frames(other, 2);
  ASSERT_EQ(a.size(), 4U);
  ASSERT_EQ(b.size(), 2U);
  EXPECT_EQ(encode_frames(sample(9, part_bytes), 0).size(), 1U);
  frame_reader reader{part_bytes + 1000};
  assembler parts;
  parts.set_max(4 * part_bytes);
  std::vector<Envelope> whole;
  for (const auto* frame : {&a[0], &b[0], &a[1], &a[2], &b[1], &a[3]}) {
    reader.feed(*frame);
    Envelope e;
    ASSERT_EQ(reader.next(e), frame_reader::outcome::envelope);
    if (parts.take(e) == assembler::outcome::whole)
      whole.push_back(e);
  }
  ASSERT_EQ(whole.size(), 2U);
  EXPECT_EQ(whole[0].SerializeAsString(), other.SerializeAsString());
  EXPECT_EQ(whole[1].SerializeAsString(), big.SerializeAsString());
}

TEST(link_frame, parts_beyond_the_bound_or_out_of_place_are_refused) {
  assembler parts;
  auto part = [](std::uint32_t lane, std::size_t bytes, bool more) {
    Envelope e;
    e.set_part(lane);
    e.set_more(more);
    e.set_payload(std::string(bytes, 'x'));
    return e;
  };
  auto first = part(1, 10, true);
  EXPECT_EQ(parts.take(first), assembler::outcome::malformed) << "nobody may send parts yet";
  parts.set_max(25);
  for (const auto expected : {assembler::outcome::partial, assembler::outcome::partial, assembler::outcome::too_large}) {
    auto e = part(1, 10, true);
    EXPECT_EQ(parts.take(e), expected);
  }
  auto strange = part(4, 1, false), loose = part(0, 1, true), huge = part(2, 26, false);
  EXPECT_EQ(parts.take(strange), assembler::outcome::malformed);
  EXPECT_EQ(parts.take(loose), assembler::outcome::malformed);
  EXPECT_EQ(parts.take(huge), assembler::outcome::too_large);
}

TEST(link_identity, only_the_two_roles_of_a_named_node_of_a_cluster_count) {
  EXPECT_EQ(identity_of("c", "swarm-manager", "n")->role, PEER_ROLE_MANAGER);
  EXPECT_EQ(identity_of("c", "swarm-worker", "n")->role, PEER_ROLE_WORKER);
  for (const auto* unit : {"", "swarm-ca", "Swarm-Manager", "swarm-manager "})
    EXPECT_FALSE(identity_of("c", unit, "n")) << unit;
  EXPECT_FALSE(identity_of("", "swarm-worker", "n"));
  EXPECT_FALSE(identity_of("c", "swarm-worker", ""));
}

TEST(link_identity, a_peer_must_be_what_is_expected) {
  const auto manager = identity_of("c", "swarm-manager", "n");
  const auto worker = identity_of("c", "swarm-worker", "w");
  EXPECT_EQ(refusal_of(manager, {"c", "n", true}), "");
  EXPECT_EQ(refusal_of(worker, {"c", "", false}), "");
  EXPECT_EQ(refusal_of(worker, {"", "", false}), "");
  EXPECT_NE(refusal_of(std::nullopt, {}), "");
  EXPECT_NE(refusal_of(manager, {"d", "", false}), "");
  EXPECT_NE(refusal_of(manager, {"c", "m", false}), "");
  EXPECT_NE(refusal_of(worker, {"c", "", true}), "");
}

TEST(link_send_queue, urgent_frames_overtake_and_bulk_does_not_starve) {
  send_queue queue{{{{100, 10}, {100, 10}, {100, 10}}}};
  for (int i = 0; i < 6; ++i)
    EXPECT_TRUE(queue.push(priority::normal, {"n"}));
  EXPECT_TRUE(queue.push(priority::bulk, {"b"}));
  EXPECT_TRUE(queue.push(priority::bulk, {"b"}));
  EXPECT_TRUE(queue.push(priority::urgent, {"u"}));
  std::string order, frame;
  while (queue.pop(frame))
    order += frame;
  EXPECT_EQ(order, "unnnnbnnb");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(link_send_queue, each_class_is_bounded_by_bytes_and_by_count_alone) {
  send_queue queue{{{{10, 2}, {10, 100}, {10, 100}}}};
  EXPECT_TRUE(queue.push(priority::urgent, {"1"}));
  EXPECT_TRUE(queue.push(priority::urgent, {"2"}));
  EXPECT_FALSE(queue.push(priority::urgent, {"3"})) << "count";
  EXPECT_TRUE(queue.push(priority::normal, {std::string(50, 'x')})) << "one that is larger than the bound is let through alone";
  EXPECT_FALSE(queue.push(priority::normal, {"1"})) << "bytes";
  EXPECT_TRUE(queue.push(priority::bulk, {"1"}));
  std::string frame;
  while (queue.pop(frame)) {
  }
  EXPECT_TRUE(queue.push(priority::normal, {"1"}));
}

} // namespace
} // namespace swarm::link
