// A dial of its own for each question.
#include "runtime/link/one_shot.hpp"

#include <atomic>

#include "runtime/link/session.hpp"

namespace swarm::link {

namespace {

// Whoever is first decides: the answer, the end of the connection, or the deadline.
struct question_state {
  one_shot_question what;
  one_shot_done done;
  std::atomic<bool> decided{false};
  std::weak_ptr<session> via; // kept by what it waits for

  void decide(failure error, std::string payload = {}) {
    if (decided.exchange(true))
      return;
    if (const auto still = via.lock())
      still->close({errc::unavailable, "the question is answered"});
    done(std::move(error), std::move(payload));
  }

  void take(const Envelope& answer) {
    if (answer.request_id() != 1)
      return;
    if (answer.kind() == Envelope::KIND_ERROR)
      return decide({answer.code() == 0 || answer.code() > static_cast<std::uint32_t>(errc::storage_failed)
                         ? errc::internal
                         : static_cast<errc>(answer.code()),
                     answer.message()});
    if (answer.kind() == Envelope::KIND_REPLY && answer.type() == what.reply_type)
      return decide({}, answer.payload());
    decide({errc::unavailable, "the peer's answer is not a " + what.reply_type});
  }
};

} // namespace

void ask_once(io_threads& io, one_shot_target target, one_shot_question question, one_shot_done done) {
  const auto state = std::make_shared<question_state>();
  state->what = std::move(question);
  state->done = std::move(done);
  session_setup setup;
  setup.addr = target.addr;
  if (auto why = make_tls_identity({"", "", "", target.root_pem}, setup.tls); !why.ok()) {
    io.post([state, why] { state->done(why, {}); });
    return;
  }
  setup.check.dialled = true;
  setup.check.verify = !target.root_pem.empty();
  setup.check.expected.manager_only = true;
  setup.lim.handshake = std::min<duration>(setup.lim.handshake, target.deadline);
  setup.count = std::make_shared<counters>();
  setup.known = [] {};
  setup.ended = [] {};
  auto notify = std::make_shared<events>();
  notify->up = [state, deadline = target.deadline](const connection_ptr& c) {
    Envelope ask;
    ask.set_kind(Envelope::KIND_ASK);
    ask.set_request_id(1);
    ask.set_to(state->what.to);
    ask.set_type(state->what.type);
    ask.set_payload(state->what.payload);
    ask.set_deadline(deadline.count());
    c->send(priority::normal, ask);
    c->receive([state, c = std::weak_ptr{c}](std::vector<Envelope>&& batch, std::size_t bytes) {
      for (const auto& answer : batch)
        state->take(answer);
      if (const auto still = c.lock())
        still->consumed(bytes);
    });
  };
  notify->down = [state](const connection_ptr&, const failure& why) { state->decide(why); };
  setup.notify = std::move(notify);
  const auto made = std::make_shared<session>(io.context(), std::move(setup));
  state->via = made;
  made->start();
  io.after(target.deadline, [state, addr = target.addr] {
    state->decide({errc::deadline_exceeded, "no answer from " + addr + " in time"});
  }).release();
}

} // namespace swarm::link
