// What travels on links: order, bounds, silence, and bytes that nobody should send.
#include <random>

#include "tests/runtime/link/link_fixture.hpp"
#include "tests/runtime/link/raw_client.hpp"

namespace swarm::link::test {
namespace {

using link_traffic = link_fixture;

std::string lengths(std::uint32_t size) {
  std::string out(4, '\0');
  for (int i = 0; i < 4; ++i)
    out[static_cast<std::size_t>(i)] = static_cast<char>((size >> (24 - 8 * i)) & 0xff);
  return out;
}

TEST_F(link_traffic, ten_thousand_frames_arrive_in_order_and_in_few_batches) {
  end_point a{io, link_pki::store(pki.manager("a"))}, b{io, link_pki::store(pki.worker("b"))};
  ASSERT_TRUE(b.dial(a.listen()));
  ASSERT_TRUE(a.wait_up() && b.wait_up());
  for (std::uint64_t i = 1; i <= 10'000; ++i)
    ASSERT_EQ(b.ups[0]->send(priority::normal, tell("dispatcher", "X", std::string(i % 300, 'x'), i)), sent::queued);
  ASSERT_TRUE(a.wait_received(10'000));
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    ASSERT_EQ(a.received[i - 1].request_id(), i);
    ASSERT_EQ(a.received[i - 1].payload().size(), i % 300);
  }
  EXPECT_LT(a.batches, 2'000U);
  EXPECT_EQ(a.raw().stats().frames_in, 10'001U) << "with the hello";
}

TEST_F(link_traffic, large_messages_pass_both_ways_and_too_large_ones_are_not_taken) {
  limits lim;
  lim.message_bytes = 12 << 20;
  end_point a{io, link_pki::store(pki.manager("a")), lim}, b{io, link_pki::store(pki.manager("b")), lim};
  ASSERT_TRUE(b.dial(a.listen()));
  ASSERT_TRUE(a.wait_up() && b.wait_up());
  const std::string ten_mib(10 << 20, 'x');
  EXPECT_EQ(b.ups[0]->send(priority::bulk, tell("raft", "RaftMessage", ten_mib)), sent::queued);
  EXPECT_EQ(a.ups[0]->send(priority::bulk, tell("raft", "RaftMessage", ten_mib)), sent::queued);
  EXPECT_EQ(b.ups[0]->send(priority::bulk, tell("raft", "RaftMessage", ten_mib + ten_mib)), sent::full);
  ASSERT_TRUE(a.wait_received(1) && b.wait_received(1));
  EXPECT_EQ(a.received[0].payload(), ten_mib);
}

TEST_F(link_traffic, urgent_frames_overtake_bulk_that_waits) {
  limits lim;
  lim.unread_bytes = 64 << 10;
  end_point a{io, link_pki::store(pki.manager("a")), lim, false}, b{io, link_pki::store(pki.manager("b"))};
  ASSERT_TRUE(b.dial(a.listen()));
  ASSERT_TRUE(a.wait_up() && b.wait_up());
  for (int i = 0; i < 60; ++i)
    ASSERT_EQ(b.ups[0]->send(priority::bulk, tell("raft", "bulk", std::string(128 << 10, 'x'))), sent::queued);
  std::this_thread::sleep_for(milliseconds{100}); // the kernel's buffers are full now
  ASSERT_EQ(b.ups[0]->send(priority::urgent, tell("raft", "urgent")), sent::queued);
  std::vector<std::string> order;
  std::mutex mutex;
  a.ups[0]->receive([&, c = a.ups[0].get()](std::vector<Envelope>&& batch, std::size_t bytes) {
    const std::lock_guard lock{mutex};
    for (const auto& e : batch)
      order.push_back(e.type());
    c->consumed(bytes);
  });
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock{mutex};
    return order.size() == 61;
  }));
  const auto at = std::find(order.begin(), order.end(), "urgent") - order.begin();
  EXPECT_LT(at, 60) << "it was sent last";
}

TEST_F(link_traffic, a_peer_that_does_not_read_fills_a_bounded_queue_and_is_given_up) {
  limits lim;
  lim.send_queues = {{{4096, 100}, {1 << 20, 1000}, {1 << 20, 1000}}};
  lim.stall = milliseconds{600};
  lim.silence_of_managers = milliseconds{300};
  limits deaf;
  deaf.unread_bytes = 64 << 10;
  deaf.silence_of_managers = milliseconds{300};
  end_point a{io, link_pki::store(pki.manager("a")), deaf, false}, b{io, link_pki::store(pki.manager("b")), lim};
  ASSERT_TRUE(b.dial(a.listen()));
  ASSERT_TRUE(a.wait_up() && b.wait_up());
  std::size_t taken = 0;
  auto last = sent::queued;
  for (int i = 0; i < 10'000 && last == sent::queued; ++i) {
    last = b.ups[0]->send(priority::normal, tell("x", "Y", std::string(64 << 10, 'x')));
    taken += last == sent::queued ? 64 << 10 : 0;
    std::this_thread::sleep_for(milliseconds{1});
  }
  EXPECT_EQ(last, sent::full);
  EXPECT_LT(taken, 64U << 20) << "the queue, and what the kernel holds";
  EXPECT_EQ(b.ups[0]->send(priority::urgent, tell("x", "Y")), sent::queued) << "other classes are not concerned";
  ASSERT_TRUE(b.wait_down());
  EXPECT_NE(b.downs[0].message.find("taken nothing"), std::string::npos) << b.downs[0].message;
  EXPECT_EQ(b.ups[0]->send(priority::normal, tell("x", "Y")), sent::closed);
}

TEST_F(link_traffic, what_is_not_consumed_is_left_with_the_kernel) {
  limits lim;
  lim.unread_bytes = 256 << 10;
  end_point a{io, link_pki::store(pki.manager("a")), lim, false}, b{io, link_pki::store(pki.manager("b"))};
  ASSERT_TRUE(b.dial(a.listen()));
  ASSERT_TRUE(a.wait_up() && b.wait_up());
  std::atomic<std::size_t> held{0}, frames{0};
  std::atomic<bool> give_back{false};
  a.ups[0]->receive([&, c = a.ups[0].get()](std::vector<Envelope>&& batch, std::size_t bytes) {
    frames += batch.size();
    if (give_back)
      c->consumed(bytes);
    else
      held += bytes;
  });
  for (int i = 0; i < 400; ++i)
    ASSERT_EQ(b.ups[0]->send(priority::normal, tell("x", "Y", std::string(64 << 10, 'x'))), sent::queued);
  EXPECT_TRUE(eventually([&] { return held > lim.unread_bytes; }));
  std::this_thread::sleep_for(milliseconds{100});
  EXPECT_LT(held, lim.unread_bytes + (2U << 20));
  EXPECT_LT(frames, 400U);
  give_back = true;
  a.ups[0]->consumed(held);
  EXPECT_TRUE(eventually([&] { return frames == 400; }));
}

TEST_F(link_traffic, quiet_links_stay_up_and_a_dead_peer_is_noticed_in_time) {
  limits lim;
  lim.silence_of_managers = milliseconds{400};
  end_point a{io, link_pki::store(pki.manager("a")), lim}, b{io, link_pki::store(pki.manager("b")), lim};
  const auto addr = a.listen();
  ASSERT_TRUE(b.dial(addr));
  const auto who = pki.manager("c");
  raw_client mute{addr, who.certificate_pem, who.key_pem};
  mute.send_hello();
  ASSERT_TRUE(a.wait_up(2) && b.wait_up());
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(a.wait_down(1));
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_LT(took, seconds{3});
  EXPECT_GT(took, milliseconds{250});
  EXPECT_NE(a.downs[0].message.find("silent"), std::string::npos) << a.downs[0].message;
  std::this_thread::sleep_for(milliseconds{1200});
  EXPECT_EQ(a.locked([&] { return a.downs.size(); }), 1U) << "the quiet one keeps itself alive";
  EXPECT_TRUE(b.locked([&] { return b.downs.empty(); }));
  EXPECT_EQ(a.raw().stats().silent, 1U);
}

TEST_F(link_traffic, hellos_of_another_major_version_are_refused_with_both_versions) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto who = pki.manager("b");
  raw_client b{a.listen(), who.certificate_pem, who.key_pem};
  Envelope hello;
  ASSERT_TRUE(b.next(hello));
  LinkHello said;
  ASSERT_TRUE(said.ParseFromString(hello.payload()));
  EXPECT_EQ(said.major(), protocol_major);
  b.send_hello(protocol_major + 1);
  EXPECT_TRUE(b.closed_by_peer());
  EXPECT_TRUE(a.locked([&] { return a.ups.empty(); }));
}

TEST_F(link_traffic, whoever_does_not_begin_with_a_hello_is_cut_off) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  const auto who = pki.manager("b");
  for (const auto& first : {encode_frame(tell("raft", "RaftMessage")), std::string{"GET / HTTP/1.1\r\n\r\n"}, lengths(3) + "\xff\xff\xff",
                            lengths((64 << 10) + 1), encode_frame(tell("", "LinkHello"))}) {
    raw_client b{addr, who.certificate_pem, who.key_pem};
    b.send(first);
    EXPECT_TRUE(b.closed_by_peer()) << first;
  }
  EXPECT_TRUE(eventually([&] { return a.raw().stats().malformed == 5 && a.raw().stats().connections == 0; }));
}

TEST_F(link_traffic, malformed_and_oversized_frames_end_the_link_after_what_came_before) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  const auto who = pki.manager("b");
  const std::string bad[] = {lengths(5) + "\xff\xff\xff\xff\xff", lengths(0xffffffff), lengths((4 << 20) + (64 << 10) + 1)};
  std::size_t n = 0;
  for (const auto& bytes : bad) {
    raw_client b{addr, who.certificate_pem, who.key_pem};
    b.send_hello();
    b.send(encode_frame(tell("raft", "RaftMessage")) + bytes);
    EXPECT_TRUE(b.closed_by_peer());
    ++n;
    EXPECT_TRUE(a.wait_down(n));
    EXPECT_EQ(a.locked([&] { return a.received.size(); }), n) << "the good frame before it";
    EXPECT_EQ(a.downs.back().code, errc::invalid_argument);
  }
  EXPECT_EQ(a.raw().stats().malformed, 3U);
}

TEST_F(link_traffic, workers_may_send_less_than_managers_and_strangers_no_parts_at_all) {
  limits lim;
  lim.message_bytes_of_workers = 3 << 20;
  end_point a{io, link_pki::store(pki.manager("a")), lim}, w{io, link_pki::store(pki.worker("w"))};
  const auto addr = a.listen();
  ASSERT_TRUE(w.dial(addr));
  ASSERT_TRUE(a.wait_up() && w.wait_up());
  EXPECT_EQ(w.ups[0]->send(priority::normal, tell("x", "Y", std::string(2 << 20, 'x'))), sent::queued);
  ASSERT_TRUE(a.wait_received(1));
  EXPECT_EQ(w.ups[0]->send(priority::normal, tell("x", "Y", std::string(4 << 20, 'x'))), sent::queued);
  ASSERT_TRUE(a.wait_down(1));
  EXPECT_EQ(a.downs[0].code, errc::invalid_argument);
  raw_client stranger{addr};
  stranger.send_hello();
  auto part = tell("ca", "IssueNodeCertificate", "x");
  part.set_part(1);
  part.set_more(true);
  stranger.send(encode_frame(part));
  EXPECT_TRUE(stranger.closed_by_peer());
}

TEST_F(link_traffic, the_reason_of_a_goodbye_is_not_lost_with_the_connection) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  const auto who = pki.manager("b");
  for (std::size_t n = 1; n <= 20; ++n) {
    raw_client b{addr, who.certificate_pem, who.key_pem};
    Envelope goodbye;
    goodbye.set_kind(Envelope::KIND_ERROR);
    goodbye.set_code(static_cast<std::uint32_t>(errc::permission_denied));
    goodbye.set_message("removed");
    b.send_hello();
    b.send(encode_frame(tell("raft", "RaftMessage")) + encode_frame(goodbye));
    ASSERT_TRUE(a.wait_down(n));
    EXPECT_EQ(a.downs.back(), (failure{errc::permission_denied, "removed"}));
    EXPECT_EQ(a.locked([&] { return a.received.size(); }), n) << "what came before it counts";
  }
}

TEST_F(link_traffic, a_truncated_frame_is_just_the_end) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto who = pki.manager("b");
  {
    raw_client b{a.listen(), who.certificate_pem, who.key_pem};
    b.send_hello();
    ASSERT_TRUE(a.wait_up());
    b.send(encode_frame(tell("raft", "RaftMessage", std::string(1000, 'x'))).substr(0, 500));
  }
  ASSERT_TRUE(a.wait_down());
  EXPECT_EQ(a.downs[0].code, errc::unavailable);
  EXPECT_TRUE(a.received.empty());
}

TEST_F(link_traffic, a_process_that_dies_is_told_from_one_that_closes) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  const auto who = pki.manager("b");
  {
    raw_client b{addr, who.certificate_pem, who.key_pem};
    b.send_hello();
    ASSERT_TRUE(a.wait_up());
  }
  ASSERT_TRUE(a.wait_down());
  EXPECT_TRUE(a.ups[0]->broke_off()) << "its socket ended without a word of TLS";
  {
    end_point b{io, link_pki::store(pki.manager("c"))};
    b.dial(addr);
    ASSERT_TRUE(a.wait_up(2));
  }
  ASSERT_TRUE(a.wait_down(2));
  EXPECT_FALSE(a.ups[1]->broke_off());
}

TEST_F(link_traffic, random_bytes_of_an_authenticated_peer_break_nothing) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  const auto who = pki.manager("b");
  std::mt19937 rng{7};
  for (int round = 0; round < 20; ++round) {
    raw_client b{addr, who.certificate_pem, who.key_pem};
    b.send_hello();
    std::string noise(1 + rng() % 4000, '\0');
    for (auto& c : noise)
      c = static_cast<char>(rng());
    if (round % 2 == 0)
      noise = lengths(static_cast<std::uint32_t>(noise.size())) + noise;
    b.send(noise);
  }
  EXPECT_TRUE(eventually([&] { return a.raw().stats().connections == 0; }));
}

TEST_F(link_traffic, a_link_without_a_certificate_has_small_frames_and_a_short_life) {
  limits lim;
  lim.stranger_life = milliseconds{500};
  lim.silence = milliseconds{600};
  end_point a{io, link_pki::store(pki.manager("a")), lim};
  const auto addr = a.listen();
  raw_client large{addr};
  large.send_hello();
  large.send(encode_frame(tell("ca", "IssueNodeCertificate", std::string(60 << 10, 'x'))));
  EXPECT_TRUE(a.wait_received(1));
  large.send(encode_frame(tell("ca", "IssueNodeCertificate", std::string(65 << 10, 'x'))));
  EXPECT_TRUE(large.closed_by_peer());
  EXPECT_EQ(a.raw().stats().malformed, 1U);
  raw_client patient{addr};
  patient.send_hello();
  ASSERT_TRUE(a.wait_down(2));
  EXPECT_EQ(a.downs[1].code, errc::deadline_exceeded) << a.downs[1].message;
}

TEST_F(link_traffic, silent_connections_cost_a_place_for_the_handshake_deadline_only) {
  limits lim;
  lim.handshake = milliseconds{400};
  lim.strangers_per_address = 5;
  end_point a{io, link_pki::store(pki.manager("a")), lim};
  const auto addr = a.listen();
  std::vector<std::unique_ptr<plain_client>> silent;
  for (int i = 0; i < 12; ++i)
    silent.push_back(std::make_unique<plain_client>(addr));
  EXPECT_TRUE(eventually([&] { return a.raw().stats().refused == 7; })) << a.raw().stats().refused;
  EXPECT_LE(a.raw().stats().strangers, 5U);
  EXPECT_TRUE(eventually([&] { return a.raw().stats().connections == 0; }));
  EXPECT_EQ(a.raw().stats().handshakes_failed, 5U);
  end_point b{io, link_pki::store(pki.worker("b"))};
  ASSERT_TRUE(b.dial(addr));
  EXPECT_TRUE(b.wait_up()) << "there is room again";
}

TEST_F(link_traffic, the_number_of_links_is_bounded_and_nodes_are_no_strangers) {
  limits lim;
  lim.connections = 6;
  lim.strangers_per_address = 2;
  end_point a{io, link_pki::store(pki.manager("a")), lim};
  const auto addr = a.listen();
  end_point b{io, link_pki::store(pki.worker("b"))};
  for (std::size_t n = 1; n <= 6; ++n) {
    ASSERT_TRUE(b.dial(addr));
    ASSERT_TRUE(b.wait_up(n)) << n;
    ASSERT_TRUE(eventually([&] { return a.raw().stats().strangers == 0; }));
  }
  ASSERT_TRUE(b.dial(addr));
  ASSERT_TRUE(b.wait_down(1));
  EXPECT_EQ(a.raw().stats().refused, 1U);
}

TEST_F(link_traffic, stopping_closes_every_link_and_calls_nobody_afterwards) {
  auto a = std::make_unique<end_point>(io, link_pki::store(pki.manager("a")));
  end_point b{io, link_pki::store(pki.manager("b"))};
  ASSERT_TRUE(b.dial(a->listen()));
  ASSERT_TRUE(a->wait_up() && b.wait_up());
  a->raw().stop();
  EXPECT_EQ(a->locked([&] { return a->downs.size(); }), 1U);
  EXPECT_EQ(a->raw().stats().connections, 0U);
  EXPECT_FALSE(a->dial("127.0.0.1:1"));
  a.reset();
  EXPECT_TRUE(b.wait_down());
}

} // namespace
} // namespace swarm::link::test
