// One line of text for messages and outcomes of RAFT.
#include "actors/raft/render.hpp"

namespace swarm::raft {

namespace {

std::string num(std::uint64_t value) { return std::to_string(value); }
std::string at(log_index index, term_number term) { return num(index) + '@' + num(term); }
std::string flag(bool set, const char* name) { return set ? std::string{" "} + name : std::string{}; }

std::string render_entries(const AppendEntries& append) {
  // Long batches by their ends: a line stays a line.
  constexpr int shown_max = 4;
  std::string out = "[";
  const int count = append.entries_size();
  for (int i = 0; i < count; ++i) {
    if (count > shown_max && i == shown_max - 1)
      i = count - 1;
    if (i > 0)
      out += count > shown_max && i == count - 1 ? " .. " : " ";
    out += at(append.entries(i).log_index(), append.entries(i).term());
  }
  return out + ']';
}

std::string render_body(const RaftMessage& m) {
  switch (m.body_case()) {
    case RaftMessage::kRequestVote:
      return std::string{m.request_vote().pre_vote() ? "PreVote" : "RequestVote"}
             + " last=" + at(m.request_vote().last_log_index(), m.request_vote().last_log_term())
             + flag(m.request_vote().leadership_transfer(), "transfer");
    case RaftMessage::kRequestVoteReply:
      return std::string{m.request_vote_reply().pre_vote() ? "PreVoteReply" : "RequestVoteReply"}
             + (m.request_vote_reply().granted() ? " granted" : " refused");
    case RaftMessage::kAppendEntries:
      return "AppendEntries prev=" + at(m.append_entries().prev_log_index(), m.append_entries().prev_log_term())
             + " commit=" + num(m.append_entries().leader_commit()) + " entries=" + render_entries(m.append_entries());
    case RaftMessage::kAppendEntriesReply: {
      const auto& reply = m.append_entries_reply();
      if (reply.success())
        return "AppendEntriesReply match=" + num(reply.match_index());
      return "AppendEntriesReply rejected=" + num(reply.rejected_index()) + " hint="
             + at(reply.hint_index(), reply.hint_term());
    }
    case RaftMessage::kHeartbeat:
      return "Heartbeat commit=" + num(m.heartbeat().leader_commit())
             + (m.heartbeat().read_context() != 0 ? " read=" + num(m.heartbeat().read_context()) : "");
    case RaftMessage::kHeartbeatReply:
      return "HeartbeatReply"
             + (m.heartbeat_reply().read_context() != 0 ? " read=" + num(m.heartbeat_reply().read_context()) : "");
    case RaftMessage::kInstallSnapshot: {
      const auto& install = m.install_snapshot();
      return "InstallSnapshot " + at(install.meta().last_included_index(), install.meta().last_included_term())
             + " chunk=" + num(install.chunk()) + flag(install.last(), "last");
    }
    case RaftMessage::kInstallSnapshotReply: {
      const auto& reply = m.install_snapshot_reply();
      return "InstallSnapshotReply next=" + num(reply.next_chunk()) + flag(reply.installed(), "installed")
             + flag(reply.refused(), "refused");
    }
    case RaftMessage::kTimeoutNow:
      return "TimeoutNow";
    case RaftMessage::kForwardReadIndex:
      return "ForwardReadIndex";
    case RaftMessage::kReadIndexReply:
      return m.read_index_reply().refused() ? "ReadIndexReply refused"
                                            : "ReadIndexReply index=" + num(m.read_index_reply().read_index());
    case RaftMessage::kMemberRemoved:
      return "MemberRemoved";
    case RaftMessage::BODY_NOT_SET:
      break;
  }
  return "?";
}

} // namespace

std::string render(const RaftMessage& message) {
  return num(message.from()) + '>' + num(message.to()) + " t" + num(message.term()) + ' ' + render_body(message);
}

std::string render(const outcome& what) {
  static constexpr const char* names[] = {"command", "change", "read", "transfer"};
  std::string out = names[static_cast<std::size_t>(what.kind)];
  out += ' ' + num(what.tag) + ' ';
  if (!what.error.ok())
    return out + std::string{to_string(what.error.code)} + ": " + what.error.message;
  out += "ok";
  if (what.index != 0)
    out += ' ' + at(what.index, what.term);
  return out;
}

std::string render(RaftRole role) {
  switch (role) {
    case RAFT_ROLE_FOLLOWER:
      return "follower";
    case RAFT_ROLE_PRE_CANDIDATE:
      return "pre_candidate";
    case RAFT_ROLE_CANDIDATE:
      return "candidate";
    case RAFT_ROLE_LEADER:
      return "leader";
    case RAFT_ROLE_LEARNER:
      return "learner";
    default:
      return "?";
  }
}

std::string render(const Entry& entry) {
  static constexpr const char* names[] = {"command", "noop", "configuration"};
  const auto type = static_cast<std::size_t>(entry.type());
  return at(entry.log_index(), entry.term()) + ' ' + (type < 3 ? names[type] : "unknown");
}

} // namespace swarm::raft
