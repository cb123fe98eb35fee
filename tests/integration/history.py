"""What clients of a swarm saw, as histories of registers, and a check of them that needs no search.

A register is a config: its label `v` holds a number, and an update names the version that it replaces, so every write is a
compare-and-set. Values are never used twice, which fixes the order of all writes that can have happened. The file has the
format of published histories (models cas-register): [client, "invoke" | "ok" | "fail" | "info", "read" | "write" | "cas", value]."""
import json
import threading


class Register:
    """Thread-safe. Clients whose answer did not come have "info" as their last word: they may never be used again."""

    def __init__(self, name):
        self.name, self.events, self.operations = name, [], []
        self.lock, self.next_value, self.clients = threading.Lock(), 0, 0
        self.seen = {}  # value -> version

    def begin(self, client, what, value=None):
        with self.lock:
            self.operations.append({"client": client, "what": what, "value": value, "from": len(self.events), "to": None, "end": "info"})
            self.events.append((self.operations[-1], [client, "invoke", what, value]))
            return self.operations[-1]

    def drop(self, operation):
        """It was never sent: nothing is told of it."""
        with self.lock:
            self.operations.remove(operation)
            operation["end"] = "dropped"

    def end(self, operation, how, value=None):
        """ok (of a read: with the value), fail: nothing has happened, info: it may happen at any time from now on."""
        with self.lock:
            operation["end"] = how
            if how == "ok" and operation["what"] == "read":
                operation["value"] = value
            if how != "info":
                operation["to"] = len(self.events)
            shown = operation["value"] if how == "ok" or (how == "fail" and operation["what"] != "read") else value or "no answer"
            self.events.append((operation, [operation["client"], how, operation["what"], shown]))

    def new_client(self):
        with self.lock:
            self.clients += 1
            return self.clients - 1

    def new_value(self):
        with self.lock:
            self.next_value += 1
            return self.next_value

    def history(self):
        return {"id": self.name, "model": "cas-register", "init": None, "linearizable": True,
                "events": [event for operation, event in self.events if operation["end"] != "dropped"]}

    # -- the check ---------------------------------------------------------------------------------------------------

    def places(self, wrong):
        """{value: its place in the order of writes}; None is before all. A write whose answer did not come counts when
        somebody has seen its value."""
        done = [o for o in self.operations if o["end"] != "fail"]
        seen = {o["value"] for o in done if o["what"] == "read" and o["end"] == "ok"}
        seen |= {o["value"][0] for o in self.operations if o["what"] == "cas"}
        after = {}
        for o in done:
            if o["what"] != "cas" or (o["end"] == "info" and o["value"][1] not in seen):
                continue
            old, new = o["value"]
            if old in after:
                wrong(f"{after[old]} and {new} have both replaced {old}")
            after[old] = new
        place, value = {None: -1}, 0
        while value is not None:
            place[value] = len(place) - 1
            value = after.get(value)
        for value in sorted((seen - set(place)) | {new for old, new in after.items() if new not in place}):
            wrong(f"the value {value} was seen or acknowledged, but is not in the chain of writes: one before it was lost")
        return place

    def problems(self):
        """Texts about everything that no order of the operations explains; empty when the history is linearizable."""
        found = []

        def wrong(text):
            found.append(f"{self.name}: {text}")
        place = self.places(wrong)
        spots = []  # (begun, ended, place between writes: even = while a value stands, odd = the write after it)
        for o in self.operations:
            value = o["value"][0] if o["what"] == "cas" else o["value"]
            if o["end"] == "fail" and o["what"] != "cas" or value not in place:
                continue
            if o["end"] == "fail":
                later = [p["from"] for p in self.operations if p["what"] == "cas" and p["value"][0] == value and p["end"] != "fail"]
                if not later or min(later) > o["to"]:
                    wrong(f"{o['value']} was refused at {o['to']}, but nothing had replaced {value}")
            elif o["what"] == "read" and o["end"] == "ok":
                spots.append((o["from"], o["to"], 2 * place[value], o))
            elif o["what"] == "write":
                spots.append((o["from"], o["to"], -1, o))
            elif o["what"] == "cas" and o["value"][1] in place:
                spots.append((o["from"], o["to"], 2 * place[value] + 1, o))
        ended = sorted((s for s in spots if s[1] is not None), key=lambda s: s[1])
        at, newest = 0, None
        for begun, _, spot, o in sorted(spots, key=lambda s: s[0]):
            while at < len(ended) and ended[at][1] < begun:
                newest = ended[at] if newest is None or ended[at][2] > newest[2] else newest
                at += 1
            if newest and newest[2] > spot:
                wrong(f"{o['what']} {o['value']} at {begun} is older than {newest[3]['what']} {newest[3]['value']}, which had ended at {newest[1]}")
        return found


def write_histories(path, registers):
    """One history a line, together a JSON list."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("[" + ",\n".join(json.dumps(r.history(), separators=(",", ":")) for r in registers) + "]\n")
