// Every typed actor handle, with one table per actor: who may say what to whom. Payloads are protobuf messages of
// messages/*.proto. Every actor also answers ReadStatus with ActorStatus (left out of the tables).
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include "messages/ca.pb.h"
#include "messages/codec.hpp"
#include "messages/control.pb.h"
#include "messages/dispatcher.pb.h"
#include "messages/driver.pb.h"
#include "messages/errors.hpp"
#include "messages/introspect.pb.h"
#include "messages/link.pb.h"
#include "messages/logs.pb.h"
#include "messages/raft.pb.h"
#include "messages/secrets.pb.h"
#include "messages/storage.pb.h"
#include "messages/store.pb.h"
#include "messages/type_ids.hpp"

namespace swarm {

/// What every actor answers.
using status_clause = caf::replies_to<ReadStatus>::with<ActorStatus>;

/// STORAGE — owns this node's disk (LMDB). Detached: it blocks in fsync.       actors/storage
/// | from    | message            | meaning                                            | reply    | errors         |
/// |---------|--------------------|----------------------------------------------------|----------|----------------|
/// | RAFT    | Append             | write entries and hard state, then sync            | Appended | storage_failed |
/// | STORE   | SaveState          | applied state; goes with the next transaction      | –        | –              |
/// | RAFT, STORE | ReadSnapshotChunk | the state tables in chunks; delegated to a SNAPSHOT READER | InstallSnapshot | not_found, resource_exhausted |
/// | RAFT    | InstallSnapshot    | a chunk from the leader; the last one switches over | SnapshotChunkStored | invalid_argument, resource_exhausted |
/// | self    | flush              | everything queued so far becomes one transaction   | –        | –              |
/// After an error of the disk it refuses everything and ends with errc::storage_failed: the node stops.
using storage_actor = caf::typed_actor<
  caf::replies_to<Append>::with<Appended>,
  caf::reacts_to<SaveState>,
  caf::replies_to<ReadSnapshotChunk>::with<InstallSnapshot>,
  caf::replies_to<InstallSnapshot>::with<SnapshotChunkStored>,
  caf::reacts_to<flush_atom>,
  status_clause>;

/// SNAPSHOT READER — reads one snapshot beside STORAGE's writer; ends when nobody asks any more.   actors/storage
/// | from    | message           | meaning                      | reply           | errors    |
/// |---------|-------------------|------------------------------|-----------------|-----------|
/// | STORAGE | ReadSnapshotChunk | for RAFT or STORE            | InstallSnapshot | not_found, storage_failed |
/// | self    | tick              | idle or open for too long?   | –               | –         |
using snapshot_reader_actor = caf::typed_actor<
  caf::replies_to<ReadSnapshotChunk>::with<InstallSnapshot>, caf::reacts_to<tick_atom>, status_clause>;

/// LEADERSHIP LISTENER — whoever must know who leads (MANAGER).
/// | from | message           | meaning                        | reply | errors |
/// |------|-------------------|--------------------------------|-------|--------|
/// | RAFT | LeadershipChanged | role, term or leader has changed | –   | –      |
using leadership_listener = caf::typed_actor<caf::reacts_to<LeadershipChanged>>;

/// PEERS — carries Raft messages to other managers (links).
/// | from | message     | meaning                     | reply | errors |
/// |------|-------------|-----------------------------|-------|--------|
/// | RAFT | RaftMessage | deliver to raft id `to`, or lose it | – | –     |
using raft_peers = caf::typed_actor<caf::reacts_to<RaftMessage>>;

/// RAFT — agrees with the other managers on one log.                            actors/raft
/// | from            | message            | meaning                                   | reply                 | errors |
/// |-----------------|--------------------|-------------------------------------------|-----------------------|--------|
/// | CONTROL, leader | Command            | replicate, commit, apply                  | CommandResult         | not_leader, commit_unknown, resource_exhausted, storage_failed |
/// | CONTROL         | ReadIndex          | wait until reads reflect all acknowledged | ReadIndexReached      | not_leader |
/// | peers           | RaftMessage        | from another manager                      | –                     | –      |
/// | LINKS           | LinkChanged        | down, and could not be made again at once | –                     | –      |
/// | MANAGER         | TransferLeadership | hand over before stopping                 | LeadershipTransferred | not_leader |
/// | MEMBERS         | ChangeMembership   | add a learner, or remove a member          | MembershipCommitted   | not_leader, failed_precondition |
/// | MEMBERS, MANAGER | ReadMembership    | who is in the group, and who answers       | MembershipRead        | – |
/// | self            | tick               | time has passed                           | –                     | –      |
/// sends    : STORAGE ← Append, ReadSnapshotChunk, InstallSnapshot · STORE ← ApplyEntries, ReloadState
///            listener ← LeadershipChanged · peers ← RaftMessage
using raft_actor = caf::typed_actor<
  caf::replies_to<Command>::with<CommandResult>,
  caf::replies_to<ReadIndex>::with<ReadIndexReached>,
  caf::reacts_to<RaftMessage>,
  caf::reacts_to<LinkChanged>,
  caf::replies_to<TransferLeadership>::with<LeadershipTransferred>,
  caf::replies_to<ChangeMembership>::with<MembershipCommitted>,
  caf::replies_to<ReadMembership>::with<MembershipRead>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// STORE SUBSCRIBER — gets every EventBatch after the snapshot that its subscription was answered with.
/// | from  | message    | meaning                          | reply | errors |
/// |-------|------------|----------------------------------|-------|--------|
/// | STORE | EventBatch | what applied entries changed     | –     | –      |
using store_subscriber = caf::typed_actor<caf::reacts_to<EventBatch>>;

/// STORE — the replicated state.                                                actors/store
/// | from       | message                     | meaning                                  | reply          | errors |
/// |------------|-----------------------------|------------------------------------------|----------------|--------|
/// | RAFT       | ApplyEntries                | apply in log order, tell subscribers     | EntriesApplied | –      |
/// | RAFT       | ReloadState                 | read everything anew from STORAGE        | EntriesApplied | storage_failed, unavailable |
/// | CONTROL    | ReadObjects                 | list, or find one by key                 | ObjectsRead    | not_found, invalid_argument |
/// | any leader | subscribe, store_subscriber | snapshot now, events from here on        | StoreSnapshot  | –      |
/// monitors : its subscribers (a dead one is forgotten)      sends: STORAGE ← SaveState, ReadSnapshotChunk
using store_actor = caf::typed_actor<
  caf::replies_to<ApplyEntries>::with<EntriesApplied>,
  caf::replies_to<ReloadState>::with<EntriesApplied>,
  caf::replies_to<ReadObjects>::with<ObjectsRead>,
  caf::replies_to<subscribe_atom, store_subscriber>::with<StoreSnapshot>,
  status_clause>;

/// CONTROL — validates operators' requests and proposes them.                   actors/control
/// | from    | message        | meaning                                           | reply       | errors |
/// |---------|----------------|---------------------------------------------------|-------------|--------|
/// | GATEWAY | ControlRequest | create, update, remove; refusals are in Written   | Written     | deadline_exceeded, not_leader |
/// | GATEWAY | ReadObjects    | linearizable read                                 | ObjectsRead | as STORE |
/// | GATEWAY | ReadUnlockKey  | linearizable read                                 | UnlockKey   | as ReadObjects |
/// | STORE   | EventBatch     | keeps its view for existence checks               | –           | –      |
using control_actor = caf::typed_actor<
  caf::replies_to<ControlRequest>::with<Written>,
  caf::replies_to<ReadObjects>::with<ObjectsRead>,
  caf::replies_to<ReadUnlockKey>::with<UnlockKey>,
  caf::reacts_to<EventBatch>,
  status_clause>;

/// ORCHESTRATOR — one SERVICE actor per service; reaps history; enforces constraints.   actors/orchestrator
/// | from  | message    | meaning                                 | reply | errors |
/// |-------|------------|-----------------------------------------|-------|--------|
/// | STORE | EventBatch | routed to the SERVICE actors it concerns | –    | –      |
/// | self  | tick       | reaper and enforcer work through what is due | – | –     |
using orchestrator_actor = caf::typed_actor<caf::reacts_to<EventBatch>, caf::reacts_to<tick_atom>, status_clause>;

/// SERVICE — keeps one service at its desired state: slots, restarts, updates.   actors/orchestrator
/// | from         | message    | meaning                                            | reply | errors |
/// |--------------|------------|----------------------------------------------------|-------|--------|
/// | ORCHESTRATOR | EventBatch | this service, its tasks, and nodes                 | –     | –      |
/// | self         | tick       | a restart delay, update delay or monitor period ends | –   | –      |
/// sends: RAFT ← Command
using service_actor = caf::typed_actor<caf::reacts_to<EventBatch>, caf::reacts_to<tick_atom>, status_clause>;

/// SCHEDULER — places pending tasks on nodes, or says why it cannot.            actors/scheduler
/// | from  | message    | meaning                                    | reply | errors |
/// |-------|------------|--------------------------------------------|-------|--------|
/// | STORE | EventBatch | tasks, nodes, templates                    | –     | –      |
/// | self  | tick       | try again what did not fit                 | –     | –      |
/// sends: RAFT ← Command
using scheduler_actor = caf::typed_actor<caf::reacts_to<EventBatch>, caf::reacts_to<tick_atom>, status_clause>;

/// ALLOCATOR — gives services ports and virtual addresses, tasks their addresses.     actors/allocator
/// | from  | message    | meaning                              | reply | errors |
/// |-------|------------|--------------------------------------|-------|--------|
/// | STORE | EventBatch | services, tasks, networks, templates | –     | –      |
/// | self  | tick       | try again what did not fit           | –     | –      |
/// sends: RAFT ← Command
using allocator_actor = caf::typed_actor<caf::reacts_to<EventBatch>, caf::reacts_to<tick_atom>, status_clause>;

/// AGENT INBOX — what a manager pushes to a node.
/// | from       | message            | meaning                                  | reply | errors |
/// |------------|--------------------|------------------------------------------|-------|--------|
/// | DISPATCHER | Assignments        | what this node must run                  | –     | –      |
/// | DISPATCHER | TaskStatusAccepted | committed: need not be sent again        | –     | –      |
/// | DISPATCHER | SessionInvalid     | register again                           | –     | –      |
/// | DISPATCHER | NodeOrders         | its role, the managers, the root to trust | –    | –      |
using agent_inbox = caf::typed_actor<
  caf::reacts_to<Assignments>, caf::reacts_to<TaskStatusAccepted>, caf::reacts_to<SessionInvalid>, caf::reacts_to<NodeOrders>>;

/// NODE LISTENER — hears what the cluster wants of this node (NODE ROOT).
/// | from  | message    | meaning                               | reply | errors |
/// |-------|------------|---------------------------------------|-------|--------|
/// | AGENT | NodeOrders | its role, the managers, the root to trust | – | –      |
using node_listener = caf::typed_actor<caf::reacts_to<NodeOrders>>;

/// SECRET PROVIDER — asks plugins of this host for the values of secrets. On the leader.    drivers/plugin
/// | from  | message      | meaning                               | reply         | errors |
/// |-------|--------------|---------------------------------------|---------------|--------|
/// | NODE  | FetchSecret  | the value of one secret for one task  | SecretFetched | not_found, failed_precondition, unavailable, resource_exhausted, deadline_exceeded |
/// The text of an error is for people; it begins after `driver NAME: `.      mailbox bound: what waits is refused beyond a limit
using secret_provider_actor = caf::typed_actor<caf::replies_to<FetchSecret>::with<SecretFetched>, status_clause>;

/// DISPATCHER — sessions of all nodes, one NODE actor each.                     actors/dispatcher
/// | from  | message                   | meaning                               | reply          | errors |
/// |-------|---------------------------|---------------------------------------|----------------|--------|
/// | AGENT | RegisterNode, agent_inbox | a new session; ends the old one       | NodeRegistered | permission_denied, resource_exhausted |
/// | AGENT | NodeHeartbeat             | alive                                 | –              | –      |
/// | AGENT | UpdateNodeDescription     | the host has changed                  | –              | –      |
/// | AGENT | UpdateTaskStatus          | observed states                       | –              | –      |
/// | NODE ROOT | LinkChanged           | a node's link broke off, or is back   | –              | –      |
/// | STORE | EventBatch                | routed to the NODE actors it concerns | –              | –      |
/// | self  | tick                      | who has fallen silent; flush statuses | –              | –      |
/// sends: RAFT ← Command · agent_inbox ← Assignments, TaskStatusAccepted, SessionInvalid
using dispatcher_actor = caf::typed_actor<
  caf::replies_to<RegisterNode, agent_inbox>::with<NodeRegistered>,
  caf::reacts_to<NodeHeartbeat>,
  caf::reacts_to<UpdateNodeDescription>,
  caf::reacts_to<UpdateTaskStatus>,
  caf::reacts_to<LinkChanged>,
  caf::reacts_to<EventBatch>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// NODE — one registered node as the leader sees it: its session and its assignment set.   actors/dispatcher
/// | from       | message                     | meaning                                  | reply | errors |
/// |------------|-----------------------------|------------------------------------------|-------|--------|
/// | DISPATCHER | NodeRegistered, agent_inbox | a new session: send it everything        | –     | –      |
/// | DISPATCHER | EventBatch                  | tasks of this node, templates, services, secrets, configs they use | – | – |
/// | self       | flush                       | send what has gathered as one Assignments | –    | –      |
/// sends: agent_inbox ← Assignments · SECRET PROVIDER ← FetchSecret
using node_session_actor = caf::typed_actor<
  caf::reacts_to<NodeRegistered, agent_inbox>, caf::reacts_to<EventBatch>, caf::reacts_to<flush_atom>, status_clause>;

/// DRIVER LISTENER — hears what happens to containers (AGENT).
/// | from   | message      | meaning                                    | reply | errors |
/// |--------|--------------|--------------------------------------------|-------|--------|
/// | DRIVER | TaskObserved | exited, health changed, removed by others  | –     | –      |
/// | DRIVER | DriverHealth | the engine is away or back                 | –     | –      |
using driver_listener = caf::typed_actor<caf::reacts_to<TaskObserved>, caf::reacts_to<DriverHealth>>;

/// LOG SINK — receives log chunks; grants credit as it consumes them.
/// | from          | message  | meaning        | reply | errors |
/// |---------------|----------|----------------|-------|--------|
/// | DRIVER, LOGS  | LogChunk | lines, or the end | –  | –      |
using log_sink = caf::typed_actor<caf::reacts_to<LogChunk>>;

/// DRIVER — runs tasks: docker, process or simulated.                            drivers/README.md
/// | from  | message                    | meaning                                   | reply           | errors |
/// |-------|----------------------------|-------------------------------------------|-----------------|--------|
/// | AGENT | PrepareTask                | pull, create or adopt                     | TaskHandle      | invalid_argument, no_such_image, conflict, unavailable, deadline_exceeded |
/// | AGENT | StartTask                  | start unless it has been started before   | TaskHandle      | not_found, invalid_argument, unavailable, deadline_exceeded |
/// | AGENT | StopTask                   | signal, grace, kill; answers when stopped | TaskHandle      | unavailable, deadline_exceeded |
/// | AGENT | RemoveTask                 | container and its files; absent is fine   | TaskHandle      | unavailable, deadline_exceeded |
/// | AGENT | InspectTask                | what is there                             | TaskHandle      | unavailable, deadline_exceeded |
/// | AGENT | RecoverTasks               | everything of ours on this host           | RecoveredTasks  | unavailable, deadline_exceeded |
/// | AGENT | FingerprintNode            | what this host offers                     | NodeFingerprint | –      |
/// | AGENT | subscribe, driver_listener | tell me what happens                      | –               | –      |
/// | AGENT | ReadTaskLogs, log_sink     | stream lines within the credit given      | –               | –      |
/// | AGENT | LogCredit                  | that many bytes more may be sent          | –               | –      |
/// | AGENT | CancelLogs                 | the reader is gone                        | –               | –      |
using driver_actor = caf::typed_actor<
  caf::replies_to<PrepareTask>::with<TaskHandle>,
  caf::replies_to<StartTask>::with<TaskHandle>,
  caf::replies_to<StopTask>::with<TaskHandle>,
  caf::replies_to<RemoveTask>::with<TaskHandle>,
  caf::replies_to<InspectTask>::with<TaskHandle>,
  caf::replies_to<RecoverTasks>::with<RecoveredTasks>,
  caf::replies_to<FingerprintNode>::with<NodeFingerprint>,
  caf::reacts_to<subscribe_atom, driver_listener>,
  caf::reacts_to<ReadTaskLogs, log_sink>,
  caf::reacts_to<LogCredit>,
  caf::reacts_to<CancelLogs>,
  status_clause>;

/// TASK — walks one task through its life cycle, one step at a time.             actors/agent
/// | from  | message      | meaning                                | reply | errors |
/// |-------|--------------|----------------------------------------|-------|--------|
/// | AGENT | AssignedTask | desired state changed                  | –     | –      |
/// | AGENT | TaskObserved | the driver saw something               | –     | –      |
/// | AGENT | DriverHealth | the engine is away: wait; back: go on  | –     | –      |
/// | AGENT | forget       | stop and remove, then end              | –     | –      |
/// | self  | tick         | a retry or deadline is due             | –     | –      |
/// sends: DRIVER ← Prepare/Start/Stop/Remove/InspectTask · AGENT ← UpdateTaskStatus
using task_actor = caf::typed_actor<
  caf::reacts_to<AssignedTask>,
  caf::reacts_to<TaskObserved>,
  caf::reacts_to<DriverHealth>,
  caf::reacts_to<forget_atom>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// AGENT — this host's worker: keeps its assignments running, with or without a manager.   actors/agent
/// | from       | message                | meaning                                | reply | errors |
/// |------------|------------------------|----------------------------------------|-------|--------|
/// | DISPATCHER | Assignments            | what to run                            | –     | –      |
/// | DISPATCHER | TaskStatusAccepted     | committed                              | –     | –      |
/// | DISPATCHER | SessionInvalid         | register again                         | –     | –      |
/// | DISPATCHER | NodeOrders             | passed on to the NODE LISTENER         | –     | –      |
/// | DRIVER     | TaskObserved           | routed to its TASK                     | –     | –      |
/// | DRIVER     | DriverHealth           | reported with heartbeats, told to TASKs | –    | –      |
/// | TASK       | UpdateTaskStatus       | gathered, saved, sent on               | –     | –      |
/// | MANAGER    | subscribe, dispatcher_actor | the dispatcher to register with   | –     | –      |
/// | NODE ROOT  | subscribe, node_listener | whom to tell of NodeOrders           | –     | –      |
/// | NODE ROOT  | NodeTLSInfo            | told to the manager with the description | –   | –      |
/// | LOGS       | ReadTaskLogs, log_sink | passed on to the driver                | –     | –      |
/// | LOGS       | LogCredit              | passed on to the driver                | –     | –      |
/// | LOGS       | CancelLogs             | passed on to the driver                | –     | –      |
/// | node_sup   | LeaveSwarm             | stop and remove every task, then end   | MembershipChanged | deadline_exceeded |
/// | self       | tick                   | heartbeat, flush, register again       | –     | –      |
using agent_actor = caf::typed_actor<
  caf::reacts_to<Assignments>,
  caf::reacts_to<TaskStatusAccepted>,
  caf::reacts_to<SessionInvalid>,
  caf::reacts_to<NodeOrders>,
  caf::reacts_to<TaskObserved>,
  caf::reacts_to<DriverHealth>,
  caf::reacts_to<UpdateTaskStatus>,
  caf::reacts_to<subscribe_atom, dispatcher_actor>,
  caf::reacts_to<subscribe_atom, node_listener>,
  caf::reacts_to<NodeTLSInfo>,
  caf::reacts_to<ReadTaskLogs, log_sink>,
  caf::reacts_to<LogCredit>,
  caf::reacts_to<CancelLogs>,
  caf::replies_to<LeaveSwarm>::with<MembershipChanged>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// CA — issues and renews node certificates; leads root rotations. On the leader.       actors/ca
/// | from     | message              | meaning                                      | reply                 | errors |
/// |----------|----------------------|----------------------------------------------|-----------------------|--------|
/// | any node | ReadRootCertificate  | what a joining node compares with its token  | RootCertificate       | –      |
/// | any node | IssueNodeCertificate | join: the token decides the role             | NodeCertificateIssued | permission_denied, invalid_argument, resource_exhausted |
/// | its node | RenewNodeCertificate | new key, current role                        | NodeCertificateIssued | permission_denied, not_found |
/// | STORE    | EventBatch           | cluster and nodes                            | –                     | –      |
/// | self     | tick                 | a root rotation goes on                      | –                     | –      |
/// sends: RAFT ← Command
using ca_actor = caf::typed_actor<
  caf::replies_to<ReadRootCertificate>::with<RootCertificate>,
  caf::replies_to<IssueNodeCertificate>::with<NodeCertificateIssued>,
  caf::replies_to<RenewNodeCertificate>::with<NodeCertificateIssued>,
  caf::reacts_to<EventBatch>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// MEMBERS — makes the Raft group what the nodes' roles say; keeps ManagerStatus true. On the leader.   actors/manager
/// | from    | message    | meaning                                        | reply      | errors |
/// |---------|------------|------------------------------------------------|------------|--------|
/// | MANAGER | JoinRaft   | a manager with a certificate wants to take part | RaftJoined | permission_denied, failed_precondition |
/// | MANAGER | LeaveRaft  | a manager leaves by itself                     | RaftLeft   | failed_precondition |
/// | STORE   | EventBatch | nodes: promoted, demoted, removed              | –          | –      |
/// | self    | tick       | reachability; retries                          | –          | –      |
/// sends: RAFT ← ChangeMembership, ReadMembership, Command
using members_actor = caf::typed_actor<
  caf::replies_to<JoinRaft>::with<RaftJoined>,
  caf::replies_to<LeaveRaft>::with<RaftLeft>,
  caf::reacts_to<EventBatch>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// LOG SOURCE — streams one task's lines: the agent of this host, or LINKS' stand-in for another's.
/// | from | message                | meaning                                      | reply | errors |
/// |------|------------------------|----------------------------------------------|-------|--------|
/// | LOGS | ReadTaskLogs, log_sink | stream lines within the credit given         | –     | –      |
/// | LOGS | LogCredit              | that many bytes more may be sent             | –     | –      |
/// | LOGS | CancelLogs             | the reader is gone                           | –     | –      |
using log_source = caf::typed_actor<
  caf::reacts_to<ReadTaskLogs, log_sink>, caf::reacts_to<LogCredit>, caf::reacts_to<CancelLogs>>;

/// LOGS — brings the log lines of many tasks to one reader.                      actors/logs
/// | from    | message                 | meaning                                   | reply | errors |
/// |---------|-------------------------|-------------------------------------------|-------|--------|
/// | GATEWAY | SubscribeLogs, log_sink | start; ends with a chunk whose end is set | –     | –      |
/// | GATEWAY | LogCredit               | the reader has consumed that many bytes   | –     | –      |
/// | GATEWAY | CancelLogs              | the reader is gone                        | –     | –      |
/// | AGENT   | LogChunk                | lines of one task                         | –     | –      |
/// | STORE   | EventBatch              | tasks that appear or end                  | –     | –      |
/// | self    | tick                    | a node's deadline has passed              | –     | –      |
using logs_actor = caf::typed_actor<
  caf::reacts_to<SubscribeLogs, log_sink>,
  caf::reacts_to<LogCredit>,
  caf::reacts_to<CancelLogs>,
  caf::reacts_to<LogChunk>,
  caf::reacts_to<EventBatch>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// LINK LISTENER — hears which nodes are within reach and who leads.
/// | from  | message     | meaning                                    | reply | errors |
/// |-------|-------------|--------------------------------------------|-------|--------|
/// | LINKS | LinkChanged | a link is up, or no longer                 | –     | –      |
/// | LINKS | LeaderHint  | a manager says who leads                   | –     | –      |
using link_listener = caf::typed_actor<caf::reacts_to<LinkChanged>, caf::reacts_to<LeaderHint>>;

/// What other nodes may address on this host. An empty handle: not here; askers get `absent` at once.
struct local_destinations {
  failure absent{errc::unavailable, "this node does not do that"}; ///< of a follower: not_leader, naming the leader
  raft_actor raft;
  dispatcher_actor dispatcher;
  control_actor control; ///< on a follower this and the next two may be stand-ins for the leader's
  ca_actor ca;
  members_actor members;
  logs_actor logs;
  log_source agent; ///< its inbox needs no entry: it goes with RegisterNode
};

/// LINKS — the links of this host to other nodes, and who may say what on them.  actors/links
/// | from      | message                  | meaning                                          | reply             | errors |
/// |-----------|--------------------------|--------------------------------------------------|-------------------|--------|
/// | NODE ROOT | local_destinations       | who answers here from now on                     | –                 | –      |
/// | NODE ROOT | ListenForPeers           | accept links here, or no longer                  | ListeningForPeers | unavailable, invalid_argument |
/// | NODE ROOT | ConnectPeer              | keep a link to this node up                      | –                 | –      |
/// | NODE ROOT | ForgetPeer               | no longer: close it                              | –                 | –      |
/// | NODE ROOT | PeerRoles                | who is who now, and whom to refuse               | –                 | –      |
/// | NODE ROOT | Membership               | the nodes behind raft ids                        | –                 | –      |
/// | NODE ROOT | LeaderHint               | passed on to every peer                          | –                 | –      |
/// | any       | subscribe, link_listener | LinkChanged of every link now, news from here on | –                 | –      |
/// | self      | tick                     | dial again                                       | –                 | –      |
using links_actor = caf::typed_actor<
  caf::reacts_to<local_destinations>,
  caf::replies_to<ListenForPeers>::with<ListeningForPeers>,
  caf::reacts_to<ConnectPeer>,
  caf::reacts_to<ForgetPeer>,
  caf::reacts_to<PeerRoles>,
  caf::reacts_to<Membership>,
  caf::reacts_to<LeaderHint>,
  caf::reacts_to<subscribe_atom, link_listener>,
  caf::reacts_to<tick_atom>,
  status_clause>;

/// OUTSIDER — asks a manager for a node that has no certificate yet. The text is IP:PORT.     actors/links
/// | from      | message                                | meaning                                   | reply                 | errors |
/// |-----------|----------------------------------------|-------------------------------------------|-----------------------|--------|
/// | NODE ROOT | addr, ReadRootCertificate              | of a peer that nobody vouches for         | RootCertificate       | unavailable, deadline_exceeded |
/// | NODE ROOT | addr, root's PEM, IssueNodeCertificate | of a manager that proves itself under that root | NodeCertificateIssued | likewise, and what CA says |
using outsider_actor = caf::typed_actor<
  caf::replies_to<std::string, ReadRootCertificate>::with<RootCertificate>,
  caf::replies_to<std::string, std::string, IssueNodeCertificate>::with<NodeCertificateIssued>>;

/// NODE ROOT — this host's membership; the door of GATEWAY to whatever part of the swarm runs here.   actors/node
/// | from    | message                     | meaning                                 | reply             | errors |
/// |---------|-----------------------------|-----------------------------------------|-------------------|--------|
/// | AGENT   | NodeOrders                  | role, managers and root as the cluster wants them | –       | –      |
/// | GATEWAY | InitSwarm                   | make a swarm of this node               | MembershipChanged | –      |
/// | GATEWAY | JoinSwarm                   | become a member of another's            | MembershipChanged | –      |
/// | GATEWAY | LeaveSwarm                  | stop being a member, wipe local state   | MembershipChanged | –      |
/// | GATEWAY | UnlockSwarm                 | the key of a locked manager's disk      | MembershipChanged | –      |
/// | GATEWAY | ReadUnlockKey               | delegated to CONTROL when there is one  | UnlockKey         | unavailable |
/// | GATEWAY | ReadLocalNode               | state for /info and /_ping              | LocalNode         | –      |
/// | GATEWAY | ControlRequest              | delegated to CONTROL when there is one  | Written           | unavailable (texts of behaviour §2.2) |
/// | GATEWAY | ReadObjects                 | likewise                                | ObjectsRead       | likewise |
/// | GATEWAY | subscribe, store_subscriber | delegated to STORE                      | StoreSnapshot     | likewise |
/// | GATEWAY | SubscribeLogs, log_sink     | delegated to LOGS                       | –                 | –      |
/// | GATEWAY | LogCredit                   | delegated to LOGS                       | –                 | –      |
/// | GATEWAY | CancelLogs                  | delegated to LOGS                       | –                 | –      |
using node_root_actor = caf::typed_actor<
  caf::reacts_to<NodeOrders>,
  caf::replies_to<InitSwarm>::with<MembershipChanged>,
  caf::replies_to<JoinSwarm>::with<MembershipChanged>,
  caf::replies_to<LeaveSwarm>::with<MembershipChanged>,
  caf::replies_to<UnlockSwarm>::with<MembershipChanged>,
  caf::replies_to<ReadUnlockKey>::with<UnlockKey>,
  caf::replies_to<ReadLocalNode>::with<LocalNode>,
  caf::replies_to<ControlRequest>::with<Written>,
  caf::replies_to<ReadObjects>::with<ObjectsRead>,
  caf::replies_to<subscribe_atom, store_subscriber>::with<StoreSnapshot>,
  caf::reacts_to<SubscribeLogs, log_sink>,
  caf::reacts_to<LogCredit>,
  caf::reacts_to<CancelLogs>,
  status_clause>;

/// INTROSPECT — answers the console: the actor tree of this host.                actors/introspect
/// | from    | message  | meaning                                   | reply           | errors |
/// |---------|----------|-------------------------------------------|-----------------|--------|
/// | console | ReadTree | every actor under a label, with its status | SupervisionTree | –      |
using introspect_actor = caf::typed_actor<caf::replies_to<ReadTree>::with<SupervisionTree>, status_clause>;

} // namespace swarm

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::local_destinations)
